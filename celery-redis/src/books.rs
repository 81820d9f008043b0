//! What this process holds: the tags of deliveries that are out, and the way to settle them.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use celery_core::broker::{BrokerError, Settle, Settlement};
use tokio::sync::{Notify, RwLock, mpsc, oneshot};
use uuid::Uuid;

use crate::{
    connection::Link,
    error::Fault,
    flusher, keeper,
    options::BrokerOptions,
    restore::{self, Alarm},
};

/// The books of one broker of this process, shared by its consumers and deliveries.
#[derive(Debug)]
pub(crate) struct Books {
    pub(crate) link: Link,
    pub(crate) options: Arc<BrokerOptions>,
    /// The name of this process in the server's books.
    pub(crate) process: String,
    held: Mutex<HeldTags>,
    jobs: mpsc::UnboundedSender<Job>,
    /// A fetch reads; who looks for tags that the server has and we do not writes, since the reply of a fetch
    /// that is under way has such tags.
    pub(crate) fetching: RwLock<()>,
    /// Wakes the keeper: a reply was lost.
    pub(crate) wake: Arc<Notify>,
    /// When what is due is looked at.
    pub(crate) alarm: Arc<Alarm>,
}

impl Books {
    /// Opens the books and starts those who write and keep them.
    pub(crate) fn open(link: Link, options: Arc<BrokerOptions>) -> Arc<Self> {
        let (jobs, asked) = mpsc::unbounded_channel();
        let books = Arc::new(Self {
            link,
            options,
            process: Uuid::new_v4().to_string(),
            held: Mutex::default(),
            jobs,
            fetching: RwLock::new(()),
            wake: Arc::default(),
            alarm: Arc::new(Alarm::new()),
        });
        tokio::spawn(flusher::run(books.link.clone(), asked));
        tokio::spawn(keeper::run(Arc::downgrade(&books), Arc::clone(&books.wake)));
        tokio::spawn(restore::run(Arc::downgrade(&books), Arc::clone(&books.alarm)));
        books
    }

    /// Whether the tasks that write them have ended, with the runtime that they were started on.
    pub(crate) fn are_closed(&self) -> bool {
        self.jobs.is_closed()
    }

    /// The tags that are out.
    pub(crate) fn held(&self) -> MutexGuard<'_, HeldTags> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The three keys that every settling script starts with.
    pub(crate) fn keys(&self) -> Vec<String> {
        let keys = &self.options.keys;
        vec![keys.unacked(), keys.unacked_index(), keys.held(&self.process)]
    }

    /// Waits until all that was asked for so far has been carried out.
    pub(crate) async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if self.jobs.send(Job::Flush(done)).is_ok() {
            // An error means that the flusher has ended, and then there is nothing left to wait for.
            let _ = wait.await;
        }
    }
}

impl Drop for Books {
    fn drop(&mut self) {
        self.wake.notify_one();
        self.alarm.ring();
    }
}

/// The tags of deliveries that are out, and how often each is.
///
/// A message that was put back may be fetched again before the reply that it was put back has been read: then it is out
/// twice for a moment, and must not be taken for unknown when the first one is struck off.
#[derive(Debug, Default)]
pub(crate) struct HeldTags(HashMap<String, usize>);

impl HeldTags {
    pub(crate) fn insert(&mut self, tag: &str) {
        match self.0.get_mut(tag) {
            Some(times) => *times += 1,
            None => _ = self.0.insert(tag.to_owned(), 1),
        }
    }

    pub(crate) fn remove(&mut self, tag: &str) {
        match self.0.get_mut(tag) {
            Some(times) if *times > 1 => *times -= 1,
            _ => _ = self.0.remove(tag),
        }
    }

    pub(crate) fn contains(&self, tag: &str) -> bool {
        self.0.contains_key(tag)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What the flusher is asked for.
#[derive(Debug)]
pub(crate) enum Job {
    Settle(Order),
    Flush(oneshot::Sender<()>),
}

/// A settlement to carry out. Its slot is free when it is dropped.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) books: Arc<Books>,
    pub(crate) out: Out,
    pub(crate) how: Settlement,
    pub(crate) done: Option<oneshot::Sender<Result<(), BrokerError>>>,
}

/// A message that is out.
#[derive(Debug)]
pub(crate) struct Out {
    pub(crate) tag: String,
    pub(crate) queue: String,
    pub(crate) item: Bytes,
    pub(crate) priority: i64,
    /// Held for what its drop does.
    pub(crate) _slot: Slot,
}

/// A place within a consumer's prefetch.
#[derive(Debug)]
pub(crate) struct Slot(Arc<Slots>);

/// How many of a consumer's deliveries are out.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    out: AtomicUsize,
    pub(crate) freed: Notify,
}

impl Slots {
    pub(crate) fn out(&self) -> usize {
        self.out.load(Ordering::Acquire)
    }

    pub(crate) fn take(self: &Arc<Self>) -> Slot {
        self.out.fetch_add(1, Ordering::AcqRel);
        Slot(Arc::clone(self))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.out.fetch_sub(1, Ordering::AcqRel);
        self.0.freed.notify_one();
    }
}

/// The driver's half of a delivery.
pub(crate) struct Held {
    books: Arc<Books>,
    out: Option<Out>,
}

impl Held {
    pub(crate) fn new(books: &Arc<Books>, out: Out) -> Self {
        books.held().insert(&out.tag);
        Self { books: Arc::clone(books), out: Some(out) }
    }

    fn order(&mut self, how: Settlement, done: Option<oneshot::Sender<Result<(), BrokerError>>>) {
        let Some(out) = self.out.take() else { return };
        if let Err(unsent) = self.books.jobs.send(Job::Settle(Order {
            books: Arc::clone(&self.books),
            out,
            how,
            done,
        })) {
            // The runtime has ended. What is still in the server's books is put back by whoever lives.
            if let Job::Settle(order) = unsent.0 {
                self.books.held().remove(&order.out.tag);
            }
        }
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("tag", &self.out.as_ref().map(|out| &out.tag))
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Settle for Held {
    async fn settle(mut self: Box<Self>, how: Settlement) -> Result<(), BrokerError> {
        let (done, outcome) = oneshot::channel();
        self.order(how, Some(done));
        let ended = || {
            Fault::connection(
                self.books.link.shown(),
                "the runtime that the consumer was made on has ended",
            )
        };
        outcome.await.unwrap_or_else(|_| Err(ended().into()))
    }

    fn settle_later(mut self: Box<Self>, how: Settlement) {
        self.order(how, None);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.order(Settlement::HandBack, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_that_is_out_twice_is_held_until_both_are_struck_off() {
        let mut held = HeldTags::default();
        held.insert("a");
        held.insert("a");
        held.remove("a");
        assert!(held.contains("a"));
        assert_eq!(held.len(), 1);
        held.remove("a");
        assert!(held.is_empty());
        held.remove("a");
        assert!(held.is_empty());
    }
}
