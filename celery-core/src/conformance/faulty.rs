//! A broker that fails on purpose, to see what becomes of the messages.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;

use crate::{
    broker::{
        Binding, Broker, BrokerError, Consumer, Contact, Delivery, Prefetch, Publication,
        Quarantined, Queue, Scheduled, Settle, Settlement, SharedSets, Subscription,
    },
    message::Message,
};

/// Wraps a broker, and fails as it was told to.
///
/// A connection that is lost in [`Call::Next`] or [`Call::Settle`] takes its consumer with it: from then on that
/// consumer and what it handed over fail with [`BrokerError::ConnectionLost`], and the messages that were out come back
/// to their queues. [`Broker::consume`] makes a new one, which works.
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn Broker>,
    plan: Arc<Plan>,
}

/// A call that can be made to fail. Each is counted from one, over all consumers of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// [`Broker::publish`]; nothing of the batch is published.
    Publish,
    /// [`Broker::declare`].
    Declare,
    /// [`Broker::consume`].
    Consume,
    /// [`Broker::subscribe`].
    Subscribe,
    /// [`Consumer::next`]; what was to be handed over goes back to its queue.
    Next,
    /// [`Delivery::settle`]; the message goes back to its queue.
    Settle,
    /// [`Subscription::next`]; the message is lost.
    Hear,
}

#[derive(Debug, Default)]
struct Plan {
    /// The number of the call that fails, and how many there have been.
    calls: Mutex<HashMap<Call, Calls>>,
    twice: AtomicBool,
}

#[derive(Debug, Default)]
struct Calls {
    made: usize,
    failing: Vec<usize>,
}

impl Faulty {
    /// A broker that does not fail yet.
    pub fn new(inner: Arc<dyn Broker>) -> Self {
        Self { inner, plan: Arc::default() }
    }

    /// Loses the connection on the `nth` such call from now on; 1 is the next.
    pub fn lose_connection_on(&self, call: Call, nth: usize) {
        let mut calls = self.plan.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = calls.entry(call).or_default();
        calls.failing.push(calls.made + nth);
    }

    /// Hands every message over twice from now on, as brokers do that deliver at least once. The second delivery is
    /// marked as redelivered; settling it does nothing.
    pub fn deliver_twice(&self) {
        self.plan.twice.store(true, Ordering::Relaxed);
    }

    /// How often the call was made.
    pub fn calls(&self, call: Call) -> usize {
        let calls = self.plan.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.get(&call).map_or(0, |calls| calls.made)
    }
}

impl Plan {
    fn call(&self, call: Call) -> Result<(), BrokerError> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = calls.entry(call).or_default();
        calls.made += 1;
        if calls.failing.contains(&calls.made) { Err(lost()) } else { Ok(()) }
    }
}

fn lost() -> BrokerError {
    BrokerError::connection_lost("the connection was lost on purpose")
}

#[async_trait]
impl Broker for Faulty {
    async fn publish(&self, batch: &[Publication]) -> Result<(), BrokerError> {
        self.plan.call(Call::Publish)?;
        self.inner.publish(batch).await
    }

    async fn declare(&self, queue: &Queue) -> Result<(), BrokerError> {
        self.plan.call(Call::Declare)?;
        self.inner.declare(queue).await
    }

    async fn delete(&self, queue: &Queue) -> Result<(), BrokerError> {
        self.inner.delete(queue).await
    }

    async fn consume(
        &self,
        queues: &[Queue],
        prefetch: Prefetch,
    ) -> Result<Box<dyn Consumer>, BrokerError> {
        self.plan.call(Call::Consume)?;
        let inner = self.inner.consume(queues, prefetch).await?;
        let link = Link {
            broker: Arc::clone(&self.inner),
            plan: Arc::clone(&self.plan),
            lost: Arc::default(),
        };
        Ok(Box::new(FaultyConsumer { inner, link }))
    }

    async fn subscribe(&self, queue: &Queue) -> Result<Box<dyn Subscription>, BrokerError> {
        self.plan.call(Call::Subscribe)?;
        let inner = self.inner.subscribe(queue).await?;
        Ok(Box::new(FaultySubscription { inner, plan: Arc::clone(&self.plan) }))
    }

    async fn queue_len(&self, queue: &str) -> Result<u64, BrokerError> {
        self.inner.queue_len(queue).await
    }

    async fn purge(&self, queue: &str) -> Result<u64, BrokerError> {
        self.inner.purge(queue).await
    }

    async fn scheduled(
        &self,
        queues: &[String],
        limit: usize,
    ) -> Result<Vec<Scheduled>, BrokerError> {
        self.inner.scheduled(queues, limit).await
    }

