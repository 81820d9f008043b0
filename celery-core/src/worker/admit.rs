//! What to do with a message upon its receipt, and once more before it is run: pure.

use jiff::Timestamp;

/// What is known of a request when it is admitted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// The earliest time to run.
    pub(super) eta: Option<Timestamp>,
    /// The latest time to start.
    pub(super) expires: Option<Timestamp>,
}

/// What to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Run it.
    Run,
    /// Let it wait in the broker until then.
    Defer(Timestamp),
    /// It is too late for it.
    Expired,
}

/// Decides at the time `now`.
pub(super) fn admit(candidate: Candidate, now: Timestamp) -> Admission {
    match candidate {
        Candidate { expires: Some(expires), .. } if now > expires => Admission::Expired,
        Candidate { eta: Some(eta), .. } if now < eta => Admission::Defer(eta),
        Candidate { .. } => Admission::Run,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(eta: Option<i64>, expires: Option<i64>, expected: Admission) {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(
            admit(Candidate { eta: eta.map(at), expires: expires.map(at) }, at(100)),
            expected
        );
    }

    #[test]
    fn a_message_is_run_when_it_is_due_and_not_expired() {
        check(None, None, Admission::Run);
        check(Some(100), Some(100), Admission::Run);
        check(Some(101), None, Admission::Defer(Timestamp::from_second(101).unwrap()));
        check(None, Some(99), Admission::Expired);
        check(Some(200), Some(99), Admission::Expired);
    }
}
