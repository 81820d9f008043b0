//! A request on its way to the workers, and the replies that it brings.

use std::{fmt, marker::PhantomData, time::Duration};

use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::{
    Destination, Matcher, Reply, ReplyTo, Request, exchange, inbox::Inbox, reply_queue, serializer,
};
use crate::{
    app::Celery,
    broker::{Broker, Publication},
    clock, date,
    error::Error,
    message::Message,
    value::{Map, Value, from_value},
};

/// A request to the workers on its way. `T` is what a worker answers with; the replies can also be had as they are.
#[must_use = "nothing is sent before `replies`, `answers` or `send`"]
pub struct Broadcast<T = Value> {
    app: Celery,
    request: Request,
    timeout: Duration,
    limit: Option<usize>,
    answer: PhantomData<fn() -> T>,
}

impl<T> Broadcast<T> {
    pub(super) fn new(app: &Celery, method: impl Into<String>, arguments: Map) -> Self {
        Self {
            app: app.clone(),
            request: Request::new(method, arguments),
            timeout: Duration::from_secs(1),
            limit: None,
            answer: PhantomData,
        }
    }

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

    /// Sets an argument of the command, by its name.
    pub fn argument(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.request.arguments.insert(name.into(), value.into());
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

    /// What is sent.
    pub fn request(&self) -> &Request {
        &self.request
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

    /// Sends it and collects what the workers answer, by node name, in the order of their arrival: a `T`, or the words of
    /// a worker that refuses.
    ///
    /// # Errors
    /// [`Error::Broker`] when the broker cannot be reached. Nobody answering is no error.
    ///
    /// # Cancel safety
    /// As for [`replies`](Self::replies).
    pub async fn answers(self) -> Result<Vec<(String, Result<T, Refusal>)>, Error>
    where
        T: DeserializeOwned,
    {
        let replies = self.replies().await?;
        Ok(replies.into_iter().map(|(node, reply)| (node, answer(reply))).collect())
    }

    /// Sends it and collects the replies as they are, by node name, in the order of their arrival.
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
        let expires = date::unix_seconds(clock::now()) + self.timeout.as_secs_f64();
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

/// What a worker says instead of an answer: why it refuses, or what it answered that was not expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(String);

/// The answer within a reply: what is under `ok`, or the whole.
fn answer<T: DeserializeOwned>(reply: Value) -> Result<T, Refusal> {
    let value = match reply {
        Value::Object(mut map) if map.len() == 1 => {
            match (map.shift_remove("ok"), map.get("error")) {
                (Some(value), _) => value,
                (None, Some(Value::String(reason))) => return Err(Refusal(reason.clone())),
                (None, _) => Value::Object(map),
            }
        }
        other => other,
    };
    from_value(value).map_err(|error| Refusal(format!("an answer of another shape: {error}")))
}

async fn publish(app: &Celery, message: Message) -> Result<(), Error> {
    let exchange = exchange(&app.config().control);
    let broker: &dyn Broker = app.publisher().await?.as_ref();
    Ok(broker.publish(&[Publication { exchange, routing_key: String::new(), message }]).await?)
}

impl<T> Clone for Broadcast<T> {
    fn clone(&self) -> Self {
        Self {
            app: self.app.clone(),
            request: self.request.clone(),
            timeout: self.timeout,
            limit: self.limit,
            answer: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Broadcast<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcast")
            .field("request", &self.request)
            .field("timeout", &self.timeout)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
