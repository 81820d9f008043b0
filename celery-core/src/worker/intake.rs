//! What a worker consumes: the queues and the prefetch, which remote control changes while it runs.

use std::num::NonZeroU32;

use tokio::sync::watch;

use crate::broker::{Prefetch, Queue};

/// What the worker is to consume. The consumer loop follows it, over as many connections as there are.
#[derive(Debug)]
pub(super) struct Intake {
    wanted: watch::Sender<Wanted>,
}

/// The queues, and how many of their messages may be held.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) queues: Vec<Queue>,
    pub(super) prefetch: Prefetch,
}

impl Intake {
    pub(super) fn new(queues: Vec<Queue>, prefetch: Prefetch) -> Self {
        Self { wanted: watch::Sender::new(Wanted { queues, prefetch }) }
    }

    /// What is wanted now.
    pub(super) fn now(&self) -> Wanted {
        self.wanted.borrow().clone()
    }

    /// The names of the queues.
    pub(super) fn queue_names(&self) -> Vec<String> {
        self.wanted.borrow().queues.iter().map(|queue| queue.name.clone()).collect()
    }

    /// Follows it: what is wanted, and each change.
    pub(super) fn follow(&self) -> watch::Receiver<Wanted> {
        self.wanted.subscribe()
    }

    /// Consumes from one queue more, which has been declared. Returns whether it is a new one.
    pub(super) fn add(&self, queue: Queue) -> bool {
        self.wanted.send_if_modified(|wanted| {
            let is_new = wanted.queues.iter().all(|of| of.name != queue.name);
            if is_new {
                wanted.queues.push(queue);
            }
            is_new
        })
    }

    /// Consumes no more from the queue. Returns whether it was consumed.
    pub(super) fn cancel(&self, queue: &str) -> bool {
        self.wanted.send_if_modified(|wanted| {
            let before = wanted.queues.len();
            wanted.queues.retain(|of| of.name != queue);
            wanted.queues.len() < before
        })
    }

    /// Holds that many messages at most, 0 being any number.
    pub(super) fn set_prefetch(&self, most: u32) {
        self.wanted.send_modify(|wanted| wanted.prefetch = NonZeroU32::new(most));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_added_and_cancelled_once() {
        let intake = Intake::new(vec![Queue::named("a")], NonZeroU32::new(4));
        let mut changes = intake.follow();
        assert!(!intake.add(Queue::named("a")));
        assert!(!changes.has_changed().unwrap());
        assert!(intake.add(Queue::named("b")));
        assert!(changes.has_changed().unwrap());
        assert_eq!(changes.borrow_and_update().queues.len(), 2);
        assert!(intake.cancel("a"));
        assert!(!intake.cancel("a"));
        assert_eq!(intake.queue_names(), ["b"]);
        intake.set_prefetch(0);
        assert_eq!(intake.now().prefetch, None);
    }
}
