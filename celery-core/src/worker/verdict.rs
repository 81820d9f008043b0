//! What follows from how a run ended: pure.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    exception::Exception,
    options::{ErrorType, Options},
    retry,
    task::{Failure, Reject, Retry, TaskError, When},
    value::{Value, number::seconds},
};

/// How a run ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The task returned.
    Returned(Value),
    /// The task returned an error.
    Error(TaskError),
    /// The task was stopped at its hard time limit.
    TimedOut(Duration),
    /// The task was stopped, for another worker to run.
    Cancelled(Cancellation),
    /// The task was terminated on request, with the signal of that number.
    Terminated(i32),
}

/// Why a run was broken off that another worker is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Cancellation {
    /// The worker stops at once.
    Shutdown,
    /// The connection is lost over which its message would be acknowledged.
    ConnectionLost,
}

/// What is to be done.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Verdict {
    /// Store the value and go on with what follows.
    Succeed(Value),
    /// Store the failure and tell who is to know.
    Fail(Failure, Cause),
    /// Publish the task anew.
    Retry(Box<Again>),
    /// Store nothing.
    Ignore,
    /// Publish this signature in place of the task, and store nothing.
    Replace(Value),
    /// Reject the message.
    Reject(Reject),
    /// Reject the message, and put it back as one whose worker was lost.
    Lost(Reject),
    /// Leave the message to another worker.
    HandBack(Cancellation),
    /// Store that the task was revoked while it ran, with the signal of that number.
    Revoke(i32),
}

/// What a failure comes from, which decides whether a late message is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Cause {
    /// The task's own error.
    Error,
    /// One that the task says it throws.
    Expected,
    /// The hard time limit.
    TimeLimit,
    /// The death of the child process.
    WorkerLost,
    /// The deaths of so many who had the message that it is not run again.
    LostTooOften,
}

/// What is to be done when the child process of a task dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WhenLost {
    /// The task failed.
    Fail,
    /// The message goes back to its queue.
    Requeue,
    /// The task is retried, as long as it may be.
    Retry,
}

/// A retry.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Again {
    pub(super) eta: Timestamp,
    pub(super) cause: Option<Failure>,
    pub(super) changes: Retry,
}

/// What the decision depends on besides the outcome.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    /// The options of the task.
    pub(super) options: &'a Options,
    /// How often it has been retried.
    pub(super) retries: u32,
    /// Tells the time.
    pub(super) now: fn() -> Timestamp,
    /// What an exhausted retry without a cause says.
    pub(super) exhausted: &'a dyn Fn() -> String,
}

/// Decides. `random` gives a number from zero to the one it is asked with, both included.
pub(super) fn decide(
    outcome: Outcome,
    facts: Facts<'_>,
    random: impl FnOnce(u64) -> u64,
) -> Verdict {
    match outcome {
        Outcome::Returned(value) => Verdict::Succeed(value),
        Outcome::Cancelled(why) => Verdict::HandBack(why),
        Outcome::Terminated(signal) => Verdict::Revoke(signal),
        Outcome::TimedOut(limit) => {
            let seconds = Value::Number(seconds(limit.as_secs_f64()));
            Verdict::Fail(
                Failure::new(Exception::new("TimeLimitExceeded", "billiard.exceptions", seconds)),
                Cause::TimeLimit,
            )
        }
        Outcome::Error(TaskError::Ignore) => Verdict::Ignore,
        Outcome::Error(TaskError::Replace(signature)) => Verdict::Replace(signature.to_value()),
        Outcome::Error(TaskError::Reject(reject)) => Verdict::Reject(reject),
        Outcome::Error(TaskError::Retry(asked)) => again(*asked, facts),
        Outcome::Error(TaskError::Failed(failure))
            if retries_by_itself(&failure, facts.options) =>
        {
            let delay = retry::delay(facts.options, facts.retries, random);
            again(
                Retry { when: Some(When::In(delay)), cause: Some(*failure), ..Retry::default() },
                facts,
            )
        }
        Outcome::Error(TaskError::Failed(failure)) => {
            let cause = cause(&failure, facts.options);
            Verdict::Fail(*failure, cause)
        }
    }
}

