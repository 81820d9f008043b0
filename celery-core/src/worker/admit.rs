//! What to do with a message upon its receipt, and once more before it is run: pure.

use jiff::Timestamp;

use super::revoked::Revocation;

/// What is known of a request when it is admitted.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// The earliest time to run.
    pub(super) eta: Option<Timestamp>,
    /// The latest time to start.
    pub(super) expires: Option<Timestamp>,
    /// By what it is revoked, if it is.
    pub(super) revoked: Option<Revocation>,
}

/// What to do with it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Admission {
    /// Run it.
    Run,
    /// Let it wait in the broker until then.
    Defer(Timestamp),
    /// It is too late for it, or it is not wanted any more.
    Revoked(Revocation),
}

/// Decides at the time that `now` tells. Most messages do not ask for it.
pub(super) fn admit(candidate: Candidate, now: impl Fn() -> Timestamp) -> Admission {
    match candidate {
        Candidate { expires: Some(expires), .. } if now() > expires => {
            Admission::Revoked(Revocation::Expired)
        }
        Candidate { revoked: Some(revocation), .. } => Admission::Revoked(revocation),
        Candidate { eta: Some(eta), .. } if now() < eta => Admission::Defer(eta),
        Candidate { .. } => Admission::Run,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(eta: Option<i64>, expires: Option<i64>, revoked: Option<Revocation>) -> Admission {
        let at = |second| Timestamp::from_second(second).unwrap();
        admit(Candidate { eta: eta.map(at), expires: expires.map(at), revoked }, || at(100))
    }

    #[test]
    fn a_message_is_run_when_it_is_due_and_not_expired() {
        assert_eq!(check(None, None, None), Admission::Run);
        assert_eq!(check(Some(100), Some(100), None), Admission::Run);
        let defer = Admission::Defer(Timestamp::from_second(101).unwrap());
        assert_eq!(check(Some(101), None, None), defer);
        assert_eq!(check(None, Some(99), None), Admission::Revoked(Revocation::Expired));
        assert_eq!(check(Some(200), Some(99), None), Admission::Revoked(Revocation::Expired));
    }

    #[test]
    fn a_message_that_is_revoked_is_not_run_and_does_not_wait() {
        let by_id = || Some(Revocation::ById);
        assert_eq!(check(None, None, by_id()), Admission::Revoked(Revocation::ById));
        assert_eq!(check(Some(200), Some(200), by_id()), Admission::Revoked(Revocation::ById));
        assert_eq!(check(None, Some(99), by_id()), Admission::Revoked(Revocation::Expired));
    }
}
