//! The `event_` settings as fields.

use std::time::Duration;

use serde::Serialize;

use super::masked::seconds;
use super::read::{self, Reader, limit, name, serializer};

/// How events travel.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EventConfig {
    /// The exchange.
    pub exchange: String,
    /// What the names of the queues of receivers begin with.
    pub queue_prefix: String,
    /// How long an event waits for a receiver that is slow; `None` means for ever.
    #[serde(serialize_with = "seconds")]
    pub queue_ttl: Option<Duration>,
    /// After how long the queue of a receiver that is gone goes, too.
    #[serde(serialize_with = "seconds")]
    pub queue_expires: Duration,
    /// Serializer of events.
    pub serializer: String,
}

impl EventConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            exchange: reader.read("event_exchange", name),
            queue_prefix: reader.read("event_queue_prefix", name),
            queue_ttl: reader.read("event_queue_ttl", limit),
            queue_expires: reader.read("event_queue_expires", read::seconds),
            serializer: reader.read("event_serializer", serializer),
        }
    }
}
