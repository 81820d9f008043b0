//! Signatures: a task with its arguments and options, ready to be called.
//!
//! [`Signature`] is the typed shell, which knows what the task returns and whether it still lacks its first
//! argument. [`Spec`] is what it holds: plain data, in the form that crosses the wire.

mod call_options;
mod kind;
mod spec;

pub use self::{
    call_options::CallOptions,
    kind::{Chord, Kind},
    spec::{BadSignature, Spec},
};

use std::{fmt, marker::PhantomData};

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    app::Celery,
    arguments::Hidden,
    error::Error,
    result::AsyncResult,
    task::{Task, When},
    value::{Map, Value, ValueError, to_value},
};

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

/// A signature that can be called as it is.
#[diagnostic::on_unimplemented(
    message = "this signature lacks its first argument",
    label = "made with `partial`, so it can only follow another task",
    note = "use `Task::s(…)` with all arguments to call it"
)]
pub trait Complete: Input {}

impl Complete for Nothing {}
impl Complete for Untyped {}

/// What a signature may follow: a task that returns `T`.
#[diagnostic::on_unimplemented(
    message = "this task cannot take the result of the one before it, a `{T}`",
    label = "takes something else than `{T}`",
    note = "`Task::partial(…)` takes the result as its first argument, which must be of that type; `Task::si(…)` and `Task::s(…)` with all arguments take none"
)]
pub trait Accepts<T>: Input {}

impl<T> Accepts<T> for Nothing {}
impl<T> Accepts<T> for Takes<T> {}
impl<T> Accepts<T> for Untyped {}

/// A task with its arguments and options, ready to be called.
///
/// `In` is [`Nothing`] when all arguments are there, `Takes<T>` when the first is still to come; `Out` is what
/// the task returns.
#[must_use = "a signature does nothing until it is called, for example with `apply_async`"]
pub struct Signature<In = Nothing, Out = Value> {
    spec: Spec,
    app: Option<Celery>,
    /// An argument that could not be serialized, kept until somebody can be told.
    fault: Option<Error>,
    types: PhantomData<fn(In) -> Out>,
}

