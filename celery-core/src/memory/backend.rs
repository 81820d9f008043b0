//! The result backend of `memory://`.

mod groups;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::oneshot;

use self::groups::MemoryGroups;
use super::{Instances, joins::Books, lock};
use crate::{
    backend::{Backend, BackendError, Groups, Joins},
    clock,
    config::Config,
    state::{State, TaskMeta},
};

static BACKENDS: Instances<Mutex<Results>> = Instances::new();

/// A handle of the embedded result backend of some name.
///
/// All handles of one name are the same backend, and closing or dropping them does not end it. Results live as long
/// as the settings say that the handle was made with, which `result_serializer` is not among: nothing is serialized.
#[derive(Clone, Debug)]
pub struct MemoryBackend {
    pub(super) results: Arc<Mutex<Results>>,
    groups: MemoryGroups,
    lifetime: Option<Duration>,
    failure_lifetime: Option<Duration>,
    pub(super) chord_lifetime: Option<Duration>,
    /// For how long a join is left to who is to complete it.
    pub(super) claim: Duration,
}

/// What all handles of one name share.
#[derive(Debug, Default)]
pub(super) struct Results {
    entries: HashMap<String, Entry>,
    /// When entries expire, so that sweeping looks at those alone.
    expiries: BTreeSet<(Timestamp, String)>,
    waiters: HashMap<String, Vec<Waiter>>,
    waits: u64,
    pub(super) joins: Books,
}

#[derive(Debug)]
struct Entry {
    meta: TaskMeta,
    expires: Option<Timestamp>,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    woken: oneshot::Sender<TaskMeta>,
}

impl MemoryBackend {
    /// The backend of this process that has this name, made upon first use.
    pub fn named(name: &str, config: &Config) -> Self {
        Self {
            results: BACKENDS.get(name),
            groups: MemoryGroups::named(name, config.result.expires),
            lifetime: config.result.expires,
            failure_lifetime: config.result.failure_lifetime(),
            chord_lifetime: config.result.chord_lifetime(),
            claim: config.result.chord_claim(),
        }
    }

    /// When what is stored now in that state expires.
    pub(super) fn expiry(&self, state: &State) -> Option<Timestamp> {
        let lifetime = if *state == State::Failure { self.failure_lifetime } else { self.lifetime };
        // A lifetime that ends after the last day that can be told is for ever.
        lifetime.and_then(|lifetime| clock::now().checked_add(lifetime).ok())
    }

    /// How many entries and waiters are held.
    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize) {
        let results = lock(&self.results);
        assert!(results.expiries.len() <= results.entries.len());
        (results.entries.len(), results.waiters.len())
    }
}

#[async_trait]
impl Backend for MemoryBackend {
    async fn store(&self, meta: &TaskMeta) -> Result<(), BackendError> {
        let expires = self.expiry(&meta.state);
        lock(&self.results).store(meta, expires);
        Ok(())
    }

    async fn get(&self, task_id: &str) -> Result<Option<TaskMeta>, BackendError> {
        Ok(lock(&self.results).get(task_id).cloned())
    }

    async fn get_many(&self, task_ids: &[&str]) -> Result<Vec<Option<TaskMeta>>, BackendError> {
        let results = lock(&self.results);
        Ok(task_ids.iter().map(|task_id| results.get(task_id).cloned()).collect())
    }

    async fn wait(&self, task_id: &str) -> Result<TaskMeta, BackendError> {
        let (woken, result) = oneshot::channel();
        let _waiting = {
            let mut results = lock(&self.results);
            match results.get(task_id) {
                Some(meta) if meta.state.is_ready() => return Ok(meta.clone()),
                _ => {}
            }
            results.waits += 1;
            let number = results.waits;
            results.waiters.entry(task_id.to_owned()).or_default().push(Waiter { number, woken });
            Waiting { results: &self.results, task_id, number }
        };
        // The sender is dropped unsent only by `_waiting`, which outlives this.
        result.await.map_err(BackendError::other)
    }

    async fn forget(&self, task_id: &str) -> Result<(), BackendError> {
        lock(&self.results).forget(task_id);
        Ok(())
    }

    fn groups(&self) -> Option<&dyn Groups> {
        Some(&self.groups)
    }

    fn joins(&self) -> Option<&dyn Joins> {
        Some(self)
    }

    async fn close(&self) -> Result<(), BackendError> {
        Ok(())
    }
}

impl Results {
    /// Stores a state and wakes who waits for it, except where a success is stored already.
    pub(super) fn store(&mut self, meta: &TaskMeta, expires: Option<Timestamp>) {
        self.sweep(clock::now());
        let there = self.entries.get(&meta.task_id);
        if there.is_some_and(|entry| entry.meta.state == State::Success) {
            return;
        }
        self.forget(&meta.task_id);
        if let Some(at) = expires {
            self.expiries.insert((at, meta.task_id.clone()));
        }
        self.entries.insert(meta.task_id.clone(), Entry { meta: meta.clone(), expires });
        if meta.state.is_ready() {
            for waiter in self.waiters.remove(&meta.task_id).unwrap_or_default() {
                // One that was given up this moment has no need of it.
                _ = waiter.woken.send(meta.clone());
            }
        }
    }

    /// What is stored of the task and has not expired.
    fn get(&self, task_id: &str) -> Option<&TaskMeta> {
        let entry = self.entries.get(task_id)?;
        let expired = entry.expires.is_some_and(|expires| expires <= clock::now());
        (!expired).then_some(&entry.meta)
    }

    fn forget(&mut self, task_id: &str) {
        if let Some(Entry { expires: Some(at), .. }) = self.entries.remove(task_id) {
            self.expiries.remove(&(at, task_id.to_owned()));
        }
    }

    /// Drops what has expired.
    fn sweep(&mut self, now: Timestamp) {
        while self.expiries.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, id)) = self.expiries.pop_first() {
                self.entries.remove(&id);
            }
        }
    }
}

/// A wait that has not ended. Dropped, it leaves nothing behind.
struct Waiting<'a> {
    results: &'a Mutex<Results>,
    task_id: &'a str,
    number: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut results = lock(self.results);
        if let Some(waiters) = results.waiters.get_mut(self.task_id) {
            waiters.retain(|waiter| waiter.number != self.number);
            if waiters.is_empty() {
                results.waiters.remove(self.task_id);
            }
        }
    }
}