    async fn bindings(&self) -> Result<Vec<Binding>, BrokerError> {
        self.inner.bindings().await
    }

    async fn quarantined(&self, queue: &str) -> Result<Vec<Quarantined>, BrokerError> {
        self.inner.quarantined(queue).await
    }

    async fn requeue_quarantined(&self, queue: &str, ids: &[String]) -> Result<u64, BrokerError> {
        self.inner.requeue_quarantined(queue, ids).await
    }

    async fn drop_quarantined(&self, queue: &str, ids: &[String]) -> Result<u64, BrokerError> {
        self.inner.drop_quarantined(queue, ids).await
    }

    fn shared_sets(&self) -> Option<&dyn SharedSets> {
        self.inner.shared_sets()
    }

    async fn close(&self) -> Result<(), BrokerError> {
        self.inner.close().await
    }
}

/// What a consumer and its deliveries share.
#[derive(Clone, Debug)]
struct Link {
    broker: Arc<dyn Broker>,
    plan: Arc<Plan>,
    lost: Arc<AtomicBool>,
}

impl Link {
    fn call(&self, call: Call) -> Result<(), BrokerError> {
        let outcome =
            if self.lost.load(Ordering::Relaxed) { Err(lost()) } else { self.plan.call(call) };
        if outcome.is_err() {
            self.lost.store(true, Ordering::Relaxed);
        }
        outcome
    }
}

#[derive(Debug)]
struct FaultyConsumer {
    inner: Box<dyn Consumer>,
    link: Link,
}

#[async_trait]
impl Consumer for FaultyConsumer {
    async fn next(&mut self) -> Result<Vec<Delivery>, BrokerError> {
        if self.link.lost.load(Ordering::Relaxed) {
            return Err(lost());
        }
        let batch = self.inner.next().await?;
        // Only now, so that a call that is cancelled is not counted, and the loss takes a message along.
        self.link.call(Call::Next)?;
        let mut deliveries = Vec::with_capacity(batch.len());
        for delivery in batch {
            let (message, queue) = (delivery.message.clone(), delivery.queue.clone());
            let again = self.link.plan.twice.load(Ordering::Relaxed).then(|| message.clone());
            let settle = FaultySettle { inner: delivery, link: self.link.clone() };
            deliveries.push(Delivery::new(message, queue.clone(), Box::new(settle)));
            if let Some(mut again) = again {
                if let Ok(message) = &mut again {
                    message.properties.delivery_info.redelivered = true;
                }
                deliveries.push(Delivery::new(again, queue, Box::new(Echo)));
            }
        }
        Ok(deliveries)
    }

    fn set_prefetch(&mut self, prefetch: Prefetch) {
        self.inner.set_prefetch(prefetch);
    }

    fn set_queues(&mut self, queues: &[Queue]) {
        self.inner.set_queues(queues);
    }

    fn contact(&self) -> Contact {
        self.inner.contact()
    }

    async fn close(self: Box<Self>) -> Result<(), BrokerError> {
        self.inner.close().await
    }
}

#[derive(Debug)]
struct FaultySettle {
    inner: Delivery,
    link: Link,
}

#[async_trait]
impl Settle for FaultySettle {
    async fn settle(self: Box<Self>, how: Settlement) -> Result<(), BrokerError> {
        self.link.call(Call::Settle)?;
        self.inner.settle(how).await
    }

    fn settle_later(self: Box<Self>, how: Settlement) {
        if self.link.call(Call::Settle).is_ok() {
            self.inner.settle_later(how);
        }
    }

    fn publishes(&self) -> bool {
        true
    }

    async fn settle_and_publish(
        self: Box<Self>,
        how: Settlement,
        batch: &[Publication],
    ) -> Result<(), BrokerError> {
        self.link.call(Call::Settle)?;
        self.inner.settle_and_publish(how, &*self.link.broker, batch).await
    }
}

/// The second delivery of a message: the broker knows of one only.
#[derive(Debug)]
struct Echo;

#[async_trait]
impl Settle for Echo {
    async fn settle(self: Box<Self>, _how: Settlement) -> Result<(), BrokerError> {
        Ok(())
    }

    fn settle_later(self: Box<Self>, _how: Settlement) {}
}

#[derive(Debug)]
struct FaultySubscription {
    inner: Box<dyn Subscription>,
    plan: Arc<Plan>,
}

#[async_trait]
impl Subscription for FaultySubscription {
    async fn next(&mut self) -> Result<Message, BrokerError> {
        let message = self.inner.next().await?;
        self.plan.call(Call::Hear)?;
        Ok(message)
    }

    async fn close(self: Box<Self>) -> Result<(), BrokerError> {
        self.inner.close().await
    }
}
