//! What workers hear of each other: who is there, and who of them is elected for what is to be done once.
//!
//! It is told by events: that a worker lives, that it is a candidate, and that it has heard of a candidate. Elections are
//! Celery's: a Python fleet waits until every worker that lives has heard of all candidates.

mod election;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, interval, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::election::{Candidate, Elections};
use super::node::Node;
use crate::{
    broker::{BrokerError, Queue, Subscription},
    codec,
    error::Error,
    events::{self, Event},
    message::Message,
    signature::Spec,
    value::Value,
};

/// How often it is looked for workers that are gone without a word.
const LOOKS_EVERY: Duration = Duration::from_secs(5);

/// What a worker has heard of the others.
#[derive(Debug, Default)]
pub(super) struct Gossip(Mutex<Heard>);

#[derive(Debug, Default)]
struct Heard {
    /// Until when each of the others counts as living.
    alive: HashMap<String, Instant>,
    elections: Elections,
}

impl Gossip {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pause before the first attempt to listen again.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// What no pause exceeds: a broker that is back is noticed so soon.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Listens until the worker stops. A lost connection is made anew.
pub(super) async fn listen(node: Arc<Node>, background: CancellationToken) {
    let config = &node.app.config().event;
    let queue = Queue {
        name: format!("{}.{}", config.queue_prefix, Uuid::new_v4()),
        exchange: events::exchange(config),
        routing_key: "worker.#".to_owned(),
        expires: Some(config.queue_expires),
    };
    let mut pause = FIRST_PAUSE;
    loop {
        let listening = async {
            let mut subscription = node.app.broker().await?.subscribe(&queue).await?;
            pause = FIRST_PAUSE;
            let end = tokio::select! {
                error = follow(&node, subscription.as_mut()) => Err(Error::from(error)),
                () = background.cancelled() => Ok(()),
            };
            if end.is_ok() {
                subscription.close().await?;
            }
            end
        };
        if let Err(error) = listening.await {
            tracing::debug!(error = &error as &dyn std::error::Error, retry_in = ?pause, "gossip is cut off");
        }
        tokio::select! {
            () = background.cancelled() => return,
            () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
        }
    }
}

/// Returns the error that ended the subscription.
async fn follow(node: &Arc<Node>, subscription: &mut dyn Subscription) -> BrokerError {
    let mut look = interval(LOOKS_EVERY);
    loop {
        tokio::select! {
            message = subscription.next() => match message {
                Ok(message) => if let Some(event) = read(node, &message) {
                    hear(node, &event);
                },
                Err(error) => return error,
            },
            _ = look.tick() => forget_the_silent(node),
        }
    }
}

/// The event of a message. Lists are of tasks, which nobody asked for here.
fn read(node: &Node, message: &Message) -> Option<Event> {
    let (content_type, encoding) =
        (message.content_type.as_deref(), message.content_encoding.as_deref());
    let accept = node.app.accept_content();
    match codec::decode(&message.body, content_type, encoding, None, accept) {
        Ok(body) => Event::from_value(body).ok().filter(|event| event.group() == "worker"),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "could not read an event");
            None
        }
    }
}

/// Takes an event in.
fn hear(node: &Arc<Node>, event: &Event) {
    let Some(gossip) = &node.gossip else { return };
    let Some(hostname) = event.hostname() else { return };
    match event.kind() {
        "worker-elect" => {
            let Some((id, candidate)) = Candidate::of(event) else {
                tracing::error!("an election request lacks a field: {:?}", event.fields);
                return;
            };
            node.events.send("worker-elect-ack", |fields| _ = fields.add("id", &id));
            gossip.heard().elections.stand(id, candidate);
        }
        "worker-elect-ack" => {
            let Some(id) = event.text("id") else { return };
            let elected = {
                let mut heard = gossip.heard();
                let now = Instant::now();
                let living = heard.alive.values().filter(|until| **until > now).count();
                heard.elections.acknowledge(id, living)
            };
            if let Some(winner) = elected {
                conclude(node, id, winner);
            }
        }
        _ if *hostname == *node.hostname => _ = node.app.clock().forward(),
        kind => {
            node.app.clock().adjust(event.clock().unwrap_or(0));
            note(gossip, kind, hostname, event);
        }
    }
}

/// Notes whether another worker lives.
fn note(gossip: &Gossip, kind: &str, hostname: &str, event: &Event) {
    let mut heard = gossip.heard();
    if kind == "worker-offline" {
        if heard.alive.remove(hostname).is_some() {
            tracing::debug!(target: "celery::worker", "{hostname} left");
        }
        return;
    }
    // Celery's: twice the time between two heartbeats.
    let seconds = event.number("freq").unwrap_or(60.0).clamp(0.0, 3600.0);
    let until = Instant::now() + Duration::from_secs_f64(seconds * 2.0);
    if heard.alive.insert(hostname.to_owned(), until).is_none() {
        tracing::debug!(target: "celery::worker", "{hostname} joined the party");
    }
}

fn forget_the_silent(node: &Node) {
    let Some(gossip) = &node.gossip else { return };
    let now = Instant::now();
    gossip.heard().alive.retain(|hostname, until| {
        if *until <= now {
            tracing::info!(target: "celery::worker", "missed heartbeat from {hostname}");
        }
        *until > now
    });
}

/// Stands for election, as every worker does that is asked to hold it.
pub(super) fn hold_election(node: &Node, gossip: &Gossip, id: &str, topic: &str, action: &Value) {
    gossip.heard().elections.open(id);
    node.events.send("worker-elect", |event| {
        event.add("id", id).add("topic", topic).add("action", action).add("cver", 1);
    });
}

/// Does what is to be done, if it is this worker that was elected.
fn conclude(node: &Arc<Node>, id: &str, winner: Candidate) {
    if winner.name != format!("{}.{}", node.hostname, std::process::id()) {
        tracing::info!(target: "celery::worker", "node {} elected for '{id}'", winner.name);
        return;
    }
    tracing::info!(target: "celery::worker", "I won the election '{id}'");
    if winner.topic != "task" {
        tracing::error!(target: "celery::worker", "Unknown election topic '{}'", winner.topic);
        return;
    }
    let node = Arc::clone(node);
    tokio::spawn(async move {
        let sent = match Spec::from_value(winner.action) {
            Ok(task) => node.app.send(task).await,
            Err(error) => Err(Error::Call(error.to_string())),
        };
        if let Err(error) = sent {
            let error: &dyn std::error::Error = &error;
            tracing::error!(target: "celery::worker", error, "Could not call task");
        }
    });
}
