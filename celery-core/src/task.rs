//! What a task is, and how one ends.

use std::{any::Any, error::Error as StdError, fmt, panic::Location, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    app::Celery,
    arguments::{Hidden, Parameter},
    error::Error,
    exception::Exception,
    options::Options,
    signature::Spec,
    value::{Map, Value},
};

/// A task that can be called: what `#[shared_task]` makes of a function.
///
/// Nobody writes it by hand. The body is not part of it, since a task may live elsewhere (`#[remote_task]`): what
/// runs is in the [`Registration`](crate::registry::Registration).
pub trait Task: Sized + Send + 'static {
    /// The name that it is registered and sent under.
    const NAME: &'static str;
    /// Its options.
    const OPTIONS: Options;
    /// Its parameters, in order.
    const PARAMETERS: &'static [Parameter];
    /// What it returns.
    type Output: 'static;

    /// The app that it is bound to with `#[task(app = …)]`; `None` is whichever app is current.
    fn app() -> Option<Celery> {
        None
    }
}

/// How a task ends when it does not return a value.
///
/// Any `std` error becomes [`Failed`](Self::Failed) with `?` or `.into()`, and keeps the name of its type, which
/// crosses the wire.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TaskError {
    /// It failed.
    Failed(Box<Failure>),
    /// It is to be tried again.
    Retry(Box<Retry>),
    /// Nothing is to be recorded of this run.
    Ignore,
    /// The message is to be rejected.
    Reject(Reject),
    /// A signature is to be run in its place.
    Replace(Box<Spec>),
}

/// Ends a run of which nothing is to be recorded: `Err(Ignore.into())`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignore;

/// Rejects the message: `Err(Reject::requeue("not now").into())`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// Why.
    pub reason: String,
    /// Whether it goes back to its queue.
    pub requeue: bool,
}

impl Reject {
    /// Drops the message, or dead-letters it where the broker does that.
    pub fn drop(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), requeue: false }
    }

    /// Puts the message back into its queue.
    pub fn requeue(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), requeue: true }
    }
}

