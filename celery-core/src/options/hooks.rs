//! Functions of a task's own that are called around its runs.

use super::Options;
use crate::{context::Context, state::State, task::Failure, value::Value};

/// Called before a run.
pub type BeforeStart = fn(&Context);
/// Called with what the task returned.
pub type OnSuccess = fn(&Context, &Value);
/// Called with what the task failed with.
pub type OnFailure = fn(&Context, &Failure);
/// Called when the task is to be tried again, with what it failed with, if it did.
pub type OnRetry = fn(&Context, Option<&Failure>);
/// Called after a run that succeeded or failed: with its state, and its result or exception as it is stored.
pub type AfterReturn = fn(&Context, &State, &Value);

impl Options {
    /// Sets [`before_start`](Self::before_start).
    pub const fn before_start(mut self, hook: BeforeStart) -> Self {
        self.before_start = Some(hook);
        self
    }

    /// Sets [`on_success`](Self::on_success).
    pub const fn on_success(mut self, hook: OnSuccess) -> Self {
        self.on_success = Some(hook);
        self
    }

    /// Sets [`on_failure`](Self::on_failure).
    pub const fn on_failure(mut self, hook: OnFailure) -> Self {
        self.on_failure = Some(hook);
        self
    }

    /// Sets [`on_retry`](Self::on_retry).
    pub const fn on_retry(mut self, hook: OnRetry) -> Self {
        self.on_retry = Some(hook);
        self
    }

    /// Sets [`after_return`](Self::after_return).
    pub const fn after_return(mut self, hook: AfterReturn) -> Self {
        self.after_return = Some(hook);
        self
    }
}
