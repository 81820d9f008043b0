//! An app of its own for each test, and workers of it inside the test's process.
//!
//! Nothing here sleeps. What a task does is seen through a [`Probe`], and what is waited for comes within a limit, which
//! under paused time is over at once when nothing else is left to happen.

pub(super) mod canvas;
mod faulty;
mod log;
mod probe;
mod raw;
mod states;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use celery::{
    AsyncResult, Builder, Celery, Error, Heartbeat, Shutdown, Signature, Worker, WorkerOptions,
    core::{
        broker::{Broker, Exchange, Publication, Quarantined},
        message::Message,
        signature::Complete,
    },
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

pub(super) use self::{
    faulty::{FaultyServers, faulty, faulty_with},
    log::Log,
    probe::Probe,
    raw::push_raw,
    states::app,
};

/// How long a test waits for what must come, retries and countdowns of days included: no time when it is paused.
const LIMIT: Duration = Duration::from_secs(7 * 24 * 3600);

/// The node name of the workers.
pub(super) const NODE: &str = "w1@test";

/// An app, with its broker and result backend, and what its tasks tell of themselves.
pub(super) struct Circle {
    pub(super) app: Celery,
    pub(super) probe: Probe,
    /// What the keys of Redis begin with.
    pub(super) prefix: String,
}

impl Circle {
    /// On a broker in this process that no other test has.
    pub(super) fn new() -> Self {
        Self::with(json!({}))
    }

    /// The same, with these settings.
    #[expect(clippy::needless_pass_by_value, reason = "it is written where it is called")]
    pub(super) fn with(settings: Value) -> Self {
        let url = memory_url();
        Self::build(|builder| builder.broker(&url).backend(&url), &settings)
    }

    /// On the Redis server of the tests, under a prefix that no other test has.
    pub(super) fn redis() -> Self {
        let url = redis_url();
        let prefix = format!("circle-{}-{}:", std::process::id(), number());
        let options = json!({ "global_keyprefix": prefix });
        let settings = json!({
            "broker_transport_options": options,
            "result_backend_transport_options": options,
        });
        Self { prefix, ..Self::build(|builder| builder.broker(&url).backend(&url), &settings) }
    }

    /// With whatever broker and backend the builder is given.
    pub(super) fn build(urls: impl FnOnce(Builder) -> Builder, settings: &Value) -> Self {
        let probe = Probe::default();
        let builder = states::with_states(Celery::builder("circle"), &probe).environment_from([]);
        let builder = urls(builder).config_from_object(settings, "").expect("a map of settings");
        let app = builder.build().expect("settings that are right");
        Self { app, probe, prefix: String::new() }
    }

    /// Starts a worker that runs two tasks at once.
    pub(super) fn worker(&self) -> Running {
        self.worker_with(WorkerOptions { concurrency: Some(2), ..WorkerOptions::default() })
    }

    pub(super) fn worker_with(&self, options: WorkerOptions) -> Running {
        // In a test that leaps over days a heartbeat every two seconds would take its time, so it is only there for a
        // test that says how often it beats.
        let heartbeat = match options.heartbeat {
            usual if usual == Heartbeat::default() => Heartbeat::Never,
            other => other,
        };
        let options = WorkerOptions { hostname: Some(NODE.to_owned()), heartbeat, ..options };
        let worker = Worker::new(&self.app, options).expect("a worker");
        let shutdown = Shutdown::default();
        let ended = tokio::spawn(worker.run(shutdown.clone()));
        Running { shutdown, ended }
    }

    /// Calls a task with the app of the circle.
    pub(super) async fn call<I: Complete, O>(&self, task: Signature<I, O>) -> AsyncResult<O> {
        task.with_app(&self.app).apply_async().await.expect("the task is published")
    }

    /// Calls a task and waits until it is done; what is then stored of it.
    pub(super) async fn done<I: Complete, O>(&self, task: Signature<I, O>) -> Value {
        let result = self.call(task).await;
        self.stored(result.id()).await
    }

    /// Waits until the task with that id is done; what is then stored of it.
    pub(super) async fn stored(&self, id: &str) -> Value {
        let result: AsyncResult = AsyncResult::new(&self.app, id);
        within(result.wait()).await.expect("the result backend answers").to_value()
    }

    /// What is stored of the task now.
    pub(super) async fn stored_now(&self, id: &str) -> Option<Value> {
        let backend = self.app.backend().await.expect("the result backend is there");
        backend.get(id).await.expect("the result backend answers").map(|meta| meta.to_value())
    }

    pub(super) async fn broker(&self) -> &Arc<dyn Broker> {
        self.app.broker().await.expect("the broker is there")
    }

    /// Puts a message into a queue as it is.
    pub(super) async fn push(&self, queue: &str, message: Message) {
        let (exchange, routing_key) = (Exchange::anonymous(), queue.to_owned());
        let publication = Publication { exchange, routing_key, message };
        self.broker().await.publish(&[publication]).await.expect("the message is published");
    }

    pub(super) async fn waiting(&self, queue: &str) -> u64 {
        self.broker().await.queue_len(queue).await.expect("the broker answers")
    }

    pub(super) async fn quarantined(&self, queue: &str) -> Vec<Quarantined> {
        self.broker().await.quarantined(queue).await.expect("the broker answers")
    }
}

/// A worker that runs. Dropped, it stops at once.
pub(super) struct Running {
    pub(super) shutdown: Shutdown,
    ended: JoinHandle<Result<(), Error>>,
}

impl Running {
    /// Lets the running tasks end, and waits for the worker to stop.
    pub(super) async fn stop(mut self) {
        self.shutdown.warm.cancel();
        self.ended().await.expect("the worker stops in order");
    }

    /// Waits for the worker to end.
    pub(super) async fn ended(&mut self) -> Result<(), Error> {
        within(&mut self.ended).await.expect("the worker does not panic")
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_finished()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.ended.abort();
    }
}

/// What comes within the limit.
pub(super) async fn within<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, event).await.expect("it comes within its limit")
}

/// The Redis server of the tests.
pub(super) fn redis_url() -> String {
    std::env::var("CELERY_TEST_REDIS_URL")
        .expect("CELERY_TEST_REDIS_URL is not set: run `cargo xtask test`")
}

/// The address of a broker and a backend that no other test has.
pub(super) fn memory_url() -> String {
    format!("memory://circle-{}", number())
}

/// One that no other test of this process has.
pub(super) fn number() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}