/// The failure of a task. It serializes without the Rust error behind it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Failure {
    /// What crosses the wire.
    pub exception: Exception,
    /// Where it arose, as `file:line`.
    pub location: Option<String>,
    /// A traceback that is known in full, such as that of a panic.
    pub traceback: Option<String>,
    #[serde(skip)]
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Failure {
    /// A failure of that type and message which has no Rust error behind it.
    pub fn new(exception: Exception) -> Self {
        Self { exception, location: None, traceback: None, source: None }
    }

    /// The error, for `autoretry_for` to look at.
    pub fn error(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.source {
            Some(error) => Some(error.as_ref()),
            None => None,
        }
    }

    /// The text that a result holds as its traceback, in the form of Python's.
    pub fn traceback(&self, task: &str) -> String {
        if let Some(traceback) = &self.traceback {
            return traceback.clone();
        }
        let mut text = "Traceback (most recent call last):\n".to_owned();
        if let Some((file, line)) =
            self.location.as_deref().and_then(|location| location.rsplit_once(':'))
        {
            text.push_str(&format!("  File \"{file}\", line {line}, in {task}\n"));
        }
        text.push_str(&format!("{}.{}\n", self.exception.exc_module, self.exception));
        text
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Failure({})", self.exception)
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for TaskError {
    #[track_caller]
    fn from(error: E) -> Self {
        let location = Location::caller();
        let (exception, location) = match (&error as &dyn Any).is::<SoftTimeLimitExceeded>() {
            // It arises nowhere in the task, and has a name in Celery.
            true => (SoftTimeLimitExceeded::exception(), None),
            false => (
                Exception::from_error(&error),
                Some(format!("{}:{}", location.file(), location.line())),
            ),
        };
        Self::Failed(Box::new(Failure {
            exception,
            location,
            traceback: None,
            source: Some(Arc::new(error)),
        }))
    }
}

impl From<Failure> for TaskError {
    fn from(failure: Failure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

impl From<Retry> for TaskError {
    fn from(retry: Retry) -> Self {
        Self::Retry(Box::new(retry))
    }
}

impl From<Ignore> for TaskError {
    fn from(_: Ignore) -> Self {
        Self::Ignore
    }
}

impl From<Reject> for TaskError {
    fn from(reject: Reject) -> Self {
        Self::Reject(reject)
    }
}

impl From<Replace> for TaskError {
    fn from(replace: Replace) -> Self {
        match replace.signature {
            Ok(signature) => Self::Replace(Box::new(signature)),
            Err(error) => error.into(),
        }
    }
}

/// A wish that a signature is run in place of the task, from [`Context::replace`](crate::context::Context::replace).
#[derive(Clone, Debug)]
#[must_use = "a task is replaced when it returns this as its error"]
pub struct Replace {
    pub(crate) signature: Result<Spec, Error>,
}

/// A wish to be run again, from [`Context::retry`](crate::context::Context::retry).
#[derive(Clone, Default, Serialize, Deserialize)]
#[must_use = "a retry happens when the task returns it as its error"]
pub struct Retry {
    /// When: after a while, or at a time. `None` is the task's `default_retry_delay`.
    pub when: Option<When>,
    /// The limit for this call, in place of the task's; `Some(None)` is no limit.
    #[serde(skip)] // It is decided upon where the task ran.
    pub max_retries: Option<Option<u32>>,
    /// What it failed with this time.
    pub cause: Option<Failure>,
    /// Positional arguments in place of this run's.
    pub args: Option<Vec<Value>>,
    /// Keyword arguments in place of this run's.
    pub kwargs: Option<Map>,
}

impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("when", &self.when)
            .field("max_retries", &self.max_retries)
            .field("cause", &self.cause)
            .field("args", &self.args.as_ref().map(|args| Hidden(args.len())))
            .field("kwargs", &self.kwargs.as_ref().map(|kwargs| Hidden(kwargs.len())))
            .finish()
    }
}

/// A point in time, or a time from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum When {
    /// That long from now.
    In(Duration),
    /// Then.
    At(Timestamp),
}

impl When {
    /// That many seconds from now. What is no positive number is now; what is more than can be told is the longest
    /// time that can.
    pub fn in_seconds(seconds: f64) -> Self {
        let longest = if seconds > 0.0 { Duration::MAX } else { Duration::ZERO };
        Self::In(Duration::try_from_secs_f64(seconds).unwrap_or(longest))
    }

    /// The time, as seen at `now`: no later than the last one that can be told.
    pub fn after(self, now: Timestamp) -> Timestamp {
        match self {
            Self::In(delay) => now.checked_add(delay).unwrap_or(Timestamp::MAX),
            Self::At(at) => at,
        }
    }
}

impl Retry {
    /// Runs again after that many seconds.
    pub fn countdown(mut self, seconds: impl Into<f64>) -> Self {
        self.when = Some(When::in_seconds(seconds.into()));
        self
    }

    /// Runs again at that time.
    pub fn eta(mut self, at: Timestamp) -> Self {
        self.when = Some(When::At(at));
        self
    }

    /// Allows that many retries, whatever the task's option says.
    pub fn max_retries(mut self, retries: impl Into<Option<u32>>) -> Self {
        self.max_retries = Some(retries.into());
        self
    }

    /// Names what the task failed with: the result meanwhile, and the failure once no retries are left.
    #[track_caller]
    pub fn cause(mut self, error: impl Into<TaskError>) -> Self {
        if let TaskError::Failed(failure) = error.into() {
            self.cause = Some(*failure);
        }
        self
    }

    /// Runs again with these positional arguments.
    pub fn args(mut self, args: Vec<Value>) -> Self {
        self.args = Some(args);
        self
    }

    /// Runs again with these keyword arguments.
    pub fn kwargs(mut self, kwargs: Map) -> Self {
        self.kwargs = Some(kwargs);
        self
    }
}

/// Raised in a task that passed its soft time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the soft time limit was exceeded")]
pub struct SoftTimeLimitExceeded;

impl SoftTimeLimitExceeded {
    /// What Python calls it.
    fn exception() -> Exception {
        Exception {
            exc_message: Vec::new(),
            ..Exception::new("SoftTimeLimitExceeded", "billiard.exceptions", Value::Null)
        }
    }
}
