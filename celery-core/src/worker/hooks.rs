//! What is called around a run, in the process where it runs: the hooks of the task, and the signals of the app. Of a run
//! whose process was killed the worker itself tells.
//!
//! The order is Celery's. None of them changes how the run ends: one that panics is logged.

use super::verdict::Verdict;
use crate::{
    context::Context,
    registry::Registration,
    signals::{Signals, guarded},
    state::State,
    value::Value,
};

/// A run of a task is about to begin.
pub(super) fn before(task: &Registration, context: &Context) {
    tell(context, "task_prerun", |signals| signals.task_prerun(context));
    if let Some(hook) = task.options.before_start {
        call(context, "before_start", || hook(context));
    }
}

/// A run is over, and this is to be done.
pub(super) fn after(task: &Registration, context: &Context, verdict: &Verdict) {
    let options = &task.options;
    // Most tasks have neither, and are not to pay for the copy of a result that nobody looks at.
    let looks = options.after_return.is_some() || !context.app().listeners().is_empty();
    let copy = |value: &dyn Fn() -> Value| looks.then(value);
    let (state, result) = match verdict {
        Verdict::Succeed(value) => {
            if let Some(hook) = options.on_success {
                call(context, "on_success", || hook(context, value));
            }
            tell(context, "task_success", |signals| signals.task_success(context, value));
            (State::Success, copy(&|| value.clone()))
        }
        Verdict::Fail(failure, _) => {
            if let Some(hook) = options.on_failure {
                call(context, "on_failure", || hook(context, failure));
            }
            tell(context, "task_failure", |signals| signals.task_failure(context, failure));
            (State::Failure, copy(&|| failure.exception.to_value()))
        }
        Verdict::Retry(again) => {
            let reason = again.cause.as_ref();
            if let Some(hook) = options.on_retry {
                call(context, "on_retry", || hook(context, reason));
            }
            tell(context, "task_retry", |signals| signals.task_retry(context, again.eta, reason));
            (State::Retry, None)
        }
        Verdict::Ignore | Verdict::Replace(_) => (State::Ignored, None),
        Verdict::Reject(_) | Verdict::Lost(_) => (State::Rejected, None),
        Verdict::Revoke(_) => (State::Revoked, None),
        // Another worker runs it, of which nothing is known yet.
        Verdict::HandBack(_) => (State::Pending, None),
    };
    if let (Some(hook), Some(result)) = (options.after_return, &result) {
        call(context, "after_return", || hook(context, &state, result));
    }
    let result: Option<&Value> = result.as_ref();
    tell(context, "task_postrun", |signals| signals.task_postrun(context, &state, result));
}

fn tell(context: &Context, signal: &str, tell: impl FnMut(&dyn Signals)) {
    let listeners = context.app().listeners();
    if !listeners.is_empty() {
        context.scope_sync(|| listeners.tell(signal, tell));
    }
}

fn call(context: &Context, name: &str, hook: impl FnOnce()) {
    guarded(name, || context.scope_sync(hook));
}
