//! What this process holds, shared by its consumers and deliveries, and the way to those who write it down.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, RwLock, mpsc, oneshot, watch},
    time::timeout,
};
use uuid::Uuid;

use crate::{
    connection::Link,
    flusher,
    heard::Heard,
    held::{Fetched, Order},
    keeper,
    options::BrokerOptions,
    publish::Router,
    restore::{self, Alarm},
};

/// How long it is waited for a server that is away when the broker is closed.
const CLOSING: Duration = Duration::from_secs(5);

/// The books of one broker of this process.
#[derive(Debug)]
pub(crate) struct Books {
    pub(crate) link: Link,
    pub(crate) options: Arc<BrokerOptions>,
    /// Where what follows a message goes.
    pub(crate) router: Arc<Router>,
    /// The name of this process in the server's books.
    pub(crate) process: String,
    /// The tags that are out, of what is in kombu's books.
    held: Mutex<HeldTags>,
    /// The batches that are out, or are being fetched.
    batches: Mutex<HashSet<u64>>,
    next_batch: AtomicU64,
    jobs: mpsc::UnboundedSender<Job>,
    /// A fetch reads; who looks for tags that the server has and we do not writes, since the reply of a fetch
    /// that is under way has such tags.
    pub(crate) fetching: RwLock<()>,
    /// Wakes the keeper: a reply was lost, or a consumer has started.
    pub(crate) wake: Arc<Notify>,
    /// When what is due is looked at.
    pub(crate) alarm: Arc<Alarm>,
    /// When the server has last heard of us.
    pub(crate) heard: Heard,
    /// Told when nobody is to wait for the server any more.
    giving_up: watch::Sender<bool>,
}

impl Books {
    /// Opens the books and starts those who write and keep them.
    pub(crate) fn open(link: Link, options: Arc<BrokerOptions>, router: Arc<Router>) -> Arc<Self> {
        let heard = Heard::new(Duration::from_secs(options.worker_timeout.into()));
        let (jobs, asked) = mpsc::unbounded_channel();
        let books = Arc::new(Self {
            link,
            options,
            router,
            process: Uuid::new_v4().to_string(),
            held: Mutex::default(),
            batches: Mutex::default(),
            next_batch: AtomicU64::new(1),
            jobs,
            fetching: RwLock::new(()),
            wake: Arc::default(),
            alarm: Arc::new(Alarm::new()),
            heard,
            giving_up: watch::Sender::new(false),
        });
        tokio::spawn(flusher::run(Arc::downgrade(&books), books.link.clone(), asked));
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

    /// The batches that are out.
    pub(crate) fn batches(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers for so many batches, the first of them: no batch of this process has had them.
    pub(crate) fn number(&self, batches: u64) -> u64 {
        self.next_batch.fetch_add(batches, Ordering::Relaxed)
    }

    /// The three keys that scripts about kombu's books start with.
    pub(crate) fn keys(&self) -> Vec<String> {
        let keys = &self.options.keys;
        vec![keys.unacked(), keys.unacked_index(), keys.held(&self.process)]
    }

    /// Has a batch looked after from its fetch on.
    pub(crate) fn fetched(&self, from: &Arc<Fetched>, messages: usize) {
        _ = self.jobs.send(Job::Fetched(Arc::clone(from), messages));
    }

    /// Has the order carried out.
    pub(crate) fn ask(&self, order: Order) {
        if let Err(mpsc::error::SendError(Job::Settle(order))) = self.jobs.send(Job::Settle(order))
        {
            // The runtime has ended. What is still in the server's books is put back by whoever lives.
            if let crate::held::Place::Tag(tag) = &order.place {
                self.held().remove(tag);
            }
        }
    }

    /// Waits until all that was asked for so far has been carried out.
    pub(crate) async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if self.jobs.send(Job::Flush(done)).is_ok() {
            // An error means that the flusher has ended, and then there is nothing left to wait for.
            let _ = wait.await;
        }
    }

    /// Waits for that, but not for long where the server is away, and says whether nothing of ours is left out.
    pub(crate) async fn close(&self) -> bool {
        if timeout(CLOSING, self.flush()).await.is_err() {
            tracing::warn!(
                "the server does not answer: what was not settled by now is delivered again after `worker_timeout`"
            );
        }
        _ = self.giving_up.send_replace(true);
        self.held().is_empty() && self.batches().is_empty()
    }

    /// Whether what was fetched then may have been taken over by others.
    pub(crate) fn may_have_lost(&self, fetched: &Fetched) -> bool {
        self.heard.may_have_been_silent_since(fetched.silences)
    }

    /// Whether nobody is to wait for the server any more.
    pub(crate) fn has_given_up(&self) -> bool {
        *self.giving_up.borrow()
    }

    /// Waits until nobody is to wait for the server any more.
    pub(crate) async fn gives_up(&self) {
        // The sender lives as long as these books.
        _ = self.giving_up.subscribe().wait_for(|given_up| *given_up).await;
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
    /// A batch with so many messages is out.
    Fetched(Arc<Fetched>, usize),
    Settle(Order),
    Flush(oneshot::Sender<()>),
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
