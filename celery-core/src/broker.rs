//! The broker seam: what every driver that moves messages implements.
//!
//! A driver returns values and never calls back; settling consumes the delivery; prefetch belongs to the
//! consumer, retry to the worker, and connecting to the constructor (see [`transport`](crate::transport)).
//! The seam may change in any minor release until 1.0.

mod contact;
mod sets;

use std::{fmt, num::NonZeroU32, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::{Timestamp, tz::TimeZone};
use tokio::sync::Notify;

pub use self::{
    contact::Contact,
    sets::{Keep, KeepFrom, SharedSets},
};
use crate::{arguments::Hidden, date, envelope, message::Message};
pub use crate::{
    message::Malformed,
    queue::{Binding, Exchange, ExchangeKind, Queue},
};

/// The error of a driver's own library, boxed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Moves messages between processes.
///
/// Every method may be called from any task at any time. A driver heals connections itself where it can and
/// MUST answer [`BrokerError::ConnectionLost`] for every other fault of the connection, since it is upon
/// that error that the worker asks [`consume`](Self::consume) again.
#[async_trait]
pub trait Broker: fmt::Debug + Send + Sync + 'static {
    /// Publishes each message, in the order given, in as few round trips as the server allows.
    ///
    /// The driver fills in `delivery_info` and gives each copy a new `delivery_tag`. When this returns `Ok`,
    /// every message is in the server's books. A message that is published again after the connection was lost is known
    /// by [`Message::once`], and a driver that can tell whether it is in the books does not publish it twice.
    ///
    /// A message with [`Message::once_named`] is published, and its name noted, in one step, unless the name is noted already:
    /// then nothing is done, and that is no error. This MUST hold among all processes, and in
    /// [`Delivery::settle_and_publish`] too. What a batch has of such messages may be behind the others in their queue.
    ///
    /// # Errors
    /// [`BrokerError::Unroutable`] when a named exchange has no queue for a routing key; messages before it
    /// in the batch may have been published.
    async fn publish(&self, batch: &[Publication]) -> Result<(), BrokerError>;

    /// Makes the queue and its binding known, so that what is published to its exchange reaches it.
    async fn declare(&self, queue: &Queue) -> Result<(), BrokerError>;

    /// Forgets the queue, its binding, and all that waits in it.
    async fn delete(&self, queue: &Queue) -> Result<(), BrokerError>;

    /// Declares the queues and starts to consume from them.
    ///
    /// At most `prefetch` deliveries are out at once; `None` sets no limit.
    async fn consume(
        &self,
        queues: &[Queue],
        prefetch: Prefetch,
    ) -> Result<Box<dyn Consumer>, BrokerError>;

    /// Starts to listen on a fanout exchange. What is published while nobody listens is gone.
    ///
    /// The routing key of the queue is a pattern, as for a topic exchange: one hears what was published with a routing
    /// key that matches it.
    async fn subscribe(&self, queue: &Queue) -> Result<Box<dyn Subscription>, BrokerError>;

    /// How many messages wait in the queue, those that are out or deferred not counted.
    async fn queue_len(&self, queue: &str) -> Result<u64, BrokerError>;

    /// Drops what waits in the queue and says how many messages that was.
    ///
    /// A long queue MUST NOT keep the server from serving others meanwhile.
    async fn purge(&self, queue: &str) -> Result<u64, BrokerError>;

    /// The messages of these queues that wait in the broker for the time of their `eta`, at most so many, the soonest
    /// first.
    async fn scheduled(
        &self,
        queues: &[String],
        limit: usize,
    ) -> Result<Vec<Scheduled>, BrokerError>;

    /// What the server has bound to which exchange, by whomever it was declared: sorted, each once.
    async fn bindings(&self) -> Result<Vec<Binding>, BrokerError>;

    /// What is bound to the exchange of that name: as [`bindings`](Self::bindings) has it, for who asks for one alone.
    async fn bound(&self, exchange: &str) -> Result<Vec<Binding>, BrokerError> {
        let mut bindings = self.bindings().await?;
        bindings.retain(|binding| binding.exchange == exchange);
        Ok(bindings)
    }

    /// The messages of the queue that were set aside with [`Delivery::quarantine`], oldest first.
    async fn quarantined(&self, queue: &str) -> Result<Vec<Quarantined>, BrokerError>;

    /// Puts messages that were set aside back into their queue: to its end, and none of their losses is counted any more.
    ///
    /// The ids are those of [`quarantined`](Self::quarantined). One that is not there is passed over; returns how many
    /// messages there were. Each is in the quarantine or in its queue, whatever happens meanwhile.
    async fn requeue_quarantined(&self, queue: &str, ids: &[String]) -> Result<u64, BrokerError>;

    /// Drops messages that were set aside, for good. The rest is as for
    /// [`requeue_quarantined`](Self::requeue_quarantined).
    async fn drop_quarantined(&self, queue: &str, ids: &[String]) -> Result<u64, BrokerError>;

    /// What the processes of the fleet remember together; nothing where the server keeps messages only.
    fn shared_sets(&self) -> Option<&dyn SharedSets> {
        None
    }

    /// Waits until all that was to be [settled later](Delivery::settle_later) is.
    async fn flush(&self) {}

    /// Flushes what is under way and closes the connections.
    async fn close(&self) -> Result<(), BrokerError>;
}

