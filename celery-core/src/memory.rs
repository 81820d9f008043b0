//! `memory://`: the broker and the result backend that need no server.
//!
//! Messages and results live in this process, under a name: `memory://`, `memory://orders`. There is one broker and
//! one result backend per name, shared by all apps of the process and alive as long as it, so that one app's worker
//! runs what another app published. For tests, examples and programs that are their own worker.
//!
//! Nothing but the name and `result_expires` is asked for: transport options, which speak of servers, are not looked
//! at, so that a program runs on `memory://` with the settings that it has for its server.
//!
//! Queues, priorities, exchanges and redelivery are as kombu has them on Redis, so that what was tested here behaves
//! the same there. All waiting is on events and on tokio's timers: with tokio's clock paused, a day's countdown takes no
//! time.

mod backend;
mod broker;
mod consumer;
mod joins;
mod queue;
mod store;

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    backend::BackendError,
    broker::BrokerError,
    config::ServerUrl,
    transport::{BackendTransport, BrokerTransport},
};

pub use self::{backend::MemoryBackend, broker::MemoryBroker};

const SCHEMES: &[&str] = &["memory"];

inventory::submit! {
    BrokerTransport {
        schemes: SCHEMES,
        connect: |urls, _config| {
            // Memory is never lost, so there is no other to go on to.
            let broker = MemoryBroker::named(urls.first().map_or("", name));
            Box::pin(async move {
                here().map_err(BrokerError::refused)?;
                Ok(Arc::new(broker) as _)
            })
        },
    }
}

inventory::submit! {
    BackendTransport {
        schemes: SCHEMES,
        connect: |url, config| {
            let backend = MemoryBackend::named(name(url), config);
            Box::pin(async move {
                here().map_err(BackendError::other)?;
                Ok(Arc::new(backend) as _)
            })
        },
    }
}

/// Whether this process is the child of the one whose memory is meant.
static IS_ELSEWHERE: AtomicBool = AtomicBool::new(false);

/// Says that this process is the child of another, in whose memory messages and results are: what were sent here would
/// be seen by nobody, and is refused.
#[cfg(unix)]
pub(crate) fn is_elsewhere() {
    IS_ELSEWHERE.store(true, Ordering::Relaxed);
}

fn here() -> Result<(), &'static str> {
    if IS_ELSEWHERE.load(Ordering::Relaxed) {
        return Err(
            "`memory://` is inside the worker, and this is one of its child processes, which does not reach it; set `broker_url` and `result_backend` to a server",
        );
    }
    Ok(())
}

/// What stands between `memory://` and any options.
fn name(url: &ServerUrl) -> &str {
    let name = url.expose().split_once("://").map_or("", |(_, name)| name);
    name.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/')
}

/// The instances of this process, by name.
#[derive(Debug)]
struct Instances<T>(LazyLock<Mutex<HashMap<String, Arc<T>>>>);

impl<T: Default> Instances<T> {
    const fn new() -> Self {
        Self(LazyLock::new(Mutex::default))
    }

    /// The instance of this name, made upon first use.
    fn get(&self, name: &str) -> Arc<T> {
        Arc::clone(lock(&self.0).entry(name.to_owned()).or_default())
    }
}

/// Locks. A panic while the lock was held leaves no state half changed that the next holder could not use.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
