//! The decision at the end of a run, as the benchmark asks for it that times it.

use super::verdict::{Facts, Outcome, Verdict, decide};
use crate::{clock, options::Options, task::TaskError, value::Value};

static OPTIONS: Options = Options::new();

/// Decides on a task that returned this: whether it has succeeded.
pub fn of_a_value(value: Value) -> bool {
    matches!(of(Outcome::Returned(value), 0), Verdict::Succeed(_))
}

/// Decides on a task that asked for another retry after so many: whether it gets it.
pub fn of_a_retry(retries: u32) -> bool {
    let asked = Outcome::Error(TaskError::Retry(Box::default()));
    matches!(of(asked, retries), Verdict::Retry(_))
}

fn of(outcome: Outcome, retries: u32) -> Verdict {
    let facts = Facts { options: &OPTIONS, retries, now: clock::now, exhausted: &String::new };
    decide(outcome, facts, |most| most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_timed_is_a_success_and_a_retry() {
        assert!(of_a_value("a result".into()));
        assert!(of_a_retry(1));
        assert!(!of_a_retry(3), "Celery retries three times");
    }
}