/// How many deliveries may be out at once; `None` means any number.
pub type Prefetch = Option<NonZeroU32>;

/// Takes deliveries from the queues that it was made for.
#[async_trait]
pub trait Consumer: fmt::Debug + Send {
    /// Waits until there is at least one message and the prefetch leaves room, then hands over what is
    /// there, up to that room, in the order in which it is to be run.
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future loses no message.
    async fn next(&mut self) -> Result<Vec<Delivery>, BrokerError>;

    /// Changes the number of deliveries that may be out at once, from the next fetch on.
    fn set_prefetch(&mut self, prefetch: Prefetch);

    /// Changes the queues that are consumed, from the next fetch on. They have been [declared](Broker::declare).
    ///
    /// What was fetched from a queue that is left out is still handed over. Without any queue, [`next`](Self::next)
    /// waits.
    fn set_queues(&mut self, queues: &[Queue]);

    /// When the server last answered, also while [`next`](Self::next) waits for a message: a connection is proven by
    /// answers alone.
    fn contact(&self) -> Contact;

    /// Stops fetching, and puts back what was fetched and not handed over. Deliveries that are out can still
    /// be settled.
    async fn close(self: Box<Self>) -> Result<(), BrokerError>;
}

/// Listens on a fanout exchange.
#[async_trait]
pub trait Subscription: fmt::Debug + Send {
    /// Waits for the next message. What cannot be decoded is logged and skipped by the driver.
    ///
    /// # Cancel safety
    /// Cancel safe.
    async fn next(&mut self) -> Result<Message, BrokerError>;

    /// Told each time when it listens again after it was cut off and has healed: what was published meanwhile is gone.
    /// `None` is of a driver that never heals a subscription itself.
    fn resumed(&self) -> Option<Arc<Notify>> {
        None
    }

    /// Stops listening, and removes the binding.
    async fn close(self: Box<Self>) -> Result<(), BrokerError>;
}

/// A message for an exchange.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The exchange; [`Exchange::anonymous`] puts the message into the queue that the routing key names.
    pub exchange: Exchange,
    /// The routing key.
    pub routing_key: String,
    /// The message.
    pub message: Message,
}

/// A message that is out: recorded by the server as ours until it is settled.
///
/// Settling consumes it. One that is dropped without being settled is handed back to its queue.
#[derive(Debug)]
#[must_use = "an unsettled delivery is redelivered"]
pub struct Delivery {
    /// The message, or what is known of one that could not be read.
    pub message: Result<Message, Malformed>,
    /// The queue that it came from.
    pub queue: String,
    settle: Box<dyn Settle>,
}

impl Delivery {
    /// A delivery for a driver to hand over.
    pub fn new(
        message: Result<Message, Malformed>,
        queue: impl Into<String>,
        settle: Box<dyn Settle>,
    ) -> Self {
        Self { message, queue: queue.into(), settle }
    }

