//! The broker of `memory://`.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::{
    Instances,
    consumer::{MemoryConsumer, MemorySubscription},
    store::Store,
};
use crate::broker::{
    Binding, Broker, BrokerError, Consumer, Keep, Prefetch, Publication, Quarantined, Queue,
    Scheduled, SharedSets, Subscription,
};

static BROKERS: Instances<Store> = Instances::new();

/// A handle of the embedded broker of some name.
///
/// All handles of one name are the same broker. Closing or dropping them does not end it, and what is in its queues
/// stays there as long as the process lives.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use celery_core::{
///     broker::{Broker, Exchange, Publication, Queue},
///     memory::MemoryBroker,
///     message::Message,
/// };
///
/// let broker = MemoryBroker::named("an-example");
/// let message = Message { body: "[]".into(), ..Message::default() };
/// let publication = Publication { exchange: Exchange::anonymous(), routing_key: "celery".to_owned(), message };
/// broker.publish(&[publication]).await?;
///
/// let mut consumer = MemoryBroker::named("an-example").consume(&[Queue::named("celery")], None).await?;
/// for delivery in consumer.next().await? {
///     delivery.ack().await?;
/// }
/// # Ok::<(), celery_core::broker::BrokerError>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct MemoryBroker {
    store: Arc<Store>,
}

impl MemoryBroker {
    /// The broker of this process that has this name, made upon first use.
    pub fn named(name: &str) -> Self {
        Self { store: BROKERS.get(name) }
    }

    /// How many listen on the exchange.
    #[cfg(test)]
    pub(super) fn listeners(&self, exchange: &str) -> usize {
        self.store.listeners(exchange)
    }
}

#[async_trait]
impl Broker for MemoryBroker {
    async fn publish(&self, batch: &[Publication]) -> Result<(), BrokerError> {
        self.store.publish(batch)
    }

    async fn declare(&self, queue: &Queue) -> Result<(), BrokerError> {
        self.store.declare(queue);
        Ok(())
    }

    async fn delete(&self, queue: &Queue) -> Result<(), BrokerError> {
        self.store.delete(queue);
        Ok(())
    }

    async fn consume(
        &self,
        queues: &[Queue],
        prefetch: Prefetch,
    ) -> Result<Box<dyn Consumer>, BrokerError> {
        for queue in queues {
            self.store.declare(queue);
        }
        let names = queues.iter().map(|queue| queue.name.clone()).collect();
        Ok(Box::new(MemoryConsumer::new(Arc::clone(&self.store), names, prefetch)))
    }

    async fn subscribe(&self, queue: &Queue) -> Result<Box<dyn Subscription>, BrokerError> {
        let exchange = queue.exchange.name.clone();
        let (ear, heard) = mpsc::unbounded_channel();
        self.store.listen(queue, ear);
        Ok(Box::new(MemorySubscription { store: Arc::clone(&self.store), exchange, heard }))
    }

    async fn queue_len(&self, queue: &str) -> Result<u64, BrokerError> {
        Ok(self.store.queue_len(queue) as u64)
    }

    async fn purge(&self, queue: &str) -> Result<u64, BrokerError> {
        Ok(self.store.purge(queue) as u64)
    }

    async fn scheduled(
        &self,
        queues: &[String],
        limit: usize,
    ) -> Result<Vec<Scheduled>, BrokerError> {
        Ok(self.store.scheduled(queues, limit))
    }

    async fn bindings(&self) -> Result<Vec<Binding>, BrokerError> {
        Ok(self.store.bindings())
    }

    async fn quarantined(&self, queue: &str) -> Result<Vec<Quarantined>, BrokerError> {
        Ok(self.store.quarantined(queue))
    }

    async fn requeue_quarantined(&self, queue: &str, ids: &[String]) -> Result<u64, BrokerError> {
        Ok(self.store.requeue_quarantined(queue, ids) as u64)
    }

    async fn drop_quarantined(&self, queue: &str, ids: &[String]) -> Result<u64, BrokerError> {
        Ok(self.store.drop_quarantined(queue, ids).len() as u64)
    }

    fn shared_sets(&self) -> Option<&dyn SharedSets> {
        Some(self)
    }

    async fn close(&self) -> Result<(), BrokerError> {
        Ok(())
    }
}

#[async_trait]
impl SharedSets for MemoryBroker {
    async fn remember(&self, set: &str, members: &[String], keep: Keep) -> Result<(), BrokerError> {
        self.store.remember(set, members, keep);
        Ok(())
    }

    async fn remembered(&self, set: &str) -> Result<Vec<String>, BrokerError> {
        Ok(self.store.remembered(set))
    }

    async fn remembers(&self, set: &str, asked: &[String]) -> Result<Vec<String>, BrokerError> {
        Ok(self.store.remembers(set, asked))
    }
}
