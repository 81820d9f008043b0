//! Remote control: asking the workers of a fleet, and what is said on the wire.
//!
//! A [`Request`] goes to every worker by a fanout exchange, and each that it is for answers with a [`Reply`] to the
//! queue of the asker. This is the client's half; the worker's half uses the same two types.

mod inbox;
mod pattern;
mod reply;
mod request;
mod revoke;
pub(crate) mod revoked;
pub(crate) mod signal;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use self::inbox::Inbox;
pub use self::{
    pattern::Matcher,
    reply::Reply,
    request::{Destination, ReplyTo, Request},
    revoke::Revoke,
};
use crate::{
    app::Celery,
    broker::{Broker, Exchange, Publication, Queue},
    clock,
    codec::{DecodeError, Serializer},
    config::ControlConfig,
    error::Error,
    message::Message,
    value::{Map, Value},
};

/// Speaks to the workers of an app: Celery's `app.control`.
///
/// ```no_run
/// # async fn example(app: celery_core::app::Celery) -> Result<(), celery_core::error::Error> {
/// for (node, reply) in app.control().ping().replies().await? {
///     println!("{node}: {reply}");
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Control {
    app: Celery,
}

impl Celery {
    /// Speaks to the workers of this app.
    pub fn control(&self) -> Control {
        Control { app: self.clone() }
    }
}

impl Control {
    /// A request of any method, with its keyword arguments.
    pub fn broadcast(&self, method: impl Into<String>, arguments: Map) -> Broadcast {
        Broadcast {
            app: self.app.clone(),
            request: Request::new(method, arguments),
            timeout: Duration::from_secs(1),
            limit: None,
        }
    }

    /// Asks who is there. A worker answers `{"ok": "pong"}`.
    pub fn ping(&self) -> Broadcast {
        self.broadcast("ping", Map::new())
    }

    /// Asks for the names of the tasks that are registered. A worker answers with a list of them.
    pub fn registered(&self) -> Broadcast {
        let nothing_more = ("taskinfoitems".to_owned(), Value::Array(Vec::new()));
        self.broadcast("registered", Map::from_iter([nothing_more]))
    }
}

/// A request to the workers on its way.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `replies` or `send`"]
pub struct Broadcast {
    app: Celery,
    request: Request,
    timeout: Duration,
    limit: Option<usize>,
}

impl Broadcast {
    /// Asks only the workers of these node names. None at all means everyone.
    pub fn destination<I>(mut self, nodes: I) -> Self
    where
        I: IntoIterator<Item: Into<String>>,
    {
        let nodes: Vec<String> = nodes.into_iter().map(Into::into).collect();
        self.request.destination = (!nodes.is_empty()).then_some(Destination::Nodes(nodes));
        self
    }

    /// Asks only the workers whose node name matches.
    pub fn pattern(mut self, pattern: impl Into<String>, matcher: Matcher) -> Self {
        self.request.pattern = Some(pattern.into());
        self.request.matcher = Some(matcher.name().to_owned());
        self
    }

    /// How long replies are collected: one second unless it is said.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Stops collecting after that many replies. With a destination it is the number of its nodes, unless it is said.
    pub fn limit(mut self, replies: usize) -> Self {
        self.limit = Some(replies);
        self
    }

    /// Sends it, and wants no reply.
    ///
    /// # Errors
    /// [`Error::Broker`] when it cannot be published.
    ///
    /// # Cancel safety
    /// A call that is dropped may or may not have been sent.
    pub async fn send(self) -> Result<(), Error> {
        let message =
            self.request.to_message(self.app.clock().forward(), 0.0, serializer(&self.app)?)?;
        publish(&self.app, message).await
    }

    /// Sends it and collects the replies, by node name, in the order of their arrival.
    ///
    /// # Errors
    /// [`Error::Broker`] when the broker cannot be reached. Nobody answering is no error.
    ///
    /// # Cancel safety
    /// When it is dropped, the queue for replies is deleted in the background, as long as the runtime lives. What it
    /// misses goes when the queue expires.
    pub async fn replies(self) -> Result<Vec<(String, Value)>, Error> {
        self.replies_each(|_, _| {}).await
    }

