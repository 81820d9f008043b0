//! Puts messages into queues and onto channels.
//!
//! A batch is one round trip, and what goes into one list is one command. Whoever publishes while others do shares
//! their round trip (see [`gather`](crate::gather)).

pub(crate) mod lanes;
pub(crate) mod mail;
mod post;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use celery_core::{
    broker::{BrokerError, ExchangeKind, Publication, Queue},
    envelope::{self, Postmark},
    ids,
};
use deadpool_redis::redis::{cmd, pipe};
use uuid::Uuid;

use self::mail::Mail;
use crate::{broker::RedisBroker, error::Fault};

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
        self.declare_targets(batch.clone()).await?;
        let tables = self.tables(batch.clone()).await?;
        let mut mail = Mail::new(Arc::clone(self.lanes()));
        let written = batch.clone().try_for_each(|it| self.write(it, &tables, &mut mail));
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
            self.link().insist::<()>(&pipeline).await?;
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
            pipeline
                .add_command(cmd("SMEMBERS").arg(self.options().keys.bindings(name)).to_owned());
        }
        let tables: Vec<Vec<String>> = self.link().insist(&pipeline).await?;
        Ok(names.into_iter().map(str::to_owned).zip(tables).collect())
    }

    /// Writes an envelope for each place that the message goes to.
    fn write(
        &self,
        publication: &Publication,
        tables: &Tables,
        mail: &mut Mail,
    ) -> Result<(), BrokerError> {
        let Publication { exchange, routing_key, message } = publication;
        let keys = &self.options().keys;
        let copy = || {
            let mut tag = [0; uuid::fmt::Hyphenated::LENGTH];
            let delivery_tag = ids::random().hyphenated().encode_lower(&mut tag);
            let mark = Postmark { exchange: &exchange.name, routing_key, delivery_tag };
            envelope::posted(message, mark, self.options().body_encoding)
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
        match &self.options().deadletter_queue {
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
