//! Signals: what happens in a program that calls tasks or runs them, told to whoever wants to know, under Celery's names.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use jiff::Timestamp;

use crate::{
    app::Celery,
    broker::Malformed,
    context::Context,
    protocol::{ProtocolError, TaskMessage},
    state::State,
    task::Failure,
    value::Value,
};

/// Hears of what happens, by one method for each of Celery's signals. All of them do nothing unless they are written.
///
/// They are called where it happens, one after the other, and what calls them waits: they MUST NOT block. One that panics is
/// logged, and changes nothing. Those from [`task_prerun`](Self::task_prerun) to [`task_failure`](Self::task_failure)
/// are called in the process in which the task runs, as part of its run, before its result is stored; those that follow a
/// run whose process was killed, in the worker.
///
/// ```
/// use celery_core::{app::Celery, protocol::TaskMessage, signals::{Publishing, Signals}};
///
/// struct Tenants;
///
/// impl Signals for Tenants {
///     fn before_task_publish(&self, publishing: &mut Publishing<'_>) {
///         publishing.message.extra_headers.insert("tenant".to_owned(), "acme".into());
///     }
/// }
///
/// let app = Celery::builder("shop").signals(Tenants).build()?;
/// # Ok::<_, celery_core::error::Error>(())
/// ```
#[expect(unused_variables, reason = "their names are part of the documentation")]
pub trait Signals: Send + Sync + 'static {
    /// A task is about to be published. The message may be changed, but for its id and its task.
    fn before_task_publish(&self, publishing: &mut Publishing<'_>) {}

    /// A task was published.
    fn after_task_publish(&self, message: &TaskMessage, exchange: &str, routing_key: &str) {}

    /// A worker received a message for one of its tasks.
    fn task_received(&self, request: &TaskMessage) {}

    /// A task is about to run.
    fn task_prerun(&self, context: &Context) {}

    /// A task has run, however it ended: in which state, and with which result where it has one.
    fn task_postrun(&self, context: &Context, state: &State, result: Option<&Value>) {}

    /// A task returned.
    fn task_success(&self, context: &Context, result: &Value) {}

    /// A task is to be tried again then, because of that failure if there was one.
    fn task_retry(&self, context: &Context, eta: Timestamp, reason: Option<&Failure>) {}

    /// A task failed.
    fn task_failure(&self, context: &Context, failure: &Failure) {}

    /// A worker could not carry a request through, because of a fault of its own.
    fn task_internal_error(&self, reason: &str) {}

    /// A task was not run, or was ended while it ran.
    fn task_revoked(&self, request: &TaskMessage, how: RevokedHow) {}

    /// A message was set aside since it cannot be read.
    fn task_rejected(&self, why: Unreadable<'_>) {}

    /// A message was set aside since no task of its name is registered.
    fn task_unknown(&self, request: &TaskMessage) {}

    /// A worker begins to start.
    fn celeryd_init(&self, app: &Celery, hostname: &str) {}

    /// It knows which queues it will consume.
    fn celeryd_after_setup(&self, hostname: &str, queues: &[&str]) {}

    /// It is set up, and about to connect.
    fn worker_init(&self, hostname: &str) {}

    /// It consumes, for the first time or on a new connection.
    fn worker_ready(&self, hostname: &str) {}

    /// It was asked to stop: whether it waits for the tasks that run.
    fn worker_shutting_down(&self, hostname: &str, warm: bool) {}

    /// It has stopped.
    fn worker_shutdown(&self, hostname: &str) {}

    /// It has sent a heartbeat.
    fn heartbeat_sent(&self, hostname: &str) {}
}

/// A task that is about to be published.
#[derive(Debug)]
#[non_exhaustive]
pub struct Publishing<'a> {
    /// The message: its headers, its properties, its arguments.
    pub message: &'a mut TaskMessage,
    /// The exchange that it is published to.
    pub exchange: &'a str,
    /// The routing key that it is published with.
    pub routing_key: &'a str,
}

/// How a task was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RevokedHow {
    /// With which signal it was ended while it ran.
    pub signum: Option<i32>,
    /// Whether it was not begun in time.
    pub expired: bool,
}

/// A message that cannot be read.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Unreadable<'a> {
    /// It is no message.
    Malformed(&'a Malformed),
    /// It breaks the task protocol, or is written in what is not accepted.
    Protocol(&'a ProtocolError),
}

impl RevokedHow {
    pub(crate) fn new(signum: Option<i32>, expired: bool) -> Self {
        Self { signum, expired }
    }
}

/// All who want to know, in the order in which they were registered.
#[derive(Clone, Default)]
pub(crate) struct Listeners(Vec<Arc<dyn Signals>>);

impl Listeners {
    pub(crate) fn push(&mut self, signals: impl Signals) {
        self.0.push(Arc::new(signals));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells each of them. One that panics is logged.
    pub(crate) fn tell(&self, signal: &str, mut tell: impl FnMut(&dyn Signals)) {
        for listener in &self.0 {
            guarded(signal, || tell(listener.as_ref()));
        }
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listeners({})", self.0.len())
    }
}

/// Calls what a program has given us. A panic is logged, and changes nothing.
pub(crate) fn guarded(name: &str, call: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(call)) {
        let message = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let message = message.or_else(|| payload.downcast_ref::<String>().cloned());
        let message = message.unwrap_or_else(|| "a value".to_owned());
        tracing::error!(target: "celery::worker", "`{name}` panicked, which changes nothing: {message}");
    }
}
