//! The message of a retry.

use super::{TaskHeaders, TaskMessage};
use crate::{
    message::DeliveryInfo,
    repr::{self, Limits},
    value::{Map, Value},
};

/// What a retry changes.
#[derive(Clone, Default, PartialEq)]
pub struct RetryChanges {
    /// The earliest time of the next try, in ISO 8601.
    pub eta: Option<String>,
    /// Other positional arguments.
    pub args: Option<Vec<Value>>,
    /// Other keyword arguments.
    pub kwargs: Option<Map>,
    /// The process that publishes it.
    pub origin: Option<String>,
    /// What is left until it expires, in milliseconds.
    pub expiration: Option<String>,
    /// How much of the arguments logs and events show.
    pub limits: Limits,
}

impl TaskMessage {
    /// The message that a task publishes to be tried again: the same id, one retry more, sent by itself.
    ///
    /// All else stays: group, chain, chord and callbacks, limits and expiry, stamps, the caller's headers, priority and
    /// the place that it was published to. What the brokers that it went through had noted in its headers does not.
    pub fn retry(&self, changes: RetryChanges) -> Self {
        let RetryChanges { eta, args, kwargs, origin, expiration, limits } = changes;
        let args = args.unwrap_or_else(|| self.args.clone());
        let kwargs = kwargs.unwrap_or_else(|| self.kwargs.clone());
        let mut extra_headers = self.extra_headers.clone();
        extra_headers.retain(|key, _| key != "redelivered" && !is_death(key));
        Self {
            headers: TaskHeaders {
                eta,
                retries: self.headers.retries.saturating_add(1),
                parent_id: Some(self.id.clone()),
                root_id: Some(self.headers.root_id.as_ref().unwrap_or(&self.id).clone()),
                argsrepr: Some(repr::args(&args, &limits)),
                kwargsrepr: Some(repr::kwargs(&kwargs, &limits)),
                origin,
                ..self.headers.clone()
            },
            extra_headers,
            args,
            kwargs,
            correlation_id: Some(self.id.clone()),
            expiration,
            delivery_info: DeliveryInfo {
                redelivered: false,
                delivery_count: 0,
                ..self.delivery_info.clone()
            },
            ..self.clone()
        }
    }
}

/// Whether RabbitMQ wrote the header when it dead-lettered the message. With them it would see a cycle in the next try.
fn is_death(header: &str) -> bool {
    let header = header.to_ascii_lowercase();
    ["x-death", "x-first-death-", "x-last-death-"].iter().any(|prefix| header.starts_with(prefix))
}
