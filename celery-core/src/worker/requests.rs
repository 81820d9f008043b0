//! The requests that a worker holds, each from its receipt to its end: what remote control shows, and acts on.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Deref,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering},
    },
};

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::{clock, protocol::TaskMessage};

/// The requests of a worker, and how many it has begun.
#[derive(Debug)]
pub(super) struct Requests {
    /// In the order of their receipt.
    held: Mutex<BTreeMap<u64, Arc<Held>>>,
    received: AtomicU64,
    /// By task.
    begun: HashMap<&'static str, AtomicU64>,
}

/// A request that a worker holds.
#[derive(Debug)]
pub(super) struct Held {
    /// The message.
    pub(super) message: Arc<TaskMessage>,
    /// The name of the task as it is registered.
    task: &'static str,
    stage: Mutex<Stage>,
    acknowledged: AtomicBool,
    termination: Termination,
    /// Told when another worker is to run it.
    cancelled: Notify,
}

/// How a request is asked to end before its time: a signal, and who waits for one.
#[derive(Debug, Default)]
struct Termination {
    signal: AtomicI32,
    asked: Notify,
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It waits for a slot.
    Reserved,
    /// It runs.
    Active {
        /// Since when.
        since: Timestamp,
        /// In which process.
        pid: u32,
    },
}

/// Keeps a request among those that are held, until it is dropped.
#[derive(Debug)]
pub(super) struct Hold {
    requests: Arc<Requests>,
    number: u64,
    held: Arc<Held>,
}

impl Requests {
    /// None yet, of these tasks.
    pub(super) fn new(tasks: impl IntoIterator<Item = &'static str>) -> Arc<Self> {
        let begun = tasks.into_iter().map(|task| (task, AtomicU64::new(0))).collect();
        Arc::new(Self { held: Mutex::default(), received: AtomicU64::new(0), begun })
    }

    /// Adds a request that was just received.
    pub(super) fn hold(self: &Arc<Self>, task: &'static str, message: TaskMessage) -> Hold {
        let number = self.received.fetch_add(1, Ordering::Relaxed);
        let held = Arc::new(Held {
            message: Arc::new(message),
            task,
            stage: Mutex::new(Stage::Reserved),
            acknowledged: AtomicBool::new(false),
            termination: Termination::default(),
            cancelled: Notify::new(),
        });
        lock(&self.held).insert(number, Arc::clone(&held));
        Hold { requests: Arc::clone(self), number, held }
    }

    /// Those that are held, in the order of their receipt.
    pub(super) fn all(&self) -> Vec<Arc<Held>> {
        lock(&self.held).values().cloned().collect()
    }

    /// How many are held.
    pub(super) fn count(&self) -> usize {
        lock(&self.held).len()
    }

    /// How many run.
    pub(super) fn active(&self) -> usize {
        let held = lock(&self.held);
        held.values().filter(|held| held.stage() != Stage::Reserved).count()
    }

    /// How many requests have begun.
    pub(super) fn processed(&self) -> u64 {
        self.begun.values().map(|of| of.load(Ordering::Relaxed)).sum()
    }

    /// How many requests of each task have begun.
    pub(super) fn totals(&self) -> Vec<(&'static str, u64)> {
        let begun = self.begun.iter().map(|(&task, of)| (task, of.load(Ordering::Relaxed)));
        let mut totals: Vec<_> = begun.filter(|(_, of)| *of > 0).collect();
        totals.sort_unstable();
        totals
    }
}

impl Held {
    /// How far it has come.
    pub(super) fn stage(&self) -> Stage {
        *lock(&self.stage)
    }

    /// Whether its message has been acknowledged.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until it is asked to be terminated; returns the number of the signal. What was asked for earlier counts.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn termination(&self) -> i32 {
        self.termination.asked.notified().await;
        self.termination.signal.load(Ordering::Relaxed)
    }

    /// Waits until it is to be left to another worker.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn cancellation(&self) {
        self.cancelled.notified().await;
    }

    /// Breaks the run off, for another worker to do.
    pub(super) fn cancel(&self) {
        self.cancelled.notify_one();
    }

    /// Asks for the run to be terminated with the signal of that number: now, or else as soon as it begins.
    ///
    /// An `async` task is dropped at its next `await`, and the child process of a task is sent the signal. A function
    /// that runs inside the worker is asked to stop; it is recorded as terminated, and goes on until it returns.
    pub(super) fn terminate(&self, signal: i32) {
        self.termination.signal.store(signal, Ordering::Relaxed);
        self.termination.asked.notify_one();
    }
}

impl Hold {
    /// Its place in the order of receipt.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Notes that it begins in that process.
    pub(super) fn begin(&self, pid: u32) {
        *lock(&self.held.stage) = Stage::Active { since: clock::now(), pid };
        if let Some(begun) = self.requests.begun.get(self.held.task) {
            begun.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes that it goes on in another process than the one in which it was to begin.
    pub(super) fn moves(&self, to: u32) {
        if let Stage::Active { pid, .. } = &mut *lock(&self.held.stage) {
            *pid = to;
        }
    }

    /// The request.
    pub(super) fn held(&self) -> Arc<Held> {
        Arc::clone(&self.held)
    }

    /// Notes that its message has been acknowledged.
    pub(super) fn acknowledge(&self) {
        self.held.acknowledged.store(true, Ordering::Relaxed);
    }
}

impl Deref for Hold {
    type Target = Held;

    fn deref(&self) -> &Held {
        &self.held
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        lock(&self.requests.held).remove(&self.number);
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn message(id: &str) -> TaskMessage {
        TaskMessage { id: id.to_owned(), ..TaskMessage::default() }
    }

    #[test]
    fn a_request_is_held_until_its_end_and_counted_when_it_begins() {
        let requests = Requests::new(["t.add"]);
        let first = requests.hold("t.add", message("a"));
        let second = requests.hold("t.add", message("b"));
        first.begin(7);
        let ids: Vec<_> = requests.all().iter().map(|held| held.message.id.clone()).collect();
        assert_eq!(ids, ["a", "b"]);
        assert_eq!(requests.active(), 1);
        assert!(matches!(first.stage(), Stage::Active { pid: 7, .. }));
        assert_eq!(second.stage(), Stage::Reserved);
        drop(first);
        assert_eq!((requests.all().len(), requests.active()), (1, 0));
        assert_eq!(requests.totals(), [("t.add", 1)]);
    }

    #[test]
    fn a_request_that_is_terminated_before_it_begins_is_terminated_when_it_does() {
        let requests = Requests::new(["t.add"]);
        let hold = requests.hold("t.add", message("a"));
        assert!(hold.termination().now_or_never().is_none());
        requests.all()[0].terminate(9);
        assert_eq!(hold.termination().now_or_never(), Some(9));
        assert!(hold.termination().now_or_never().is_none());
    }

    #[test]
    fn two_deliveries_of_one_task_are_two_requests() {
        let requests = Requests::new(["t.add"]);
        let first = requests.hold("t.add", message("a"));
        let _again = requests.hold("t.add", message("a"));
        drop(first);
        assert_eq!(requests.all().len(), 1);
    }
}
