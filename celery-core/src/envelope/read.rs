//! Reading an envelope.
//!
//! This is done for every message that is consumed, so the body is decoded straight out of the text that came, and the
//! rest is moved, not copied.

use std::fmt;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};

use super::BodyEncoding;
use crate::{
    codec::json,
    message::{DeliveryInfo, Headers, Message, Properties},
    value::{Text, Value},
};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

pub(super) fn envelope(raw: &[u8]) -> Result<Message, String> {
    let fault = match serde_json::from_slice::<Envelope<'_>>(raw) {
        Ok(envelope) if !envelope.message.headers.values().any(rounded) => {
            return envelope.into_message();
        }
        Ok(_) => None,
        Err(error) if error.is_data() => return Err(format!("it is no message: {error}")),
        Err(error) => Some(error),
    };
    // Python writes bare `NaN` and integers of any length, which take a second look.
    match (json::from_slice(raw), fault) {
        (Ok(value), _) => Envelope::deserialize(&value)
            .map_err(|error| format!("it is no message: {error}"))?
            .into_message(),
        (Err(_), Some(fault)) => Err(format!("it is not JSON: {fault}")),
        (Err(error), None) => Err(format!("it is not JSON: {error}")),
    }
}

/// Whether a number may have been an integer too large for us, which became a float.
fn rounded(value: &Value) -> bool {
    const TWO_TO_THE_63RD: f64 = 9_223_372_036_854_775_808.0;
    match value {
        Value::Number(number) => {
            number.is_f64() && number.as_f64().is_some_and(|it| it.abs() >= TWO_TO_THE_63RD)
        }
        Value::Array(items) => items.iter().any(rounded),
        Value::Object(map) => map.values().any(rounded),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

/// A message whose body is still encoded.
#[derive(Default)]
struct Envelope<'a> {
    body: Option<Text<'a>>,
    encoding: Option<String>,
    message: Message,
}

impl Envelope<'_> {
    fn into_message(self) -> Result<Message, String> {
        let Self { body, encoding, mut message } = self;
        let Some(Text(body)) = body else { return Ok(message) };
        let encoding = encoding.unwrap_or_default();
        message.body = match BodyEncoding::from_name(&encoding) {
            Some(BodyEncoding::Base64) => base64(&body)?.into(),
            Some(BodyEncoding::Utf8) => Bytes::from(body.into_owned()),
            None => {
                return Err(format!(
                    "its body has the encoding {encoding:?}, and only base64 and utf-8 are known"
                ));
            }
        };
        Ok(message)
    }
}

fn base64(text: &str) -> Result<Vec<u8>, String> {
    BASE64.decode(text).or_else(|error| {
        // Some encoders break lines.
        let unbroken: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let broken = unbroken.len() < text.len();
        broken
            .then(|| BASE64.decode(unbroken).ok())
            .flatten()
            .ok_or_else(|| format!("its body is not base64: {error}"))
    })
}

impl<'de: 'a, 'a> Deserialize<'de> for Envelope<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EnvelopeVisitor)
    }
}

struct EnvelopeVisitor;

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut envelope = Envelope::default();
        let message = &mut envelope.message;
        while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
            match &*key {
                "body" => envelope.body = map.next_value()?,
                "content-encoding" => message.content_encoding = map.next_value()?,
                "content-type" => message.content_type = map.next_value()?,
                "headers" => {
                    message.headers = map.next_value::<Option<Headers>>()?.unwrap_or_default();
                }
                "properties" => {
                    let properties = map.next_value::<Option<Wired>>()?.unwrap_or_default();
                    (message.properties, envelope.encoding) =
                        (properties.properties, properties.encoding);
                }
                _ => _ = message.extra.insert(key.into_owned(), map.next_value()?),
            }
        }
        Ok(envelope)
    }
}

/// Properties, and the one among them that is the envelope's own.
#[derive(Default)]
struct Wired {
    properties: Properties,
    encoding: Option<String>,
}

