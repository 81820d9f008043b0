//! `faulty://`: a broker and a result backend in this process that fail when they are told to.

use std::{
    collections::HashMap,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use celery::{
    __private::inventory,
    Builder, TaskMeta,
    core::{
        backend::{Backend, BackendError},
        conformance::Faulty,
        memory::{MemoryBackend, MemoryBroker},
        transport::{BackendTransport, BrokerTransport},
    },
};
use serde_json::Value;

use super::{Circle, memory_url};

inventory::submit! {
    BrokerTransport {
        schemes: &["faulty"],
        connect: |urls, _config| {
            let broker = servers(urls[0].expose()).broker;
            Box::pin(async move { Ok(broker as _) })
        },
    }
}

inventory::submit! {
    BackendTransport {
        schemes: &["faulty"],
        connect: |url, config| {
            let kept = MemoryBackend::named(url.expose(), config);
            let backend = FaultyBackend { kept, plan: servers(url.expose()).backend };
            Box::pin(async move { Ok(Arc::new(backend) as _) })
        },
    }
}

/// The broker and the backend of one address.
#[derive(Clone)]
pub(crate) struct FaultyServers {
    pub(crate) broker: Arc<Faulty>,
    pub(crate) backend: Arc<BackendPlan>,
}

/// How the backend is to fail.
#[derive(Debug, Default)]
pub(crate) struct BackendPlan {
    failures: AtomicUsize,
    failing_gets: AtomicUsize,
    panics: AtomicBool,
    stores: AtomicUsize,
}

impl BackendPlan {
    /// Loses the connection on so many calls of `store` from now on.
    pub(crate) fn fail(&self, calls: usize) {
        self.failures.store(calls, Ordering::SeqCst);
    }

    /// Loses the connection on so many calls of `get` from now on.
    pub(crate) fn fail_gets(&self, calls: usize) {
        self.failing_gets.store(calls, Ordering::SeqCst);
    }

    /// Panics on the next call of `store`, as a backend does that has a fault.
    pub(crate) fn panic(&self) {
        self.panics.store(true, Ordering::SeqCst);
    }

    /// How often `store` was called.
    pub(crate) fn stores(&self) -> usize {
        self.stores.load(Ordering::SeqCst)
    }
}

/// A circle on servers that can be made to fail.
#[expect(clippy::needless_pass_by_value, reason = "it is written where it is called")]
pub(crate) fn faulty(settings: Value) -> (Circle, FaultyServers) {
    faulty_with(|builder| builder, &settings)
}

/// The same, with what else the builder is given.
pub(crate) fn faulty_with(
    more: impl FnOnce(Builder) -> Builder,
    settings: &Value,
) -> (Circle, FaultyServers) {
    let url = memory_url().replace("memory", "faulty");
    let circle = Circle::build(|builder| more(builder.broker(&url).backend(&url)), settings);
    (circle, servers(&url))
}

fn servers(url: &str) -> FaultyServers {
    static SERVERS: LazyLock<Mutex<HashMap<String, FaultyServers>>> = LazyLock::new(Mutex::default);
    let mut servers = SERVERS.lock().expect("nobody panics in here");
    let make = || FaultyServers {
        broker: Arc::new(Faulty::new(Arc::new(MemoryBroker::named(url)))),
        backend: Arc::default(),
    };
    servers.entry(url.to_owned()).or_insert_with(make).clone()
}

#[derive(Debug)]
struct FaultyBackend {
    kept: MemoryBackend,
    plan: Arc<BackendPlan>,
}

#[async_trait]
impl Backend for FaultyBackend {
    async fn store(&self, meta: &TaskMeta) -> Result<(), BackendError> {
        self.plan.stores.fetch_add(1, Ordering::SeqCst);
        assert!(!self.plan.panics.swap(false, Ordering::SeqCst), "panicked on purpose");
        lose(&self.plan.failures)?;
        self.kept.store(meta).await
    }

    async fn get(&self, task_id: &str) -> Result<Option<TaskMeta>, BackendError> {
        lose(&self.plan.failing_gets)?;
        self.kept.get(task_id).await
    }

    async fn wait(&self, task_id: &str) -> Result<TaskMeta, BackendError> {
        self.kept.wait(task_id).await
    }

    async fn forget(&self, task_id: &str) -> Result<(), BackendError> {
        self.kept.forget(task_id).await
    }

    async fn close(&self) -> Result<(), BackendError> {
        self.kept.close().await
    }
}

/// Fails as long as there are failures left.
fn lose(left: &AtomicUsize) -> Result<(), BackendError> {
    let fewer = |left: usize| left.checked_sub(1);
    match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer) {
        Ok(_) => Err(BackendError::connection_lost("lost on purpose")),
        Err(_) => Ok(()),
    }
}