impl<In, Out> Signature<In, Out> {
    /// The signature of a task with these arguments. Called by what the macros write.
    pub fn for_task<T: Task<Output = Out>>(arguments: Arguments) -> Self {
        let (args, fault) = match arguments.0 {
            Ok(args) => (args, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let spec = Spec {
            task_options: Some(T::OPTIONS),
            task_parameters: Some(T::PARAMETERS),
            ..Spec::new(T::NAME, args, Map::new())
        };
        Self { spec, app: T::app(), fault, types: PhantomData }
    }

    /// The same signature without its types.
    pub fn untyped(mut self) -> Signature<Untyped, Value>
    where
        In: Input,
    {
        self.spec.immutable |= !In::TAKES_RESULT;
        self.retyped()
    }

    /// The data of the signature, or why there is none.
    ///
    /// # Errors
    /// [`Error::Value`] when an argument could not be serialized.
    pub fn into_spec(self) -> Result<Spec, Error>
    where
        In: Input,
    {
        match self.fault {
            Some(error) => Err(error),
            // One that has all its arguments takes no result, and Celery's word for that is immutable.
            None => Ok(Spec { immutable: self.spec.immutable || !In::TAKES_RESULT, ..self.spec }),
        }
    }

    /// Makes it immutable: as a callback, or a step of a chain, it takes no result.
    pub fn immutable(mut self) -> Signature<Nothing, Out> {
        self.spec.immutable = true;
        self.retyped()
    }

    /// Calls it with this app instead of the current one.
    pub fn with_app(mut self, app: &Celery) -> Self {
        self.app = Some(app.clone());
        self
    }

    /// Runs it that many seconds from now, at the earliest.
    pub fn countdown(self, seconds: impl Into<f64>) -> Self {
        self.set(|options| options.eta = Some(When::in_seconds(seconds.into())))
    }

    /// Runs it at that time, at the earliest.
    pub fn eta(self, at: Timestamp) -> Self {
        self.set(|options| options.eta = Some(When::At(at)))
    }

    /// Does not run it unless it starts within that many seconds from now.
    pub fn expires(self, seconds: impl Into<f64>) -> Self {
        self.set(|options| options.expires = Some(When::in_seconds(seconds.into())))
    }

    /// Does not run it unless it starts by that time.
    pub fn expires_at(self, at: Timestamp) -> Self {
        self.set(|options| options.expires = Some(When::At(at)))
    }

    /// Sends it to that queue.
    pub fn queue(self, name: impl Into<String>) -> Self {
        self.set(|options| options.queue = Some(name.into()))
    }

    /// Sends it to that exchange.
    pub fn exchange(self, name: impl Into<String>) -> Self {
        self.set(|options| options.exchange = Some(name.into()))
    }

    /// Sends it with that routing key.
    pub fn routing_key(self, key: impl Into<String>) -> Self {
        self.set(|options| options.routing_key = Some(key.into()))
    }

    /// Sends it with that priority: on Redis 0 is served first, on RabbitMQ the highest.
    pub fn priority(self, priority: u8) -> Self {
        self.set(|options| options.priority = Some(priority.into()))
    }

    /// Adds a header to the message. A task finds it in [`Context::headers`](crate::context::Context::headers).
    pub fn header(self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.set(|options| {
            options.headers.insert(name.into(), value.into());
        })
    }

    /// Gives it that id instead of a new one.
    pub fn task_id(self, id: impl Into<String>) -> Self {
        self.set(|options| options.task_id = Some(id.into()))
    }

    /// Shows that name instead of the task's in logs and monitors.
    pub fn shadow(self, name: impl Into<String>) -> Self {
        self.set(|options| options.shadow = Some(name.into()))
    }

    /// Serializes the message with `json`, `msgpack` or `yaml`.
    pub fn serializer(self, name: impl Into<String>) -> Self {
        self.set(|options| options.serializer = Some(name.into()))
    }

    /// Compresses the message with `zlib`, `bzip2` or `zstd`.
    pub fn compression(self, name: impl Into<String>) -> Self {
        self.set(|options| options.compression = Some(name.into()))
    }

    /// Shows that text in place of the positional arguments in logs and monitors.
    pub fn argsrepr(self, text: impl Into<String>) -> Self {
        self.set(|options| options.argsrepr = Some(text.into()))
    }

    /// Shows that text in place of the keyword arguments in logs and monitors.
    pub fn kwargsrepr(self, text: impl Into<String>) -> Self {
        self.set(|options| options.kwargsrepr = Some(text.into()))
    }

    /// Says whether the result is to be dropped, whatever the task says.
    pub fn ignore_result(self, on: bool) -> Self {
        self.set(|options| options.ignore_result = Some(on))
    }

    /// Stops the task after that many seconds, whatever its own limit is.
    pub fn time_limit(self, seconds: impl Into<f64>) -> Self {
        self.set(|options| options.time_limit = Some(seconds.into()))
    }

    /// Tells the task to stop after that many seconds, whatever its own limit is.
    pub fn soft_time_limit(self, seconds: impl Into<f64>) -> Self {
        self.set(|options| options.soft_time_limit = Some(seconds.into()))
    }

    /// Calls that task, with the result of this one, when this one succeeded.
    pub fn link<I, O>(self, callback: Signature<I, O>) -> Self
    where
        I: Accepts<Out>,
    {
        self.attach(callback, |options, callback| options.link.push(callback))
    }

    /// Calls that task, with the id of this one, when this one failed.
    pub fn link_error<I, O>(self, errback: Signature<I, O>) -> Self
    where
        I: Accepts<String>,
    {
        self.attach(errback, |options, errback| options.link_error.push(errback))
    }

    fn attach<I: Input, O>(
        mut self,
        other: Signature<I, O>,
        put: impl FnOnce(&mut CallOptions, Spec),
    ) -> Self {
        match other.into_spec() {
            Ok(spec) => put(&mut self.spec.options, spec),
            Err(error) => self.fault = self.fault.or(Some(error)),
        }
        self
    }

    fn set(mut self, change: impl FnOnce(&mut CallOptions)) -> Self {
        change(&mut self.spec.options);
        self
    }

    fn retyped<I, O>(self) -> Signature<I, O> {
        Signature { spec: self.spec, app: self.app, fault: self.fault, types: PhantomData }
    }
}

impl Signature<Untyped, Value> {
    /// The signature of a task that is known by name only, such as one of a Python worker.
    pub fn named(task: impl Into<String>) -> Self {
        Self {
            spec: Spec::new(task, Vec::new(), Map::new()),
            app: None,
            fault: None,
            types: PhantomData,
        }
    }

    /// Sets the positional arguments: a tuple, or anything that serializes to a list.
    pub fn args(mut self, args: impl Serialize) -> Self {
        match to_value(&args) {
            Ok(Value::Array(args)) => self.spec.args = args,
            Ok(Value::Null) => self.spec.args = Vec::new(),
            Ok(_) => {
                self.fault = Some(Error::Call(
                    "positional arguments are a tuple or a list: `.args((1, 2))`".into(),
                ));
            }
            Err(error) => self.fault = Some(error.into()),
        }
        self
    }

    /// Sets the keyword arguments: a struct, a map, or anything that serializes to an object.
    pub fn kwargs(mut self, kwargs: impl Serialize) -> Self {
        match to_value(&kwargs) {
            Ok(Value::Object(kwargs)) => self.spec.kwargs = kwargs,
            Ok(_) => {
                self.fault = Some(Error::Call(
                    "keyword arguments are a struct or a map: `.kwargs(json!({\"y\": 2}))`".into(),
                ));
            }
            Err(error) => self.fault = Some(error.into()),
        }
        self
    }

    /// Sends it: another word for [`apply_async`](Self::apply_async).
    ///
    /// # Errors
    /// As for `apply_async`.
    pub async fn send(self) -> Result<AsyncResult<Value>, Error> {
        self.apply_async().await
    }
}

impl From<Spec> for Signature<Untyped, Value> {
    fn from(spec: Spec) -> Self {
        Self { spec, app: None, fault: None, types: PhantomData }
    }
}

impl<In, Out> Signature<In, Out> {
    /// Sends the task to its queue and returns a handle of its result.
    ///
    /// # Errors
    /// [`Error::NoApp`] without a current app; [`Error::Broker`] when the message could not be published, after the
    /// retries of `task_publish_retry_policy`; [`Error::Value`] when an argument could not be serialized.
    ///
    /// # Cancel safety
    /// A call that is dropped may or may not have been sent.
    pub async fn apply_async(self) -> Result<AsyncResult<Out>, Error>
    where
        // Here and not on the `impl`, since only then rustc says what the trait has to say.
        In: Complete,
    {
        let app = match &self.app {
            Some(app) => app.clone(),
            None => Celery::current()?,
        };
        let sent = app.send_noting(self.into_spec()?).await?;
        Ok(AsyncResult::of_call(&app, sent.id, sent.ignored))
    }
}

impl<In, Out> Clone for Signature<In, Out> {
    fn clone(&self) -> Self {
        Self {
            spec: self.spec.clone(),
            app: self.app.clone(),
            fault: self.fault.clone(),
            types: PhantomData,
        }
    }
}

impl<In, Out> fmt::Debug for Signature<In, Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spec.fmt(f)
    }
}

/// Arguments of a call, serialized one by one. The first failure is kept for the call to report.
pub struct Arguments(Result<Vec<Value>, Error>);

impl Arguments {
    /// No arguments.
    pub fn new() -> Self {
        Self(Ok(Vec::new()))
    }

    /// One more.
    pub fn push<T: Serialize>(mut self, argument: &T) -> Self {
        if let Ok(arguments) = &mut self.0 {
            match to_value(argument) {
                Ok(value) => arguments.push(value),
                Err(error) => self.0 = Err(ValueError::into(error)),
            }
        }
        self
    }
}

impl fmt::Debug for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Arguments").field(&self.0.as_ref().map(|args| Hidden(args.len()))).finish()
    }
}

impl Default for Arguments {
    fn default() -> Self {
        Self::new()
    }
}
