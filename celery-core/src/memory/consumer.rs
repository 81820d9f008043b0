//! Taking deliveries out of a named broker, and settling them.

use std::{
    fmt, mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use tokio::sync::{Notify, mpsc::UnboundedReceiver};

use super::store::{Store, Taken};
use crate::{
    broker::{
        BrokerError, Consumer, Contact, Delivery, Prefetch, Publication, Queue, Settle, Settlement,
        Subscription,
    },
    clock,
    message::Message,
};

#[derive(Debug)]
pub(super) struct MemoryConsumer {
    store: Arc<Store>,
    /// In the order in which they are asked; the one that was served last is the last.
    queues: Vec<String>,
    prefetch: Prefetch,
    window: Arc<Window>,
}

/// What a consumer and its deliveries share.
#[derive(Debug, Default)]
struct Window {
    out: AtomicUsize,
    /// Told whenever fewer are out.
    settled: Notify,
}

impl MemoryConsumer {
    pub(super) fn new(store: Arc<Store>, queues: Vec<String>, prefetch: Prefetch) -> Self {
        Self { store, queues, prefetch, window: Arc::default() }
    }

    /// How many more may be out.
    fn room(&self) -> usize {
        match self.prefetch {
            // A limit beyond what can be addressed is none.
            Some(limit) => usize::try_from(limit.get())
                .unwrap_or(usize::MAX)
                .saturating_sub(self.window.out.load(Ordering::Acquire)),
            None => usize::MAX,
        }
    }

    fn hand_over(&self, queue: String, message: Message) -> Delivery {
        self.window.out.fetch_add(1, Ordering::AcqRel);
        let out = Out {
            store: Arc::clone(&self.store),
            window: Arc::clone(&self.window),
            queue: queue.clone(),
            message: Some(message.clone()),
        };
        Delivery::new(Ok(message), queue, Box::new(out))
    }
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn next(&mut self) -> Result<Vec<Delivery>, BrokerError> {
        loop {
            let room = self.room();
            if room == 0 {
                // It keeps a permit, so a settlement since the look at the room is not missed.
                self.window.settled.notified().await;
                continue;
            }
            let store = Arc::clone(&self.store);
            // From its making on it hears of every change, so none is missed after the look at the queues.
            let changed = store.changed.notified();
            match store.take(&mut self.queues, room) {
                Taken::Messages(messages) => {
                    return Ok(messages
                        .into_iter()
                        .map(|(queue, message)| self.hand_over(queue, message))
                        .collect());
                }
                Taken::Nothing(None) => changed.await,
                Taken::Nothing(Some(due)) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep(clock::until(due)) => {}
                },
            }
        }
    }

    fn set_prefetch(&mut self, prefetch: Prefetch) {
        self.prefetch = prefetch;
    }

    fn set_queues(&mut self, queues: &[Queue]) {
        // Those that stay keep their turn.
        self.queues.retain(|name| queues.iter().any(|queue| queue.name == *name));
        for queue in queues {
            if !self.queues.contains(&queue.name) {
                self.queues.push(queue.name.clone());
            }
        }
    }

    fn contact(&self) -> Contact {
        Contact::constant()
    }

    async fn close(self: Box<Self>) -> Result<(), BrokerError> {
        // All that was fetched has been handed over.
        Ok(())
    }
}

/// A message that is out.
struct Out {
    store: Arc<Store>,
    window: Arc<Window>,
    queue: String,
    /// Taken when it is settled.
    message: Option<Message>,
}

impl Out {
    fn end(&mut self, how: Settlement) {
        let Some(message) = self.message.take() else { return };
        self.store.settle(&mem::take(&mut self.queue), message, how);
        self.make_room();
    }

    fn make_room(&self) {
        self.window.out.fetch_sub(1, Ordering::AcqRel);
        self.window.settled.notify_one();
    }
}

#[async_trait]
impl Settle for Out {
    async fn settle(mut self: Box<Self>, how: Settlement) -> Result<(), BrokerError> {
        self.end(how);
        Ok(())
    }

    fn settle_later(mut self: Box<Self>, how: Settlement) {
        self.end(how);
    }

    fn publishes(&self) -> bool {
        true
    }

    async fn settle_and_publish(
        mut self: Box<Self>,
        how: Settlement,
        batch: &[Publication],
    ) -> Result<(), BrokerError> {
        let Some(message) = self.message.take() else { return Ok(()) };
        let done = self.store.settle_and_publish(&self.queue, message, how, batch);
        self.make_room();
        done
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        self.end(Settlement::HandBack);
    }
}

impl fmt::Debug for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Out").field("queue", &self.queue).finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(super) struct MemorySubscription {
    pub(super) store: Arc<Store>,
    pub(super) exchange: String,
    pub(super) heard: UnboundedReceiver<Message>,
}

#[async_trait]
impl Subscription for MemorySubscription {
    async fn next(&mut self) -> Result<Message, BrokerError> {
        let heard = self.heard.recv().await;
        heard.ok_or_else(|| BrokerError::connection_lost("the subscription was ended"))
    }

    async fn close(self: Box<Self>) -> Result<(), BrokerError> {
        Ok(())
    }
}

impl Drop for MemorySubscription {
    fn drop(&mut self) {
        self.heard.close();
        self.store.sweep_listeners(&self.exchange);
    }
}
