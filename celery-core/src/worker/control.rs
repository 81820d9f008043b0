//! Answers remote control: one loop that listens for requests and replies. What is answered is in
//! [`commands`]: a table of commands, each a function of the [`Panel`] and its bound arguments.
//!
//! Commands run one after the other, so that one sees what the one before it did.

mod command;
mod commands;
mod events;
mod inspect;
mod operate;
mod panel;
mod revoke;
#[cfg(test)]
mod tests;

use std::{future::pending, sync::Arc, time::Duration};

use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

pub use self::{
    command::{Answer, ArgumentType, Command, CommandError, CommandKind, Run},
    commands::all as commands,
    panel::Panel,
};
use super::{Shutdown, node::Node};
use crate::{
    broker::{BrokerError, Exchange, Publication, Subscription},
    codec::Serializer,
    control::{self, Reply, Request},
    error::Error,
    value::Value,
};

/// The pause before the first attempt to listen again.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// What no pause exceeds: a broker that is back is noticed so soon.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Serves requests until the worker stops. A lost connection is made anew.
pub(super) async fn serve(node: Arc<Node>, shutdown: Shutdown, background: CancellationToken) {
    let queue = control::node_queue(&node.app.config().control, &node.hostname);
    let panel = Panel::new(node.clone(), shutdown);
    let mut pause = FIRST_PAUSE;
    loop {
        let listening = async {
            let mut subscription = node.app.broker().await?.subscribe(&queue).await?;
            // What was asked for while we did not listen.
            node.recall_revoked().await?;
            pause = FIRST_PAUSE;
            let resumed = subscription.resumed();
            let end = tokio::select! {
                error = listen(&panel, subscription.as_mut()) => Err(Error::from(error)),
                error = recall(&node, resumed) => Err(error),
                () = background.cancelled() => Ok(()),
            };
            if end.is_ok() {
                subscription.close().await?;
            }
            end
        };
        match listening.await {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, retry_in = ?pause, "remote control is cut off");
            }
        }
        tokio::select! {
            () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            () = background.cancelled() => return,
        }
    }
}

/// Asks what was revoked whenever the subscription was cut off, and returns the error of that.
async fn recall(node: &Node, resumed: Option<Arc<Notify>>) -> Error {
    let Some(resumed) = resumed else { return pending().await };
    loop {
        resumed.notified().await;
        if let Err(error) = node.recall_revoked().await {
            return error;
        }
    }
}

/// Returns the error that ended the subscription.
async fn listen(panel: &Panel, subscription: &mut dyn Subscription) -> BrokerError {
    let node = &panel.node;
    loop {
        let message = match subscription.next().await {
            Ok(message) => message,
            Err(error) => return error,
        };
        let request = match Request::from_message(&message, node.app.accept_content()) {
            Ok(request) if request.is_for(&node.hostname) => {
                if let Some(clock) = message.headers.get("clock").and_then(Value::as_u64) {
                    node.app.clock().adjust(clock);
                }
                request
            }
            Ok(_) => continue,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "could not read a remote control request"
                );
                continue;
            }
        };
        tracing::debug!(method = request.method, "remote control");
        if let Some(value) = answer(panel, &request).await
            && let Err(error) = reply(node, &request, value).await
        {
            // An asker that has stopped waiting has taken its queue away.
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "could not send a remote control reply"
            );
        }
    }
}

/// What is answered, or nothing where the command has no reply.
async fn answer(panel: &Panel, request: &Request) -> Option<Value> {
    let method = request.method.as_str();
    let answer = match commands::find(method) {
        Some(command) => command.call(panel, request.arguments.clone()).await,
        None => Err(CommandError::new("KeyError", method)),
    };
    answer.unwrap_or_else(|error| {
        tracing::error!(target: "celery::worker", "pidbox command error: {error}");
        Some(serde_json::json!({ "error": error.to_string() }))
    })
}

async fn reply(node: &Node, request: &Request, value: Value) -> Result<(), Error> {
    let Some(to) = &request.reply_to else { return Ok(()) };
    let reply = Reply { node: node.hostname.to_string(), value, ticket: request.ticket.clone() };
    let publication = Publication {
        exchange: Exchange::direct(to.exchange.clone()),
        routing_key: to.routing_key.clone(),
        message: reply.to_message(node.app.clock().forward(), Serializer::Json)?,
    };
    Ok(node.app.publisher().await?.publish(&[publication]).await?)
}
