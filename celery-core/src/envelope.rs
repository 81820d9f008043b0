//! The envelope: a message as one JSON document, which is how it lies in a Redis list.
//!
//! Written, it is what kombu writes, byte for byte. Read, it is all that a Python worker can do something with, and a
//! little more: where a Python worker would stop or lose its connection, the reader says what is missing
//! ([`Malformed`]) or does without it.

mod read;
mod write;

#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::message::{DeliveryInfo, Malformed, Message, Properties};

/// How the body is put into the envelope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BodyEncoding {
    /// As base64, which is kombu's default and takes any body.
    #[default]
    Base64,
    /// As it is, which takes a body that is text. Any other is put in as base64 all the same.
    Utf8,
}

impl BodyEncoding {
    /// The name that stands in the property `body_encoding`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Base64 => "base64",
            Self::Utf8 => "utf-8",
        }
    }

    /// The encoding of this name, as the transport option `body_encoding` and the property state it.
    pub fn from_name(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("base64") {
            Some(Self::Base64)
        } else if name.is_empty() || name.eq_ignore_ascii_case("utf-8") {
            Some(Self::Utf8)
        } else {
            None
        }
    }
}

/// Writes the message as kombu does: keys in its order, in ASCII, and what is absent left out.
///
/// `exchange`, `routing_key` and `delivery_tag` are always there, since a Python worker needs them.
///
/// ```
/// use celery_core::{
///     envelope::{self, BodyEncoding},
///     message::Message,
/// };
///
/// let message = Message { body: "[]".into(), ..Message::default() };
/// let json = envelope::to_json(&message, BodyEncoding::Base64);
/// assert!(json.starts_with(br#"{"body": "W10=", "headers": {}, "properties": {"#));
/// assert_eq!(envelope::from_json(&json).unwrap(), message);
/// ```
pub fn to_json(message: &Message, encoding: BodyEncoding) -> Vec<u8> {
    let Properties {
        delivery_info: DeliveryInfo { exchange, routing_key, .. }, delivery_tag, ..
    } = &message.properties;
    write::envelope(message, Postmark { exchange, routing_key, delivery_tag }, encoding)
        .into_bytes()
}

/// What a broker fills in of a message that it sends on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Postmark<'a> {
    /// The exchange that it was published to; empty for the anonymous one.
    pub exchange: &'a str,
    /// The routing key that it was published with.
    pub routing_key: &'a str,
    /// The identity of this copy.
    pub delivery_tag: &'a str,
}

/// Writes the message as [`to_json`] does, with the mark in place of what the message itself says there.
pub fn posted(message: &Message, mark: Postmark<'_>, encoding: BodyEncoding) -> Vec<u8> {
    write::envelope(message, mark, encoding).into_bytes()
}

/// Reads a message as kombu, or anyone who imitates it, wrote it.
///
/// Headers, properties, delivery information and tag may be missing; without a body, the body is empty. Properties of
/// a type that they should not have are kept in `extra`.
///
/// # Errors
///
/// [`Malformed`] for what is no envelope: not JSON, no object, or a body that is not in the encoding that it states.
pub fn from_json(raw: &[u8]) -> Result<Message, Malformed> {
    read::envelope(raw).map_err(|reason| Malformed { raw: Bytes::copy_from_slice(raw), reason })
}
