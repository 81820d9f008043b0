//! Commands about events.

use super::{
    command::{Answer, ok},
    panel::Panel,
};
use crate::{arguments::Bound, value::Value, worker::heart};

pub(super) async fn enable(panel: &Panel, _: Bound) -> Answer {
    if panel.node.events.enable("task") {
        tracing::info!("Events of group {{task}} enabled by remote.");
        return ok("task events enabled");
    }
    ok("task events already enabled")
}

/// A worker that sent them from its start has no list of groups, so that the group cannot be taken off it.
pub(super) async fn disable(panel: &Panel, _: Bound) -> Answer {
    if panel.node.events.disable("task") {
        tracing::info!("Events of group {{task}} disabled by remote.");
        return ok("task events disabled");
    }
    ok("task events already disabled")
}

/// The event says little, and that the worker lives for the next ten seconds.
pub(super) async fn heartbeat(panel: &Panel, _: Bound) -> Answer {
    tracing::debug!("Heartbeat requested by remote.");
    panel.node.events.send("worker-heartbeat", |event| heart::software(event.add("freq", 5)));
    Ok(Some(Value::Null))
}
