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
                let backtrace = Backtrace::force_capture().to_string();
                let trace = format!("panicked at {place}\n{}", of_the_task(&backtrace));
                LAST.with_borrow_mut(|last| *last = Some(trace));
            }
        }));
    });
}

/// The frames of the task: those between the machinery of panics and the worker's. The whole is stored with each
/// result, and the worker's frames, many times those of the task, say nothing about it.
fn of_the_task(backtrace: &str) -> String {
    let mut frames: Vec<Vec<&str>> = Vec::new();
    for line in backtrace.lines() {
        let head = line.trim_start().split_once(": ");
        let begins = head.is_some_and(|(number, _)| number.parse::<u32>().is_ok());
        match frames.last_mut() {
            Some(frame) if !begins => frame.push(line),
            _ => frames.push(vec![line]),
        }
    }
    let has = |frame: &Vec<&str>, words: &[&str]| words.iter().any(|word| frame[0].contains(word));
    let first =
        frames.iter().position(|frame| has(frame, &["rust_begin_unwind"])).map_or(0, |at| at + 1);
    let last =
        frames.iter().skip(first).position(|frame| has(frame, &["celery_core::worker::execute"]));
    let last = last.map_or(frames.len(), |count| first + count);
    frames[first..last].concat().iter().map(|line| format!("{line}\n")).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_has_the_frames_of_the_task_alone() {
        let trace = "   0: hook\n  5: __rustc::rust_begin_unwind\n             at /rustc/p.rs:1\n   6: core::panicking::panic_fmt\n   7: orders::tasks::boom\n             at ./tasks.rs:5:24\n  10: celery_core::worker::execute::run_blocking\n  11: clone3\n";
        assert_eq!(
            of_the_task(trace),
            "   6: core::panicking::panic_fmt\n   7: orders::tasks::boom\n             at ./tasks.rs:5:24\n"
        );
    }

    #[test]
    fn a_trace_without_names_is_kept_whole() {
        assert_eq!(
            of_the_task("   0: <unknown>\n   1: <unknown>\n"),
            "   0: <unknown>\n   1: <unknown>\n"
        );
        assert_eq!(of_the_task("disabled backtrace"), "disabled backtrace\n");
    }
}
