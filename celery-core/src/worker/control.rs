//! Answers remote control: one loop that listens for requests and replies.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Node, Shutdown};
use crate::{
    broker::{BrokerError, Exchange, Publication, Subscription},
    codec::Serializer,
    control::{self, Reply, Request},
    error::Error,
    options::Options,
    value::{Map, Value},
};

/// Serves requests until the worker stops. A lost connection is made anew.
pub(super) async fn serve(node: Arc<Node>, shutdown: Shutdown, background: CancellationToken) {
    let queue = control::node_queue(&node.app.config().control, &node.hostname);
    let mut pause = Duration::from_secs(1);
    loop {
        let listening = async {
            let mut subscription = node.app.broker().await?.subscribe(&queue).await?;
            let end = tokio::select! {
                error = listen(&node, subscription.as_mut(), &shutdown) => Err(Error::from(error)),
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
            () = sleep(pause) => pause = (pause * 2).min(Duration::from_secs(30)),
            () = background.cancelled() => return,
        }
    }
}

/// Returns the error that ended the subscription.
async fn listen(
    node: &Node,
    subscription: &mut dyn Subscription,
    shutdown: &Shutdown,
) -> BrokerError {
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
        let value = answer(node, &request, shutdown);
        if let Some(value) = value
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
fn answer(node: &Node, request: &Request, shutdown: &Shutdown) -> Option<Value> {
    match request.method.as_str() {
        "ping" => Some(serde_json::json!({ "ok": "pong" })),
        "registered" | "dump_tasks" => Some(registered(node, &request.arguments)),
        // A worker that starts asks the others what they know. Nothing is revoked here.
        "hello"
            if request.arguments.get("from_node").and_then(Value::as_str)
                == Some(&node.hostname) =>
        {
            None
        }
        "hello" => Some(serde_json::json!({ "revoked": [], "clock": node.app.clock().forward() })),
        "shutdown" => {
            tracing::warn!("shutdown was asked for by remote control");
            shutdown.warm.cancel();
            None
        }
        unknown => {
            tracing::error!(method = unknown, "no such remote control command");
            Some(serde_json::json!({ "error": format!("KeyError('{unknown}')") }))
        }
    }
}

/// The names of the tasks, with the attributes asked for behind them, as Celery shows them.
fn registered(node: &Node, arguments: &Map) -> Value {
    let items: Vec<_> = match arguments.get("taskinfoitems") {
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let show = |name: &str, options: &Options| {
        let shown: Vec<_> = items
            .iter()
            .filter_map(|item| Some(format!("{item}={}", attribute(options, item)?)))
            .collect();
        if shown.is_empty() { name.to_owned() } else { format!("{name} [{}]", shown.join(" ")) }
    };
    node.registry().iter().map(|task| Value::from(show(task.name, &task.options))).collect()
}

/// An attribute of a task under Celery's name, where it is set.
fn attribute(options: &Options, name: &str) -> Option<String> {
    let python = |on: bool| if on { "True" } else { "False" }.to_owned();
    match name {
        "max_retries" => options.max_retries.map(|retries| retries.to_string()),
        "default_retry_delay" => Some(options.default_retry_delay.as_secs().to_string()),
        "time_limit" => options.time_limit.map(|limit| limit.as_secs().to_string()),
        "soft_time_limit" => options.soft_time_limit.map(|limit| limit.as_secs().to_string()),
        "acks_late" => options.acks_late.map(python),
        "ignore_result" => options.ignore_result.map(python),
        "track_started" => options.track_started.map(python),
        "serializer" => options.serializer.map(str::to_owned),
        "compression" => options.compression.map(str::to_owned),
        "queue" => options.queue.map(str::to_owned),
        "priority" => options.priority.map(|priority| priority.to_string()),
        "expires" => options.expires.map(|limit| limit.as_secs().to_string()),
        _ => None,
    }
}

async fn reply(node: &Node, request: &Request, value: Value) -> Result<(), Error> {
    let Some(to) = &request.reply_to else { return Ok(()) };
    let reply = Reply { node: node.hostname.clone(), value, ticket: request.ticket.clone() };
    let publication = Publication {
        exchange: Exchange::direct(to.exchange.clone()),
        routing_key: to.routing_key.clone(),
        message: reply.to_message(node.app.clock().forward(), Serializer::Json)?,
    };
    Ok(node.app.publisher().await?.publish(&[publication]).await?)
}
