//! Which queues a worker consumes.

use super::super::{
    command::{Answer, nok, ok},
    panel::Panel,
};
use crate::{
    arguments::Bound,
    broker::{Exchange, ExchangeKind, Queue},
};

/// Consumes from one queue more: the one of the settings, else one that is bound as the arguments say.
///
/// It is declared before this replies, so that a queue which the broker refuses is told to who asks.
pub(in super::super) async fn add_consumer(panel: &Panel, mut given: Bound) -> Answer {
    let name: String = given.take(0)?;
    let exchange = given.take::<Option<String>>(1)?;
    let kind = given.take::<Option<String>>(2)?;
    let routing_key = given.take::<Option<String>>(3)?;
    let node = &panel.node;
    let known = node.app.queues().iter().find(|queue| queue.name == name).cloned();
    let queue = match known {
        Some(queue) => queue,
        None => {
            let kind = match kind.as_deref().unwrap_or("direct") {
                "direct" => ExchangeKind::Direct,
                "topic" => ExchangeKind::Topic,
                other => {
                    return nok(format!(
                        "this worker consumes from exchanges of the types direct and topic, and not of {other}"
                    ));
                }
            };
            Queue {
                exchange: Exchange { name: exchange.unwrap_or_else(|| name.clone()), kind },
                routing_key: routing_key.unwrap_or_else(|| name.clone()),
                name: name.clone(),
                expires: None,
            }
        }
    };
    node.app.broker().await?.declare(&queue).await?;
    if node.intake.add(queue) {
        tracing::info!(target: "celery::worker", "Started consuming from {name}");
    }
    ok(format!("add consumer {name}"))
}

/// Consumes no more from the queue. What was taken from it already is run.
pub(in super::super) async fn cancel_consumer(panel: &Panel, mut given: Bound) -> Answer {
    let name: String = given.take(0)?;
    if panel.node.intake.cancel(&name) {
        tracing::info!(target: "celery::worker", "Stopped consuming from {name}");
    }
    ok(format!("no longer consuming from {name}"))
}