    /// As [`replies`](Self::replies), and shows each reply as it comes.
    ///
    /// # Errors
    /// As for `replies`.
    ///
    /// # Cancel safety
    /// As for `replies`.
    pub async fn replies_each(
        mut self,
        mut on_reply: impl FnMut(&str, &Value) + Send,
    ) -> Result<Vec<(String, Value)>, Error> {
        let config = &self.app.config().control;
        let serializer = serializer(&self.app)?;
        // An id of its own for each request keeps the replies of two that are under way apart, and lets each delete
        // its queue when it is done.
        let oid = Uuid::new_v4().to_string();
        let ticket = Uuid::new_v4().to_string();
        let queue = reply_queue(config, &oid);
        self.request.reply_to =
            Some(ReplyTo { exchange: queue.exchange.name.clone(), routing_key: oid });
        self.request.ticket = Some(ticket.clone());

        let mut inbox = Inbox::open(self.app.publisher().await?, queue).await?;
        let expires = (clock::now().as_microsecond() as f64) / 1e6 + self.timeout.as_secs_f64();
        let deadline = Instant::now() + self.timeout;
        let message = self.request.to_message(self.app.clock().forward(), expires, serializer)?;
        publish(&self.app, message).await?;
        let replies = self.collect(&mut inbox, &ticket, deadline, &mut on_reply).await;
        inbox.close().await;
        replies
    }

    async fn collect(
        &self,
        inbox: &mut Inbox,
        ticket: &str,
        deadline: Instant,
        on_reply: &mut (impl FnMut(&str, &Value) + Send),
    ) -> Result<Vec<(String, Value)>, Error> {
        let by_destination = match &self.request.destination {
            Some(Destination::Nodes(nodes)) => Some(nodes.len()),
            _ => None,
        };
        let limit = self.limit.or(by_destination).unwrap_or(usize::MAX);
        let mut replies = Vec::new();
        while replies.len() < limit {
            let Ok(arrived) = timeout_at(deadline, inbox.next()).await else { break };
            for message in arrived? {
                if let Some(clock) = message.headers.get("clock").and_then(Value::as_u64) {
                    self.app.clock().adjust(clock);
                }
                match Reply::from_message(&message, self.app.accept_content()) {
                    // A reply without a ticket is from a kombu that had none.
                    Ok(reply)
                        if reply.ticket.as_deref().is_none_or(|of| of == ticket)
                            && replies.len() < limit =>
                    {
                        on_reply(&reply.node, &reply.value);
                        replies.push((reply.node, reply.value));
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "a reply could not be read"
                        );
                    }
                }
            }
        }
        Ok(replies)
    }
}

/// The exchange of requests: `celery.pidbox`.
pub fn exchange(config: &ControlConfig) -> Exchange {
    Exchange::fanout(format!("{}.pidbox", config.exchange))
}

/// The queue on which the worker of that node name listens for requests.
pub fn node_queue(config: &ControlConfig, node: &str) -> Queue {
    let exchange = exchange(config);
    let name = format!("{node}.{}", exchange.name);
    Queue { name, exchange, routing_key: String::new(), expires: Some(config.queue_expires) }
}

/// The queue in which an asker of that id receives replies.
fn reply_queue(config: &ControlConfig, oid: &str) -> Queue {
    let exchange = Exchange::direct(format!("reply.{}.pidbox", config.exchange));
    let name = format!("{oid}.{}", exchange.name);
    Queue { name, exchange, routing_key: oid.to_owned(), expires: Some(config.queue_expires) }
}

/// Remote control is written as tasks are: the workers accept that.
fn serializer(app: &Celery) -> Result<Serializer, Error> {
    Serializer::from_name(&app.config().task.serializer)
        .map_err(|error| Error::Call(error.to_string()))
}

async fn publish(app: &Celery, message: Message) -> Result<(), Error> {
    let exchange = exchange(&app.config().control);
    let broker: &dyn Broker = app.publisher().await?.as_ref();
    Ok(broker.publish(&[Publication { exchange, routing_key: String::new(), message }]).await?)
}

/// A message of remote control that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadControlMessage {
    /// Its body is of a serializer that is not accepted, or no valid text of it.
    #[error("could not decode a message of remote control")]
    Decode(#[from] DecodeError),
    /// Its body is something else than it should be.
    #[error("not a message of remote control: {0}")]
    Malformed(&'static str),
}
