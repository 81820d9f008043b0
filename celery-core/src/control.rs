//! Remote control: asking the workers of a fleet, and what is said on the wire.
//!
//! A [`Request`] goes to every worker by a fanout exchange, and each that it is for answers with a [`Reply`] to the
//! queue of the asker. This is the client's half: [`Control`] tells workers to change something, [`Inspect`] asks what they
//! do. The worker's half uses the same two types.

mod answers;
mod broadcast;
mod inbox;
mod inspect;
mod operate;
mod pattern;
mod reply;
mod request;
mod revoke;
pub(crate) mod revoked;
pub(crate) mod signal;
#[cfg(test)]
mod tests;

pub use self::{
    answers::{ActiveQueue, ClockReading, Hello, KnownTask, ScheduledTask, Stats, TaskInfo},
    broadcast::{Broadcast, Refusal},
    inspect::Inspect,
    pattern::Matcher,
    reply::Reply,
    request::{Destination, ReplyTo, Request},
    revoke::Revoke,
};
use crate::{
    app::Celery,
    broker::{Exchange, Queue},
    codec::{DecodeError, Serializer},
    config::ControlConfig,
    error::Error,
    value::Map,
};

/// Speaks to the workers of an app: Celery's `app.control`.
///
/// ```no_run
/// # async fn example(app: celery_core::app::Celery) -> Result<(), celery_core::error::Error> {
/// for (node, reply) in app.control().ping().replies().await? {
///     println!("{node}: {reply}");
/// }
/// app.control().rate_limit("proj.tasks.resize", "10/m").destination(["celery@one"]).send().await?;
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
    /// A request of any command, with its keyword arguments: for those of the program's own.
    pub fn broadcast(&self, command: impl Into<String>, arguments: Map) -> Broadcast {
        Broadcast::new(&self.app, command, arguments)
    }

    /// Asks the workers what they do: Celery's `app.control.inspect()`.
    pub fn inspect(&self) -> Inspect {
        Inspect::new(&self.app)
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
