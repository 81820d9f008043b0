//! Puts messages into queues and onto channels.
//!
//! A batch is one round trip, and what goes into one list is one command. Whoever publishes while others do shares
//! their round trip (see [`gather`](crate::gather)).

pub(crate) mod mail;
mod post;

use std::collections::{HashMap, HashSet};

use celery_core::{
    broker::{BrokerError, ExchangeKind, Publication, Queue},
    envelope::{self, Postmark},
    ids,
};
use deadpool_redis::redis::{cmd, pipe};

use self::mail::Mail;
use crate::broker::RedisBroker;

/// The bindings of exchanges, by their names.
type Tables = HashMap<String, Vec<String>>;

impl RedisBroker {
    pub(crate) async fn publish_batch(&self, batch: &[Publication]) -> Result<(), BrokerError> {
        self.declare_targets(batch).await?;
        let tables = self.tables(batch).await?;
        let mut mail = Mail::default();
        let written = batch.iter().try_for_each(|it| self.write(it, &tables, &mut mail));
        // What comes before one that reaches no queue is published.
        if !mail.is_empty() {
            self.outbox().ask(self.link(), mail).await?;
        }
        written
    }

    /// The first message to a queue makes the queue known, as Celery's publishers do.
    async fn declare_targets(&self, batch: &[Publication]) -> Result<(), BrokerError> {
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
    async fn tables(&self, batch: &[Publication]) -> Result<Tables, BrokerError> {
        let named = batch
            .iter()
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
