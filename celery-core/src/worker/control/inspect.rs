//! Commands that only look.

mod memory;
mod queues;
pub(super) mod requests;
mod stats;
mod tasks;

use serde_json::json;

pub(super) use self::{
    memory::{Samples, memdump, memsample, objgraph},
    queues::active_queues,
    requests::{active, query_task, reserved, scheduled},
    stats::stats,
    tasks::registered,
};
use super::{
    command::{Answer, ok},
    panel::Panel,
};
use crate::{
    arguments::Bound,
    control::revoked::{self, Kind},
    value::Value,
};

pub(super) async fn ping(_: &Panel, _: Bound) -> Answer {
    ok("pong")
}

pub(super) async fn clock(panel: &Panel, _: Bound) -> Answer {
    Ok(Some(json!({ "clock": panel.node.app.clock().value() })))
}

pub(super) async fn report(panel: &Panel, _: Bound) -> Answer {
    ok(panel.node.app.bugreport())
}

/// The settings, secrets hidden; those that have their default only if they are asked for.
pub(super) async fn conf(panel: &Panel, mut given: Bound) -> Answer {
    let config = panel.node.app.config();
    let with_defaults = given.take::<Option<bool>>(0)?.unwrap_or(false);
    let settings = if with_defaults { config.masked() } else { config.masked_changes() };
    Ok(Some(Value::Object(settings)))
}

/// A worker that starts tells the others what is revoked as far as it knows, and asks them the same.
pub(super) async fn hello(panel: &Panel, mut given: Bound) -> Answer {
    let node = &panel.node;
    if given.take::<Value>(0)?.as_str() == Some(&*node.hostname) {
        return Ok(Some(Value::Null));
    }
    node.revoked.merge(Kind::Ids, revoked::ids(&given.take::<Value>(1)?));
    Ok(Some(json!({ "revoked": node.revoked.all(), "clock": node.app.clock().forward() })))
}