impl<'de> Deserialize<'de> for Wired {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(WiredVisitor)
    }
}

struct WiredVisitor;

impl<'de> Visitor<'de> for WiredVisitor {
    type Value = Wired;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut wired = Wired::default();
        let properties = &mut wired.properties;
        while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
            if key == "delivery_info" {
                properties.delivery_info = match map.next_value()? {
                    Info::Absent => continue,
                    Info::Is(info) => info,
                    Info::IsNone => {
                        return Err(A::Error::custom("its `delivery_info` is not an object"));
                    }
                };
                continue;
            }
            // Text is what nearly all of them are, and it is moved.
            let value: Value = map.next_value()?;
            let other = match (&*key, value) {
                ("body_encoding", Value::String(name)) => {
                    wired.encoding = Some(name);
                    continue;
                }
                ("body_encoding", Value::Null) => continue,
                ("body_encoding", _) => {
                    return Err(A::Error::custom("its `body_encoding` is not text"));
                }
                ("delivery_tag", Value::String(tag)) => {
                    properties.delivery_tag = tag;
                    continue;
                }
                ("delivery_tag", Value::Null) => continue,
                // Redis knows it by its text.
                ("delivery_tag", tag) => {
                    properties.delivery_tag = tag.to_string();
                    continue;
                }
                (_, value) => property(properties, &key, value),
            };
            if let Some(value) = other {
                properties.extra.insert(key.into_owned(), value);
            }
        }
        Ok(wired)
    }
}

/// Takes a property that may be absent, or gives back what is not one or not of its type.
fn property(properties: &mut Properties, key: &str, value: Value) -> Option<Value> {
    let text = match key {
        "correlation_id" => &mut properties.correlation_id,
        "reply_to" => &mut properties.reply_to,
        "expiration" => &mut properties.expiration,
        "delivery_mode" => {
            properties.delivery_mode = value.as_u64().and_then(|mode| mode.try_into().ok());
            return (properties.delivery_mode.is_none() && !value.is_null()).then_some(value);
        }
        "priority" => {
            properties.priority = value.as_i64();
            return (properties.priority.is_none() && !value.is_null()).then_some(value);
        }
        _ => return Some(value),
    };
    match value {
        Value::String(value) => *text = Some(value),
        Value::Null => {}
        other => return Some(other),
    }
    None
}

/// What stands where delivery information should.
enum Info {
    Absent,
    Is(DeliveryInfo),
    IsNone,
}

impl<'de> Deserialize<'de> for Info {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(InfoVisitor)
    }
}

struct InfoVisitor;

impl<'de> Visitor<'de> for InfoVisitor {
    type Value = Info;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Info, E> {
        Ok(Info::Absent)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Info, E> {
        Ok(Info::IsNone)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Info, E> {
        Ok(Info::IsNone)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Info, E> {
        Ok(Info::IsNone)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Info, E> {
        Ok(Info::IsNone)
    }

    fn visit_str<E>(self, _: &str) -> Result<Info, E> {
        Ok(Info::IsNone)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Info, A::Error> {
        while items.next_element::<Value>()?.is_some() {}
        Ok(Info::IsNone)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Info, A::Error> {
        let mut info = DeliveryInfo::default();
        while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
            match (&*key, map.next_value()?) {
                ("exchange", Value::String(name)) => info.exchange = name,
                ("routing_key", Value::String(key)) => info.routing_key = key,
                ("redelivered", Value::Bool(redelivered)) => info.redelivered = redelivered,
                ("delivery_count", Value::Number(count)) => {
                    let count = count.as_u64().unwrap_or_default();
                    info.delivery_count = u32::try_from(count).unwrap_or(u32::MAX);
                }
                // Written anew in any case.
                ("exchange" | "routing_key" | "redelivered" | "delivery_count", _) => {}
                (_, value) => _ = info.extra.insert(key.into_owned(), value),
            }
        }
        Ok(Info::Is(info))
    }
}