    /// The message is done with.
    pub async fn ack(self) -> Result<(), BrokerError> {
        self.settle(Settlement::Ack).await
    }

    /// The message is not wanted: with `requeue` it goes to the back of its queue, else it is dropped.
    pub async fn reject(self, requeue: bool) -> Result<(), BrokerError> {
        self.settle(if requeue { Settlement::Requeue } else { Settlement::Reject }).await
    }

    /// The message goes back to the front of its queue, as if it had not been delivered.
    pub async fn hand_back(self) -> Result<(), BrokerError> {
        self.settle(Settlement::HandBack).await
    }

    /// The message waits in the broker, outside any worker's memory and prefetch, and is delivered again at
    /// `due` or soon after.
    pub async fn defer(self, due: Timestamp) -> Result<(), BrokerError> {
        self.settle(Settlement::Defer(due)).await
    }

    /// The message is set aside where a person can find it (see [`Broker::quarantined`]), with the reason.
    pub async fn quarantine(self, reason: impl Into<String>) -> Result<(), BrokerError> {
        self.settle(Settlement::Quarantine(reason.into())).await
    }

    /// To be called before the message is run, unless it is settled before. Of one that was
    /// [lost](crate::message::DeliveryInfo::delivery_count) before it is written down that it has begun: if who runs it is
    /// lost, too, it is known which of all that it held it had begun. And where a message may have been taken from us, since
    /// we have not been heard of for too long, it is found out whether it was. All others do not wait.
    ///
    /// # Errors
    /// As [`settle`](Self::settle); also when the message is not ours any more, and is not to be run.
    pub async fn begin(&self, was_lost: bool) -> Result<(), BrokerError> {
        if was_lost || self.settle.is_in_doubt() { self.settle.begin().await } else { Ok(()) }
    }

    /// Settles in the way that is given as a value.
    pub async fn settle(self, how: Settlement) -> Result<(), BrokerError> {
        self.settle.settle(how).await
    }

    /// Settles soon, with what else is to be settled: the driver repeats it until the server answers, and logs what comes to
    /// nothing. For what nobody waits for; [`Broker::flush`] does.
    pub fn settle_later(self, how: Settlement) {
        self.settle.settle_later(how);
    }

    /// Settles and publishes what follows: both or neither, where the broker can do it in one step.
    ///
    /// `broker` is the one that the delivery came from. One that has no such step publishes first: a crash between the two
    /// then publishes again when the message is delivered again, and loses nothing.
    ///
    /// # Errors
    /// As [`Broker::publish`] and [`settle`](Self::settle).
    pub async fn settle_and_publish(
        self,
        how: Settlement,
        broker: &dyn Broker,
        batch: &[Publication],
    ) -> Result<(), BrokerError> {
        if batch.is_empty() {
            return self.settle(how).await;
        }
        if self.settle.publishes() {
            return self.settle.settle_and_publish(how, batch).await;
        }
        broker.publish(batch).await?;
        self.settle(how).await
    }
}

/// What becomes of a delivery.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Settlement {
    /// Done with.
    Ack,
    /// Dropped, or dead-lettered where the broker has that.
    Reject,
    /// To the back of the queue.
    Requeue,
    /// To the front of the queue.
    HandBack,
    /// To the front of the queue, and [counted](crate::message::DeliveryInfo::delivery_count): who ran it died.
    Lost,
    /// Kept in the broker until then.
    Defer(Timestamp),
    /// Set aside, for the reason given.
    Quarantine(String),
}

/// The driver's half of a [`Delivery`].
///
/// Settling MUST be effective when it returns `Ok`. An implementor that is dropped before it was asked to settle
/// MUST hand the message back.
#[async_trait]
pub trait Settle: fmt::Debug + Send + Sync {
    /// Carries it out.
    async fn settle(self: Box<Self>, how: Settlement) -> Result<(), BrokerError>;

