//! What tasks tell of themselves, and a gate that holds them.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::Value;
use tokio::sync::{Notify, Semaphore};

use super::within;

/// What the tasks of an app share with its test.
#[derive(Clone)]
pub(crate) struct Probe(Arc<Inner>);

struct Inner {
    notes: Mutex<Vec<Value>>,
    noted: Notify,
    gate: Semaphore,
    running: AtomicUsize,
    most: AtomicUsize,
}

/// A task that is inside. Dropped, it is not.
pub(crate) struct Inside(Probe);

impl Default for Probe {
    fn default() -> Self {
        Self(Arc::new(Inner {
            notes: Mutex::default(),
            noted: Notify::new(),
            gate: Semaphore::new(0),
            running: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        }))
    }
}

impl Probe {
    /// Notes something, in order.
    pub(crate) fn note(&self, what: impl Into<Value>) {
        self.0.notes.lock().expect("no note panics").push(what.into());
        self.0.noted.notify_waiters();
    }

    /// All notes.
    pub(crate) fn notes(&self) -> Vec<Value> {
        self.0.notes.lock().expect("no note panics").clone()
    }

    /// Waits until there are that many notes, and returns them all.
    pub(crate) async fn noted(&self, count: usize) -> Vec<Value> {
        let there = async {
            loop {
                let noted = self.0.noted.notified();
                let notes = self.notes();
                if notes.len() >= count {
                    return notes;
                }
                noted.await;
            }
        };
        within(there).await
    }

    /// Lets that many tasks through the gate, now or when they come.
    pub(crate) fn open(&self, tasks: usize) {
        self.0.gate.add_permits(tasks);
    }

    /// Waits at the gate.
    pub(crate) async fn pass(&self) {
        self.0.gate.acquire().await.expect("the gate is never closed").forget();
    }

    /// Counts a task that runs.
    pub(crate) fn enter(&self) -> Inside {
        let running = self.0.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most.fetch_max(running, Ordering::SeqCst);
        Inside(self.clone())
    }

    /// How many ran at once, at most.
    pub(crate) fn most(&self) -> usize {
        self.0.most.load(Ordering::SeqCst)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}
