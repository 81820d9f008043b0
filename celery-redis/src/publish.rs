//! Puts messages into queues and onto channels.
//!
//! A batch is one round trip. So are batches that are published at the same time, since they share a connection that
//! writes what is there and matches the replies.

use std::collections::{HashMap, HashSet};

use celery_core::{
    broker::{BrokerError, ExchangeKind, Publication, Queue},
    envelope,
};
use deadpool_redis::redis::{Pipeline, cmd, pipe};
use uuid::Uuid;

use crate::broker::RedisBroker;

impl RedisBroker {
    pub(crate) async fn publish_batch(&self, batch: &[Publication]) -> Result<(), BrokerError> {
        self.declare_targets(batch).await?;
        let tables = self.tables(batch).await?;
        let mut pipeline = pipe();
        let mut unroutable = None;
        for publication in batch {
            if let Err(error) = self.push(publication, &tables, &mut pipeline) {
                unroutable = Some(error);
                break;
            }
        }
        if !pipeline.is_empty() {
            self.link().ask_all::<()>(&pipeline).await?;
        }
        match unroutable {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// The first message to a queue makes the queue known, as Celery's publishers do.
    async fn declare_targets(&self, batch: &[Publication]) -> Result<(), BrokerError> {
        let anonymous = batch
            .iter()
            .filter(|it| it.exchange.name.is_empty() && it.exchange.kind != ExchangeKind::Fanout);
        let names: HashSet<&str> = anonymous.map(|it| it.routing_key.as_str()).collect();
        let mut pipeline = pipe();
        let mut new = Vec::new();
        for name in names {
            if !self.declared(name) {
                let queue = Queue::named(name);
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
    async fn tables(
        &self,
        batch: &[Publication],
    ) -> Result<HashMap<String, Vec<String>>, BrokerError> {
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

    fn push(
        &self,
        publication: &Publication,
        tables: &HashMap<String, Vec<String>>,
        pipeline: &mut Pipeline,
    ) -> Result<(), BrokerError> {
        let Publication { exchange, routing_key, message } = publication;
        let keys = &self.options().keys;
        let mut message = message.clone();
        message.properties.delivery_info.exchange.clone_from(&exchange.name);
        message.properties.delivery_info.routing_key.clone_from(routing_key);
        let mut copy = || {
            message.properties.delivery_tag = Uuid::new_v4().to_string();
            envelope::to_json(&message, self.options().body_encoding)
        };
        let priority = publication.message.properties.priority.unwrap_or(0);
        if exchange.kind == ExchangeKind::Fanout {
            pipeline
                .cmd("PUBLISH")
                .arg(keys.channel(&exchange.name, routing_key))
                .arg(copy())
                .ignore();
            return Ok(());
        }
        let mut queues: Vec<&str> = match tables.get(&exchange.name) {
            None => vec![routing_key],
            Some(table) => {
                let bound = table
                    .iter()
                    .filter_map(|binding| keys.bound(binding, exchange.kind, routing_key));
                bound.collect::<HashSet<_>>().into_iter().collect()
            }
        };
        if queues.is_empty() {
            match &self.options().deadletter_queue {
                Some(queue) if exchange.kind == ExchangeKind::Direct => queues.push(queue),
                _ => {
                    let (exchange, routing_key) = (exchange.name.clone(), routing_key.clone());
                    return Err(BrokerError::Unroutable { exchange, routing_key });
                }
            }
        }
        for queue in queues {
            pipeline.cmd("LPUSH").arg(keys.list(queue, priority)).arg(copy()).ignore();
            if let Some(expires) = self.expires(queue) {
                for list in keys.lists(queue) {
                    pipeline.cmd("PEXPIRE").arg(list).arg(expires).ignore();
                }
            }
        }
        Ok(())
    }
}