    /// Carries it out soon; see [`Delivery::settle_later`].
    fn settle_later(self: Box<Self>, how: Settlement);

    /// Whether the message may have been taken from us; see [`Delivery::begin`].
    fn is_in_doubt(&self) -> bool {
        false
    }

    /// Writes down that the message is about to be run, if it is ours; see [`Delivery::begin`].
    async fn begin(&self) -> Result<(), BrokerError> {
        Ok(())
    }

    /// Whether this can [publish](Self::settle_and_publish) in the step in which it settles.
    fn publishes(&self) -> bool {
        false
    }

    /// Carries it out and publishes the batch: both or neither. Asked for only where it [can](Self::publishes) be done.
    async fn settle_and_publish(
        self: Box<Self>,
        how: Settlement,
        batch: &[Publication],
    ) -> Result<(), BrokerError> {
        let (_, _) = (how, batch);
        Err(BrokerError::other("this broker does not publish in the step in which it settles"))
    }
}

/// A message that waits in the broker until it is due.
#[derive(Clone, Debug, PartialEq)]
pub struct Scheduled {
    /// The queue that it came from.
    pub queue: String,
    /// When it is due.
    pub due: Timestamp,
    /// The message.
    pub message: Message,
}

impl Scheduled {
    /// The message, if it waits until then for its own `eta`: for drivers, whose books say until when and not why.
    pub fn new(queue: impl Into<String>, due: Timestamp, message: Message) -> Option<Self> {
        /// An `eta` without an offset is of a zone that only the app knows. All zones are some of these apart.
        const QUARTER: i64 = 15 * 60 * 1_000_000;
        let eta = date::parse(message.headers.text("eta")?, &TimeZone::UTC).ok()?;
        let apart = (eta.as_microsecond() - due.as_microsecond()).rem_euclid(QUARTER);
        // Drivers may keep the time in whole milliseconds.
        let is_its_eta = apart.min(QUARTER - apart) <= 1_000;
        is_its_eta.then(|| Self { queue: queue.into(), due, message })
    }
}

/// A message that was set aside. Its `Debug` does not show the item.
#[derive(Clone, PartialEq)]
pub struct Quarantined {
    /// What it is called there: its delivery tag, where it has one.
    pub id: String,
    /// The queue that it came from.
    pub queue: String,
    /// Why it was set aside.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// The item as it was found in the queue.
    pub raw: Bytes,
}

impl Quarantined {
    /// The message, if it is one.
    ///
    /// # Errors
    /// [`Malformed`], with the item as it was found.
    pub fn message(&self) -> Result<Message, Malformed> {
        envelope::from_json(&self.raw)
    }
}

impl fmt::Debug for Quarantined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quarantined")
            .field("id", &self.id)
            .field("queue", &self.queue)
            .field("reason", &self.reason)
            .field("at", &self.at)
            .field("raw", &Hidden(self.raw.len()))
            .finish()
    }
}

/// A failed broker operation. A variant is there because somebody branches on it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// The worker consumes again, after a pause. Drivers MUST use it for every fault of the connection.
    #[error("lost the connection to the broker")]
    ConnectionLost(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// Trying again cannot help: bad credentials, an option that is not supported.
    #[error("the broker refused the operation")]
    Refused(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// No queue is bound to the exchange with this routing key.
    #[error(
        "no queue is bound to exchange `{exchange}` with routing key `{routing_key}`; declare the queue in `task_queues`, or start its consumer first"
    )]
    Unroutable {
        /// The exchange.
        exchange: String,
        /// The routing key.
        routing_key: String,
    },
    /// Anything else.
    #[error("the broker operation failed")]
    Other(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

impl BrokerError {
    /// A fault of the connection.
    pub fn connection_lost(source: impl Into<BoxError>) -> Self {
        Self::ConnectionLost(source.into().into())
    }

    /// A refusal.
    pub fn refused(source: impl Into<BoxError>) -> Self {
        Self::Refused(source.into().into())
    }

    /// Anything else.
    pub fn other(source: impl Into<BoxError>) -> Self {
        Self::Other(source.into().into())
    }
}
