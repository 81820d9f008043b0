//! Puts messages into queues and onto channels.
//!
//! A batch is one round trip, and what goes into one list is one command. Whoever publishes while others do shares
//! their round trip (see [`gather`](crate::gather)).

pub(crate) mod lanes;
pub(crate) mod mail;
mod post;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use celery_core::{
    broker::{BrokerError, ExchangeKind, Publication, Queue},
    envelope::{self, Postmark},
    ids,
};
use deadpool_redis::redis::{Pipeline, cmd, pipe};
use uuid::Uuid;

use self::{lanes::Lanes, mail::Mail};
use crate::{
    broker::{RedisBroker, bind, millis},
    connection::Link,
    error::Fault,
    options::BrokerOptions,
};

/// How many queues are remembered to be bound. One that is forgotten is bound again when it is next used.
const MOST_KNOWN: usize = 10_000;

/// For how long replies of remote control are kept that nobody fetches.
const REPLIES_KEPT: Duration = Duration::from_secs(3600);

/// Knows the queues, and where what is published goes.
#[derive(Debug)]
pub(crate) struct Router {
    link: Link,
    options: Arc<BrokerOptions>,
    known: Mutex<HashMap<String, Known>>,
    lanes: Arc<Lanes>,
}

/// A queue, and the connection over which it was bound: another server may not have the binding.
#[derive(Debug)]
pub(crate) struct Known {
    queue: Queue,
    over: u64,
}

/// The bindings of exchanges, by their names.
type Tables = HashMap<String, Vec<String>>;

impl RedisBroker {
    pub(crate) async fn publish_batch(&self, batch: &[Publication]) -> Result<(), BrokerError> {
        let there = self.there(batch).await?;
        let left = batch.iter().filter(|it| it.message.once.is_none_or(|it| !there.contains(&it)));
        self.publish_new(left).await
    }

    /// Those of the messages that were published before, and whose answer was lost.
    async fn there(&self, batch: &[Publication]) -> Result<Vec<Uuid>, Fault> {
        let unsure = self.lanes().recall(batch);
        if unsure.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = pipe();
        for (_, mark) in &unsure {
            pipeline.add_command(mark.read());
        }
        match self.link().insist::<Vec<Option<u64>>>(&pipeline).await {
            Ok(numbers) => {
                let known = unsure.into_iter().zip(numbers);
                let there = known.filter(|((_, mark), number)| *number == Some(mark.number));
                Ok(there.map(|((once, _), _)| once).collect())
            }
            Err(fault) => {
                self.lanes().remember(unsure);
                Err(fault)
            }
        }
    }

    async fn publish_new<'a>(
        &self,
        batch: impl Iterator<Item = &'a Publication> + Clone + Send,
    ) -> Result<(), BrokerError> {
        let mut mail = self.router().mail();
        let written = self.router().route(batch.clone(), &mut mail).await;
        // What comes before one that reaches no queue is published.
        if !mail.is_empty() {
            let mark = mail.mark();
            let sent = self.outbox().ask(self.link(), mail).await;
            if let (Err(fault), Some(mark)) = (&sent, mark.get())
                && fault.is_connection()
            {
                let known = batch.filter_map(|it| it.message.once);
                self.lanes().remember(known.map(|once| (once, mark.clone())));
            }
            sent?;
        }
        written
    }
}

impl Router {
    pub(crate) fn new(link: Link, options: Arc<BrokerOptions>) -> Self {
        let lanes = Arc::new(Lanes::new(&options.keys));
        Self { link, options, known: Mutex::default(), lanes }
    }

    pub(crate) fn lanes(&self) -> &Arc<Lanes> {
        &self.lanes
    }

    /// Mail to write to.
    pub(crate) fn mail(&self) -> Mail {
        Mail::new(Arc::clone(&self.lanes))
    }

    /// The queues that are known to be bound.
    pub(crate) fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn declared(&self, queue: &str) -> bool {
        self.known().get(queue).is_some_and(|known| known.over == self.link.number())
    }

    /// Whether it is known to be bound as it is here.
    pub(crate) fn is_bound(&self, queue: &Queue) -> bool {
        let over = self.link.number();
        let known = self.known();
        known.get(&queue.name).is_some_and(|known| known.queue == *queue && known.over == over)
    }

    pub(crate) fn remember(&self, queue: Queue) {
        let mut known = self.known();
        if known.len() >= MOST_KNOWN {
            // A program that makes up a queue for each of its users is not to keep them all. Those that expire have
            // more to remember than that they are bound.
            known.retain(|_, known| known.queue.expires.is_some());
            if known.len() >= MOST_KNOWN {
                known.clear();
            }
        }
        known.insert(queue.name.clone(), Known { queue, over: self.link.number() });
    }

    /// After how many milliseconds a queue that we know to expire does so. What is sent to a client that asked for it is not
    /// kept for ever either: only the client knows for how long, and it may have died.
    fn expires(&self, queue: &str) -> Option<u64> {
        let known = self.known().get(queue).and_then(|known| known.queue.expires);
        let is_for_replies = || queue.ends_with(".pidbox") && queue.contains(".reply.");
        known.or_else(|| is_for_replies().then_some(REPLIES_KEPT)).map(millis)
    }

    pub(crate) fn bind(&self, queue: &Queue, pipeline: &mut Pipeline) {
        bind(&self.options.keys, queue, pipeline);
    }

