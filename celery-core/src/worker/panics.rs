//! Panics of tasks: caught, and told with their place and backtrace.

use std::{any::Any, backtrace::Backtrace, cell::RefCell, panic, sync::Once};

use crate::{context::Context, exception::Exception, task::Failure};

thread_local! {
    /// Where the last panic on this thread arose. A task that panics does so within one poll, and the catching is
    /// done on the same thread right after.
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Notes the place of panics that arise in tasks; others go the way they went before.
pub(super) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| match Context::current() {
            None => before(info),
            Some(_) => {
                let place = info.location().map(ToString::to_string).unwrap_or_default();
                let trace = format!("panicked at {place}\n{}", Backtrace::force_capture());
                LAST.with_borrow_mut(|last| *last = Some(trace));
            }
        }));
    });
}

/// Drops what is left of a task that was stopped. What it panics with while it is dropped is told and goes no further,
/// or its message would come back and do so again.
pub(super) fn discard<T>(rest: T) {
    if let Err(payload) = panic::catch_unwind(panic::AssertUnwindSafe(|| drop(rest))) {
        let failure = failure(&*payload);
        tracing::error!(
            traceback = failure.traceback,
            "a task that was stopped panicked as it was dropped"
        );
    }
}

/// The failure of a task that panicked on this thread with that payload.
pub(super) fn failure(payload: &(dyn Any + Send)) -> Failure {
    failure_at(payload, take_trace())
}

/// The trace of the last panic on this thread.
pub(super) fn take_trace() -> Option<String> {
    LAST.with_borrow_mut(Option::take)
}

/// The failure of a task that panicked with that payload and trace.
pub(super) fn failure_at(payload: &(dyn Any + Send), trace: Option<String>) -> Failure {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let message = text
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value".to_owned());
    let mut failure = Failure::new(Exception::new("Panic", "rust", message.clone()));
    let trace = trace.unwrap_or_else(|| "panicked".to_owned());
    failure.traceback =
        Some(format!("Traceback (most recent call last):\n{trace}\nrust.Panic: {message}\n"));
    failure
}
