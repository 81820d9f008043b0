//! The `control_` settings as fields.

use std::time::Duration;

use serde::Serialize;

use super::error::Problem;
use super::masked;
use super::read::{Reader, boolean, name, seconds};

/// How control commands and their replies travel.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ControlConfig {
    /// How long a message waits for its reader, where the broker has such a limit.
    #[serde(serialize_with = "masked::seconds")]
    pub queue_ttl: Duration,
    /// After how long an unused queue goes, where the broker has such a limit.
    #[serde(serialize_with = "masked::seconds")]
    pub queue_expires: Duration,
    /// Whether queues belong to one connection, where the broker can say so.
    pub queue_exclusive: bool,
    /// Whether queues survive a restart of the broker, where it can say so.
    pub queue_durable: bool,
    /// Stem of the names of the exchanges: `<name>.pidbox` and `reply.<name>.pidbox`.
    pub exchange: String,
}

impl ControlConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let config = Self {
            queue_ttl: reader.read("control_queue_ttl", seconds),
            queue_expires: reader.read("control_queue_expires", seconds),
            queue_exclusive: reader.read("control_queue_exclusive", boolean),
            queue_durable: reader.read("control_queue_durable", boolean),
            exchange: reader.read("control_exchange", name),
        };
        if config.queue_exclusive && config.queue_durable {
            let first = reader.written("control_queue_durable");
            let second = reader.written("control_queue_exclusive");
            let why = "a queue of one connection goes with it, so set only one of them to true";
            reader.problems.push(Problem::Contradiction { first, second, why });
        }
        config
    }
}
