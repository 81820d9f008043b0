//! The queues that a worker consumes.

use serde_json::json;

use super::super::{command::Answer, panel::Panel};
use crate::{
    arguments::Bound,
    broker::{ExchangeKind, Queue},
    value::Value,
};

/// Each with all that kombu tells of a queue: Flower needs most of it.
pub(in super::super) async fn active_queues(panel: &Panel, _: Bound) -> Answer {
    Ok(Some(panel.node.intake.now().queues.iter().map(shown).collect()))
}

fn shown(queue: &Queue) -> Value {
    let kind = match queue.exchange.kind {
        ExchangeKind::Direct => "direct",
        ExchangeKind::Topic => "topic",
        ExchangeKind::Fanout => "fanout",
    };
    json!({
        "name": queue.name,
        "exchange": {
            "name": queue.exchange.name,
            "type": kind,
            "arguments": null,
            "durable": true,
            "passive": false,
            "auto_delete": false,
            "delivery_mode": null,
            "no_declare": false,
        },
        "routing_key": queue.routing_key,
        "queue_arguments": null,
        "binding_arguments": null,
        "consumer_arguments": null,
        "durable": true,
        "exclusive": false,
        "auto_delete": false,
        "no_ack": false,
        "alias": null,
        "bindings": [],
        "no_declare": null,
        "expires": queue.expires.map(|limit| limit.as_secs_f64()),
        "message_ttl": null,
        "max_length": null,
        "max_length_bytes": null,
        "max_priority": null,
    })
}
