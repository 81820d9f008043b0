//! What a signature still lacks, in its type.

use std::{fmt, marker::PhantomData};

/// A signature that lacks no argument: it can be called, and as a step that follows another it takes no result.
#[derive(Clone, Copy, Debug)]
pub enum Nothing {}

/// A signature that lacks its first argument, a `T`, which the task before it supplies.
pub struct Takes<T>(PhantomData<fn(T)>);

impl<T> fmt::Debug for Takes<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Takes")
    }
}

/// A signature of which only the name is known: it takes a result in front of its arguments, as Celery's do.
#[derive(Clone, Copy, Debug)]
pub enum Untyped {}

/// A signature that lacks its first three arguments, which say what failed: the request of the task, as Celery shows it, the
/// exception, and the traceback.
#[derive(Clone, Copy, Debug)]
pub enum TakesFailure {}

/// What a signature still lacks: [`Nothing`], [`Takes<T>`] its first argument, or [`Untyped`].
pub trait Input {
    /// Whether a result is put in front of its arguments when it follows another task.
    const TAKES_RESULT: bool;
}

impl Input for Nothing {
    const TAKES_RESULT: bool = false;
}

impl<T> Input for Takes<T> {
    const TAKES_RESULT: bool = true;
}

impl Input for Untyped {
    const TAKES_RESULT: bool = true;
}

impl Input for TakesFailure {
    const TAKES_RESULT: bool = true;
}

/// A signature that can be called as it is.
#[diagnostic::on_unimplemented(
    message = "this signature lacks its first argument",
    label = "made with `partial`, so it can only follow another task",
    note = "use `Task::s(…)` with all arguments to call it, or give it the first with `.with_first(…)`"
)]
pub trait Complete: Input {}

impl Complete for Nothing {}
impl Complete for Untyped {}

/// What a signature may follow: a task that returns `T`.
#[diagnostic::on_unimplemented(
    message = "this task cannot take the result of the one before it, a `{T}`",
    label = "takes something else than `{T}`",
    note = "`Task::partial(…)` takes the result as its first argument, which must be of that type; `Task::si(…)` and `Task::s(…)` with all arguments take none",
    note = "a group hands on a `Vec` of what its members return; what a task called by name returns is a `Value`, until `.returning::<T>()` says more"
)]
pub trait Accepts<T>: Input {}

impl<T> Accepts<T> for Nothing {}
impl<T> Accepts<T> for Takes<T> {}
impl<T> Accepts<T> for Untyped {}

/// What can be called when a task failed: one that takes the id of that task, or what is known of the failure.
#[diagnostic::on_unimplemented(
    message = "this task cannot be an error callback",
    label = "takes neither the id of the task that failed nor its failure",
    note = "`Task::partial(…)` takes the id as its first argument, a `String`; `Task::errback(…)` takes the request, the exception and the traceback; `Task::s(…)` with all arguments takes none"
)]
pub trait Errback: Input {}

impl Errback for Nothing {}
impl Errback for Takes<String> {}
impl Errback for TakesFailure {}
impl Errback for Untyped {}
