//! The `control_` settings as fields.

use std::time::Duration;

use serde::Serialize;

use super::masked;
use super::read::{Reader, name, seconds};

/// How control commands and their replies travel.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ControlConfig {
    /// After how long an unused queue goes.
    #[serde(serialize_with = "masked::seconds")]
    pub queue_expires: Duration,
    /// Stem of the names of the exchanges: `<name>.pidbox` and `reply.<name>.pidbox`.
    pub exchange: String,
}

impl ControlConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            queue_expires: reader.read("control_queue_expires", seconds),
            exchange: reader.read("control_exchange", name),
        }
    }
}
