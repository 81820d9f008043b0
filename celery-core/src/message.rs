//! What a broker carries: an opaque body with headers and properties around it.
//!
//! A [`Message`] is what kombu calls one: the broker reads nothing but its properties, the task protocol
//! (see [`protocol`](crate::protocol)) is what worker and client make of headers and body. Fields that we
//! do not know are kept in `extra` maps, so that a message survives a round trip through us unharmed.

mod headers;

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::headers::Headers;
use crate::{
    arguments::Hidden,
    codec::json,
    value::{Map, Value},
};

/// One message: a serialized body, and what is said about it. Its `Debug` shows neither the body nor what the sender made of
/// the arguments in it, some of which may be secrets.
#[derive(Clone, Default, PartialEq)]
pub struct Message {
    /// The serialized, perhaps compressed body.
    pub body: Bytes,
    /// The MIME type of the serialized body, such as `application/json`. It names the serializer also
    /// when the body is compressed.
    pub content_type: Option<String>,
    /// The encoding of the serialized body: `utf-8` for text, `binary` otherwise.
    pub content_encoding: Option<String>,
    /// The application's headers.
    pub headers: Headers,
    /// The headers as JSON, in place of `headers`, which are empty then: of a message on its way out, whose headers are
    /// read by nobody before they are in its envelope.
    pub written_headers: Option<Box<str>>,
    /// Under which it is published once: where it is published again, since the answer was lost, a driver may know by this
    /// that it was. It is not part of what is carried.
    pub once: Option<Uuid>,
    /// A name under which it is published once, whoever publishes it: where any process has published a message under it, this
    /// one is not published. Names are kept for as long as results are, and an hour at least. It is not part of what is carried.
    pub once_named: Option<String>,
    /// What the broker acts on.
    pub properties: Properties,
    /// Top-level fields of the envelope that we do not know.
    pub extra: Map,
}

impl Message {
    /// Reads headers that are there as text alone. What is no JSON object is no headers.
    pub fn read_headers(&mut self) {
        if let Some(text) = self.written_headers.take()
            && let Ok(Value::Object(headers)) = json::from_str(&text)
        {
            self.headers = headers.into();
        }
    }

    /// Notes that the message was delivered before, in the two places where kombu does.
    pub fn mark_redelivered(&mut self) {
        self.headers.insert("redelivered", true.into());
        self.properties.delivery_info.redelivered = true;
    }

    /// Notes that the message was lost by who had it, and is delivered again.
    pub fn mark_lost(&mut self) {
        self.mark_redelivered();
        let info = &mut self.properties.delivery_info;
        info.delivery_count = info.delivery_count.saturating_add(1);
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut headers = self.headers.clone();
        for shown in ["argsrepr", "kwargsrepr"] {
            headers.remove(shown);
        }
        f.debug_struct("Message")
            .field("body", &Hidden(self.body.len()))
            .field("content_type", &self.content_type)
            .field("content_encoding", &self.content_encoding)
            .field("headers", &headers)
            .field("properties", &self.properties)
            .finish_non_exhaustive()
    }
}

/// The properties of a message: what brokers, and clients waiting for an answer, act on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties {
    /// The id of the task, or of the request that this answers.
    pub correlation_id: Option<String>,
    /// The queue that the sender of the message would have answers in.
    pub reply_to: Option<String>,
    /// Milliseconds until the message may be dropped, as decimal digits.
    pub expiration: Option<String>,
    /// 2 for a message that should survive a restart of the broker, 1 otherwise.
    pub delivery_mode: Option<u8>,
    /// Where the message was published to.
    pub delivery_info: DeliveryInfo,
    /// The priority, which each broker reads in its own way (on Redis 0 is served first).
    pub priority: Option<i64>,
    /// The identity of this copy of the message: new for each publish, kept when it is put back.
    pub delivery_tag: String,
    /// Properties that we do not know.
    pub extra: Map,
}

/// Where a message was published to, and whether it has been out before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeliveryInfo {
    /// The exchange's name; empty for the anonymous exchange, where the routing key names the queue.
    pub exchange: String,
    /// The routing key.
    pub routing_key: String,
    /// Whether the message was delivered before and has been put back since.
    pub redelivered: bool,
    /// How often the message was lost by who had it, which died of it or with it: what is handed back, put off or asked
    /// for again is not counted. No field of kombu's, which leaves it as it is.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delivery_count: u32,
    /// Fields that we do not know.
    pub extra: Map,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// An item of a queue that is no message. Its `Debug` does not show the item.
#[derive(Clone, PartialEq, thiserror::Error)]
#[error("{reason}")]
pub struct Malformed {
    /// What was found in the queue.
    pub raw: Bytes,
    /// Why it cannot be read.
    pub reason: String,
}

impl fmt::Debug for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Malformed")
            .field("raw", &Hidden(self.raw.len()))
            .field("reason", &self.reason)
            .finish()
    }
}
