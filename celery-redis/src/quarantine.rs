//! What was set aside: for each queue a list of records, the oldest first, which stays until a person decides.
//!
//! ```json
//! {"queue": "celery", "reason": "…", "at": "2026-11-25T16:00:00Z", "raw": "<the item>"}
//! ```
//!
//! An item that is no text has `"encoding": "base64"` beside it. A message is called by its delivery tag, and what is none by
//! the time at which it was set aside.

use std::collections::HashSet;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use celery_core::{
    broker::{BrokerError, Quarantined},
    value::Value,
};
use deadpool_redis::redis::{cmd, pipe};

use crate::{broker::RedisBroker, entry, error::Fault, scripts::REQUEUE};

/// How many records go to the server in one step.
const AT_ONCE: usize = 100;

fn read(record: &[u8]) -> Option<Quarantined> {
    let record: Value = serde_json::from_slice(record).ok()?;
    let text = |name: &str| record[name].as_str().map(str::to_owned);
    let raw = text("raw")?;
    let raw = match record.get("encoding") {
        Some(_) => Bytes::from(BASE64_STANDARD.decode(raw).ok()?),
        None => Bytes::from(raw),
    };
    let at = text("at")?;
    let mut kept = Quarantined {
        id: String::new(),
        queue: text("queue")?,
        reason: text("reason")?,
        at: at.parse().ok()?,
        raw,
    };
    let tag = kept.message().map(|message| message.properties.delivery_tag);
    kept.id = tag.ok().filter(|tag| !tag.is_empty()).unwrap_or(at);
    Some(kept)
}

impl RedisBroker {
    pub(crate) async fn list_quarantined(
        &self,
        queue: &str,
    ) -> Result<Vec<Quarantined>, BrokerError> {
        Ok(self.records(queue).await?.into_iter().map(|(_, kept)| kept).collect())
    }

    /// Returns how many there were.
    pub(crate) async fn requeue(&self, queue: &str, ids: &[String]) -> Result<u64, BrokerError> {
        let keys = &self.options().keys;
        let mut requeued = 0;
        for chunk in self.chosen(queue, ids).await?.chunks(AT_ONCE) {
            let priority = |kept: &Quarantined| {
                kept.message().ok().and_then(|message| message.properties.priority).unwrap_or(0)
            };
            let mut names = vec![keys.quarantine(queue)];
            names.extend(chunk.iter().map(|(_, kept)| keys.list(queue, priority(kept))));
            let mut command = REQUEUE.command(&names);
            for (record, kept) in chunk {
                command.arg(record).arg(entry::uncounted(&kept.raw));
            }
            requeued += self.link().ask::<u64>(&command).await?;
        }
        Ok(requeued)
    }

    /// Returns how many there were.
    pub(crate) async fn discard(&self, queue: &str, ids: &[String]) -> Result<u64, BrokerError> {
        let list = self.options().keys.quarantine(queue);
        let mut dropped = 0;
        for chunk in self.chosen(queue, ids).await?.chunks(AT_ONCE) {
            let mut pipeline = pipe();
            for (record, _) in chunk {
                pipeline.cmd("LREM").arg(&list).arg(1).arg(record);
            }
            let gone: Vec<u64> = self.link().ask_all(&pipeline).await?;
            dropped += gone.iter().sum::<u64>();
        }
        Ok(dropped)
    }

    /// The records that are called so.
    async fn chosen(
        &self,
        queue: &str,
        ids: &[String],
    ) -> Result<Vec<(Vec<u8>, Quarantined)>, BrokerError> {
        let ids: HashSet<&str> = ids.iter().map(String::as_str).collect();
        let mut records = self.records(queue).await?;
        records.retain(|(_, kept)| ids.contains(kept.id.as_str()));
        Ok(records)
    }

    /// Each record as it is in the list, and read.
    async fn records(&self, queue: &str) -> Result<Vec<(Vec<u8>, Quarantined)>, BrokerError> {
        let list = self.options().keys.quarantine(queue);
        let records: Vec<Vec<u8>> =
            self.link().ask(cmd("LRANGE").arg(&list).arg(0).arg(-1)).await?;
        let read = |record: Vec<u8>| match read(&record) {
            Some(kept) => Ok((record, kept)),
            None => {
                let why = format!("an item of `{list}` is no record of the quarantine");
                Err(Fault::other(self.link().shown(), why).into())
            }
        };
        records.into_iter().map(read).collect()
    }
}
