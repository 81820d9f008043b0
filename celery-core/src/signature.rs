//! Signatures: a task with its arguments and options, or several that belong together, ready to be called.
//!
//! [`Signature`] is the typed shell, which knows what the task returns and whether it still lacks its first
//! argument. [`Spec`] is what it holds: plain data, in the form that crosses the wire. How several become one is in
//! [`canvas`].

mod arguments;
mod by_name;
mod call_options;
pub(crate) mod draft;
mod input;
mod kind;
mod setters;
mod spec;
mod step;
mod wire;

pub use self::{
    arguments::Arguments,
    call_options::CallOptions,
    input::{Accepts, Complete, Errback, Input, Nothing, Takes, TakesFailure, Untyped},
    kind::{Chord, Kind},
    spec::{BadSignature, Spec},
    step::Step,
};
pub(crate) use self::{draft::Draft, setters::option_setters};

pub(crate) use self::call_options::add;

use std::{fmt, marker::PhantomData};

use serde::Serialize;

use crate::{
    app::Celery,
    canvas::{self, Stamping},
    error::Error,
    result::AsyncResult,
    task::Task,
    value::{Map, Value},
};

/// A task with its arguments and options, ready to be called; or a chain or a chord of several, which end in one.
///
/// `In` is [`Nothing`] when all arguments are there, `Takes<T>` when the first is still to come; `Out` is what
/// the task returns. `a | b` calls `b` after `a`, with its result: see [`canvas`].
#[must_use = "a signature does nothing until it is called, for example with `apply_async`"]
pub struct Signature<In = Nothing, Out = Value> {
    draft: Draft,
    types: PhantomData<fn(In) -> Out>,
}

impl<In, Out> Signature<In, Out> {
    option_setters! {}

    /// The signature of a task with these arguments. Called by what the macros write.
    pub fn for_task<T: Task<Output = Out>>(arguments: Arguments) -> Self {
        let (args, fault) = match arguments.into_values() {
            Ok(args) => (args, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let spec = Spec {
            task_options: Some(T::OPTIONS),
            task_parameters: Some(T::PARAMETERS),
            ..Spec::new(T::NAME, args, Map::new())
        };
        Draft { spec, app: T::app(), fault }.into()
    }

    /// The same signature without its types.
    pub fn untyped(self) -> Signature<Untyped, Value>
    where
        In: Input,
    {
        self.draft.taking(In::TAKES_RESULT).into()
    }

    /// Says what the task returns, where that is not known: of one that is called by name.
    ///
    /// It is believed. What is not true comes out when the result is asked for, or in the task that takes it.
    pub fn returning<T>(self) -> Signature<In, T> {
        self.draft.into()
    }

    /// The data of the signature, or why there is none.
    ///
    /// # Errors
    /// [`Error::Value`] when an argument could not be serialized; [`Error::Call`] when the signature cannot be what it was
    /// asked to be.
    pub fn into_spec(self) -> Result<Spec, Error>
    where
        In: Input,
    {
        // One that has all its arguments takes no result, and Celery's word for that is immutable.
        self.draft.taking(In::TAKES_RESULT).into_spec()
    }

    /// Makes it immutable: as a callback, or a step of a chain, it takes no result.
    pub fn immutable(self) -> Signature<Nothing, Out> {
        self.draft.taking(false).into()
    }

    /// Calls it with this app instead of the current one.
    pub fn with_app(mut self, app: &Celery) -> Self {
        self.draft.app = Some(app.clone());
        self
    }

    /// Calls that task, with the result of this one, when this one succeeded: of a chain its last, of a chord its body.
    pub fn link<I, O>(self, callback: Signature<I, O>) -> Self
    where
        I: Accepts<Out>,
    {
        self.draft.link(callback.into_draft()).into()
    }

    /// Calls that task, with the id of this one, when this one failed: of a chain whichever failed, of a chord its body, and
    /// each of its header where the current app has `task_allow_error_cb_on_chord_header`.
    pub fn link_error<I, O>(self, errback: Signature<I, O>) -> Self
    where
        I: Errback,
    {
        self.draft.link_error(errback.into_draft()).into()
    }

    /// Another word for [`link_error`](Self::link_error).
    pub fn on_error<I, O>(self, errback: Signature<I, O>) -> Self
    where
        I: Errback,
    {
        self.link_error(errback)
    }

    /// Puts stamps on it, on all that it is made of, and on its callbacks: `[("team", "blue")]`, or those of a
    /// [`StampingVisitor`](crate::canvas::StampingVisitor). See [`Stamping`].
    pub fn stamp<'v>(mut self, stamping: impl Into<Stamping<'v>>) -> Self {
        canvas::stamp(&mut self.draft.spec, stamping.into());
        self
    }

    /// Changes the options of the call.
    ///
    /// ```
    /// use celery_core::signature::Signature;
    ///
    /// let resize = Signature::named("proj.tasks.resize").set(|options| options.queue = Some("slow".into()));
    /// # assert_eq!(resize.into_spec()?.to_value()["options"]["queue"], "slow");
    /// # Ok::<_, celery_core::error::Error>(())
    /// ```
    pub fn set(self, change: impl FnOnce(&mut CallOptions)) -> Self {
        self.draft.set(change).into()
    }
}

impl<A: Serialize, Out> Signature<Takes<A>, Out> {
    /// With that first argument, which would else come from the task that it follows.
    pub fn with_first(self, argument: A) -> Signature<Nothing, Out> {
        self.draft.with_first(&argument).into()
    }
}

impl<In, Out> Signature<In, Out> {
    /// Sends the task to its queue, or the tasks that a chain or a chord begins with, and returns a handle of the result: of a
    /// chain that of its last step, of a chord that of its body. What they follow are its parents.
    ///
    /// # Errors
    /// [`Error::NoApp`] without a current app; [`Error::Broker`] when a message could not be published, after the
    /// retries of `task_publish_retry_policy`; [`Error::Value`] when an argument could not be serialized; [`Error::Call`] for what
    /// cannot be called, such as an empty chain, or a chord without a result backend; [`Error::Backend`] when a chord could
    /// not be made known to it; [`Error::Unsent`] when some of the tasks have been sent, and others have not.
    ///
    /// # Cancel safety
    /// A call that is dropped may or may not have been sent.
    pub async fn apply_async(self) -> Result<AsyncResult<Out>, Error>
    where
        // Here and not on the `impl`, since only then rustc says what the trait has to say.
        In: Complete,
    {
        let app = self.draft.caller()?;
        let sent = app.send_noting(self.into_spec()?).await?;
        Ok(sent.into_result(&app))
    }

    /// Another word for [`apply_async`](Self::apply_async).
    ///
    /// # Errors
    /// As for `apply_async`.
    pub async fn delay(self) -> Result<AsyncResult<Out>, Error>
    where
        In: Complete,
    {
        self.apply_async().await
    }
}

impl<In, Out> From<Draft> for Signature<In, Out> {
    fn from(draft: Draft) -> Self {
        Self { draft, types: PhantomData }
    }
}

impl<In, Out> Clone for Signature<In, Out> {
    fn clone(&self) -> Self {
        self.draft.clone().into()
    }
}

impl<In, Out> fmt::Debug for Signature<In, Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.draft.spec.fmt(f)
    }
}
