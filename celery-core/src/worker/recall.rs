//! Asks the broker which of the messages that have waited there were revoked meanwhile.
//!
//! A task may wait for its `eta` for months, and no worker remembers that long what was revoked. The broker does, for as long
//! as something waits in it; so it is asked when such a task comes: once for a whole batch.

use std::future::Future;

use jiff::tz::TimeZone;

use super::node::Node;
use crate::{
    broker::{BrokerError, Delivery},
    clock,
    control::revoked::{self, Kind},
    date,
    message::Message,
    protocol::TaskMessage,
    value::Value,
};

/// What was taken, once the worker knows what of it is revoked. Nothing when it is to stop meanwhile, or loses the
/// connection: then all of it is handed back.
///
/// # Errors
/// That of the batch, or a lost connection. Any other trouble is logged, since a worker can do without.
pub(super) async fn recall(
    node: &Node,
    stopping: impl Future<Output = ()>,
    batch: Result<Vec<Delivery>, BrokerError>,
) -> Result<Vec<Delivery>, BrokerError> {
    let mut batch = batch?;
    let asked = tokio::select! {
        biased;
        asked = ask(node, &batch) => Some(asked),
        () = stopping => None,
    };
    if let Some(Ok(())) = asked {
        return Ok(batch);
    }
    // The last one first, since each goes to the front of its queue.
    while batch.pop().is_some() {}
    asked.unwrap_or(Ok(())).map(|()| batch)
}

async fn ask(node: &Node, batch: &[Delivery]) -> Result<(), BrokerError> {
    let (mut ids, mut stamps) = (Vec::new(), Vec::new());
    for message in batch.iter().filter_map(|delivery| delivery.message.as_ref().ok()) {
        if let Some(id) = waited(node, message) {
            ids.push(id);
            stamps.extend(revoked::stamps_of(message));
        }
    }
    for (kind, mut asked) in [(Kind::Ids, ids), (Kind::Stamps, stamps)] {
        asked.retain(|one| !node.revoked.knows(kind, one));
        if asked.is_empty() {
            continue;
        }
        let broker = node.app.broker().await.map_err(BrokerError::other)?.as_ref();
        match revoked::remembers(broker, kind, &asked).await {
            Ok(known) => node.revoked.merge(kind, known),
            Err(lost @ BrokerError::ConnectionLost(_)) => return Err(lost),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the broker does not tell what is revoked"
                );
            }
        }
    }
    Ok(())
}

/// The id of a message whose `eta` has come.
fn waited(node: &Node, message: &Message) -> Option<String> {
    let text = |name: &str| message.headers.get(name).and_then(Value::as_str);
    let (id, eta) = match (text("id"), text("eta")) {
        // As most are.
        (Some(_), None) => return None,
        (Some(id), Some(eta)) => (id.to_owned(), date::parse(eta, &TimeZone::UTC).ok()?),
        // Of protocol 1, which has both in its body.
        (None, _) => {
            let older = TaskMessage::decode(message, node.app.accept_content()).ok()?;
            let eta = older.eta(&TimeZone::UTC).ok()??;
            (older.id, eta)
        }
    };
    (eta <= clock::now()).then_some(id)
}
