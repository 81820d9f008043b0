//! The one error that a caller of `delay` and `get` meets.

use std::sync::Arc;

use crate::{
    backend::BackendError,
    broker::BrokerError,
    codec::{DecodeError, EncodeError},
    config::ConfigError,
    exception::Exception,
    registry::RegistryError,
    state::State,
    value::ValueError,
};

/// What can go wrong when a task is called, or its result asked for.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The broker.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The result backend.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The settings.
    #[error(transparent)]
    Config(#[from] Arc<ConfigError>),
    /// The tasks of this program.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Arguments that cannot be serialized.
    #[error("could not serialize the message")]
    Encode(#[source] Arc<EncodeError>),
    /// A message or a result that cannot be read.
    #[error("could not read what was received")]
    Decode(#[source] Arc<DecodeError>),
    /// A value that is not of the Rust type, or the other way round.
    #[error("could not convert a value")]
    Value(#[source] Arc<ValueError>),
    /// The task failed, or was revoked: what it failed with, as data.
    #[error("task {task_id} raised {exception}")]
    Task {
        /// The id of the task.
        task_id: String,
        /// `FAILURE` or `REVOKED`.
        state: State,
        /// What it failed with.
        exception: Box<Exception>,
        /// Where, as the worker told it.
        traceback: Option<String>,
    },
    /// The result did not come in time.
    #[error("the result of task {task_id} did not come within {seconds} s")]
    Timeout {
        /// The id of the task.
        task_id: String,
        /// The limit that was given.
        seconds: f64,
    },
    /// A task is not done, so that it is not known yet what it will publish.
    #[error(
        "task {task_id} is not done, so that it is not known what follows it; wait for it first"
    )]
    IncompleteStream {
        /// The id of the task, or of the group that it is in.
        task_id: String,
    },
    /// There is no current app.
    #[error(
        "no current app: call `Celery::set_current(&app)` once at start-up, before the first task is called, or run the code in `app.scope(…)`"
    )]
    NoApp,
    /// A call that cannot be made.
    #[error("{0}")]
    Call(String),
    /// Some of the tasks that were to be sent together were not sent, as far as is known.
    #[error(transparent)]
    Unsent(Box<Unsent>),
}

/// How far [`Celery::send_all`](crate::app::Celery::send_all) came.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "could not send all tasks: {} were sent, and of {} it is not known whether they were",
    .sent.len(),
    .unsure.len()
)]
pub struct Unsent {
    /// The ids of the tasks that were sent: the first of those that were given.
    pub sent: Vec<String>,
    /// The ids of the tasks behind them that were on their way, and may have been sent. What follows them was not.
    pub unsure: Vec<String>,
    /// Why it did not go on.
    pub source: Error,
}

impl Error {
    /// What the task failed with, when that is what went wrong.
    pub fn exception(&self) -> Option<&Exception> {
        match self {
            Self::Task { exception, .. } => Some(exception),
            _ => None,
        }
    }
}

impl From<EncodeError> for Error {
    fn from(error: EncodeError) -> Self {
        Self::Encode(Arc::new(error))
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::Decode(Arc::new(error))
    }
}

impl From<ValueError> for Error {
    fn from(error: ValueError) -> Self {
        Self::Value(Arc::new(error))
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::Config(Arc::new(error))
    }
}