/// Decides what is to be done when the child process of a task has died, and `why`.
pub(super) fn decide_lost(why: String, when_lost: WhenLost, facts: Facts<'_>) -> Verdict {
    let failure = || Failure::new(Exception::new("WorkerLostError", "billiard.exceptions", why));
    let is_exhausted = facts.options.max_retries.is_some_and(|limit| facts.retries >= limit);
    match when_lost {
        WhenLost::Retry if !is_exhausted => {
            again(Retry { cause: Some(failure()), ..Retry::default() }, facts)
        }
        WhenLost::Requeue => Verdict::Lost(Reject::requeue(failure().exception.to_string())),
        WhenLost::Fail | WhenLost::Retry => Verdict::Fail(failure(), Cause::WorkerLost),
    }
}

fn retries_by_itself(failure: &Failure, options: &Options) -> bool {
    is_any(failure, options.autoretry_for) && !is_any(failure, options.dont_autoretry_for)
}

fn cause(failure: &Failure, options: &Options) -> Cause {
    if is_any(failure, options.throws) { Cause::Expected } else { Cause::Error }
}

fn is_any(failure: &Failure, types: &[ErrorType]) -> bool {
    failure.error().is_some_and(|error| types.iter().any(|of| of.matches(error)))
}

fn again(mut asked: Retry, facts: Facts<'_>) -> Verdict {
    let limit = asked.max_retries.unwrap_or(facts.options.max_retries);
    let cause = asked.cause.take();
    if limit.is_some_and(|limit| facts.retries >= limit) {
        let exhausted = || {
            Failure::new(Exception::new(
                "MaxRetriesExceededError",
                "celery.exceptions",
                (facts.exhausted)(),
            ))
        };
        let failure = cause.unwrap_or_else(exhausted);
        let cause = self::cause(&failure, facts.options);
        return Verdict::Fail(failure, cause);
    }
    let when = asked.when.unwrap_or(When::In(facts.options.default_retry_delay));
    let eta = when.after((facts.now)());
    Verdict::Retry(Box::new(Again { eta, cause, changes: asked }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::signature::Spec;

    fn facts(options: &Options, retries: u32) -> Facts<'_> {
        let now = || Timestamp::from_second(1_000).unwrap();
        Facts { options, retries, now, exhausted: &|| "Can't retry".to_owned() }
    }

    fn check(outcome: Outcome, options: Options, retries: u32) -> String {
        tell(decide(outcome, facts(&options, retries), |full| full))
    }

    fn tell(verdict: Verdict) -> String {
        match verdict {
            Verdict::Succeed(value) => format!("succeed {value}"),
            Verdict::Fail(failure, cause) => format!("fail {} {cause:?}", failure.exception),
            Verdict::Retry(again) => format!("retry in {}", again.eta.as_second() - 1_000),
            Verdict::Ignore => "ignore".to_owned(),
            Verdict::Replace(signature) => format!("replace by {}", signature["task"]),
            Verdict::Reject(reject) => format!("reject requeue={}", reject.requeue),
            Verdict::Lost(reject) => format!("lost: {}", reject.reason),
            Verdict::HandBack(why) => format!("hand back {why:?}"),
            Verdict::Revoke(signal) => format!("revoke {signal}"),
        }
    }

    fn failed() -> Outcome {
        Outcome::Error("x".parse::<i32>().unwrap_err().into())
    }

    const AUTO: Options =
        Options::new().autoretry_for(&[ErrorType::of::<std::num::ParseIntError>()]);

    #[test]
    fn each_outcome_has_its_verdict() {
        let signature = Spec::new("t.add", Vec::new(), Default::default());
        let replaced = TaskError::Replace(Box::new(signature));
        check_all(&[
            (Outcome::Returned(json!(3)), "succeed 3"),
            (Outcome::Cancelled(Cancellation::Shutdown), "hand back Shutdown"),
            (Outcome::Terminated(15), "revoke 15"),
            (Outcome::TimedOut(Duration::from_secs(2)), "fail TimeLimitExceeded: 2 TimeLimit"),
            (Outcome::Error(TaskError::Ignore), "ignore"),
            (Outcome::Error(replaced), "replace by \"t.add\""),
            (Outcome::Error(Reject::requeue("later").into()), "reject requeue=true"),
            (Outcome::Error(Retry::default().into()), "retry in 180"),
            (Outcome::Error(Retry::default().countdown(5).into()), "retry in 5"),
            (failed(), "fail ParseIntError: invalid digit found in string Error"),
        ]);
    }

    fn check_all(cases: &[(Outcome, &str)]) {
        for (outcome, expected) in cases {
            let outcome = match outcome {
                Outcome::Returned(value) => Outcome::Returned(value.clone()),
                Outcome::Error(error) => Outcome::Error(error.clone()),
                Outcome::TimedOut(limit) => Outcome::TimedOut(*limit),
                Outcome::Cancelled(why) => Outcome::Cancelled(*why),
                Outcome::Terminated(signal) => Outcome::Terminated(*signal),
            };
            assert_eq!(check(outcome, Options::new(), 0), *expected);
        }
    }

    #[test]
    fn an_error_of_a_named_type_is_retried_by_itself() {
        assert_eq!(check(failed(), AUTO, 0), "retry in 180");
        assert_eq!(check(failed(), AUTO.retry_backoff(true), 2), "retry in 4");
        const NEVER: Options =
            AUTO.dont_autoretry_for(&[ErrorType::of::<std::num::ParseIntError>()]);
        assert!(check(failed(), NEVER, 0).starts_with("fail"));
    }

    #[test]
    fn an_error_that_the_task_throws_is_expected() {
        const THROWS: Options =
            AUTO.max_retries(1).throws(&[ErrorType::of::<std::num::ParseIntError>()]);
        assert!(check(failed(), THROWS, 1).ends_with("Expected"));
        assert_eq!(check(failed(), THROWS, 0), "retry in 180");
        assert!(check(Outcome::Error(Retry::default().into()), THROWS, 1).ends_with("Error"));
    }

    #[test]
    fn retries_end_with_the_cause_or_else_with_an_error_of_their_own() {
        assert_eq!(
            check(failed(), AUTO.max_retries(2), 2),
            "fail ParseIntError: invalid digit found in string Error"
        );
        let asked = || Outcome::Error(Retry::default().into());
        assert_eq!(
            check(asked(), Options::new(), 3),
            "fail MaxRetriesExceededError: Can't retry Error"
        );
        assert_eq!(check(asked(), Options::new().unlimited_retries(true), 3_000), "retry in 180");
        let more = Outcome::Error(Retry::default().max_retries(9).countdown(1).into());
        assert_eq!(check(more, Options::new(), 8), "retry in 1");
    }

    #[test]
    fn a_task_whose_child_died_fails_or_is_run_again_as_its_options_say() {
        let check = |when_lost, retries, expected: &str| {
            let options = Options::new().max_retries(2).default_retry_delay(7);
            let verdict = decide_lost("gone".to_owned(), when_lost, facts(&options, retries));
            assert_eq!(tell(verdict), expected);
        };
        check(WhenLost::Fail, 0, "fail WorkerLostError: gone WorkerLost");
        check(WhenLost::Requeue, 2, "lost: WorkerLostError: gone");
        check(WhenLost::Retry, 1, "retry in 7");
        check(WhenLost::Retry, 2, "fail WorkerLostError: gone WorkerLost");
    }
}