    /// Writes what the batch comes to, up to the first that reaches no queue.
    pub(crate) async fn route<'a>(
        &self,
        mut batch: impl Iterator<Item = &'a Publication> + Clone + Send,
        mail: &mut Mail,
    ) -> Result<(), BrokerError> {
        self.declare_targets(batch.clone()).await?;
        let tables = self.tables(batch.clone()).await?;
        batch.try_for_each(|it| self.write(it, &tables, mail))
    }

    /// The first message to a queue makes the queue known, as Celery's publishers do.
    async fn declare_targets<'a>(
        &self,
        batch: impl Iterator<Item = &'a Publication> + Send,
    ) -> Result<(), BrokerError> {
        let mut pipeline = pipe();
        let mut new: Vec<Queue> = Vec::new();
        for Publication { exchange, routing_key, .. } in batch {
            let named = exchange.name.is_empty() && exchange.kind != ExchangeKind::Fanout;
            let fresh = || new.iter().all(|queue| queue.name != *routing_key);
            if named && !self.declared(routing_key) && fresh() {
                let queue = Queue::named(routing_key);
                self.bind(&queue, &mut pipeline);
                new.push(queue);
            }
        }
        if !new.is_empty() {
            self.link.insist::<()>(&pipeline).await?;
            new.into_iter().for_each(|queue| self.remember(queue));
        }
        Ok(())
    }

    /// The bindings of the named exchanges in the batch.
    async fn tables<'a>(
        &self,
        batch: impl Iterator<Item = &'a Publication> + Send,
    ) -> Result<Tables, BrokerError> {
        let named = batch
            .filter(|it| !it.exchange.name.is_empty() && it.exchange.kind != ExchangeKind::Fanout);
        let names: Vec<&str> =
            named.map(|it| it.exchange.name.as_str()).collect::<HashSet<_>>().into_iter().collect();
        if names.is_empty() {
            return Ok(HashMap::new());
        }
        let mut pipeline = pipe();
        for name in &names {
            pipeline.add_command(cmd("SMEMBERS").arg(self.options.keys.bindings(name)).to_owned());
        }
        let tables: Vec<Vec<String>> = self.link.insist(&pipeline).await?;
        Ok(names.into_iter().map(str::to_owned).zip(tables).collect())
    }

    /// Writes a message, which may be one that is sent once under its name.
    fn write(
        &self,
        publication: &Publication,
        tables: &Tables,
        mail: &mut Mail,
    ) -> Result<(), BrokerError> {
        let Some(name) = &publication.message.once_named else {
            return self.address(publication, tables, mail);
        };
        let mut own = self.mail();
        self.address(publication, tables, &mut own)?;
        mail.once(self.options.keys.once(name), self.options.names_kept, own);
        Ok(())
    }

    /// Writes an envelope for each place that the message goes to.
    fn address(
        &self,
        publication: &Publication,
        tables: &Tables,
        mail: &mut Mail,
    ) -> Result<(), BrokerError> {
        let Publication { exchange, routing_key, message } = publication;
        let keys = &self.options.keys;
        let copy = || {
            let mut tag = [0; uuid::fmt::Hyphenated::LENGTH];
            let delivery_tag = ids::random().hyphenated().encode_lower(&mut tag);
            let mark = Postmark { exchange: &exchange.name, routing_key, delivery_tag };
            envelope::posted(message, mark, self.options.body_encoding)
        };
        let priority = message.properties.priority.unwrap_or(0);
        if exchange.kind == ExchangeKind::Fanout {
            mail.tell(keys.channel(&exchange.name, routing_key), copy());
            return Ok(());
        }
        let mut push = |queue: &str| {
            mail.push(keys.list(queue, priority), copy());
            if let Some(expires) = self.expires(queue) {
                keys.lists(queue).for_each(|list| mail.expire(list, expires));
            }
        };
        let Some(table) = tables.get(&exchange.name) else {
            push(routing_key);
            return Ok(());
        };
        let bound = table.iter().filter_map(|it| keys.bound(it, exchange.kind, routing_key));
        // A queue that is bound twice gets one copy.
        let queues: HashSet<&str> = bound.collect();
        if !queues.is_empty() {
            queues.into_iter().for_each(push);
            return Ok(());
        }
        match &self.options.deadletter_queue {
            Some(queue) if exchange.kind == ExchangeKind::Direct => {
                push(queue);
                Ok(())
            }
            _ => Err(BrokerError::Unroutable {
                exchange: exchange.name.clone(),
                routing_key: routing_key.clone(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use celery_core::config::{ConfigLoader, ServerUrl};

    use super::*;

    #[test]
    fn queues_are_not_remembered_without_end() {
        let url = ServerUrl::parse("redis://localhost").unwrap();
        let broker = RedisBroker::new(&[url], &ConfigLoader::new().load().unwrap()).unwrap();
        let router = broker.router();
        let expires = Some(Duration::from_secs(60));
        router.remember(Queue { expires, ..Queue::named("expires") });
        for number in 0..MOST_KNOWN + 5 {
            router.remember(Queue::named(format!("q{number}")));
        }
        assert!(router.known().len() < MOST_KNOWN);
        assert!(router.declared("expires") && router.declared(&format!("q{}", MOST_KNOWN + 4)));
        for number in 0..MOST_KNOWN + 5 {
            router.remember(Queue { expires, ..Queue::named(format!("e{number}")) });
        }
        assert!(router.known().len() <= MOST_KNOWN);
    }
}
