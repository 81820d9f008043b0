//! A request to workers as a value, and as it crosses the wire.

use serde_json::json;

use super::{BadControlMessage, Matcher};
use crate::{
    codec::{self, AcceptContent, EncodeError, Serializer},
    message::{Headers, Message, Properties},
    value::{Map, Value},
};

/// A request to workers.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What is asked for, such as `ping`.
    pub method: String,
    /// Keyword arguments.
    pub arguments: Map,
    /// The workers that it is for; `None` leaves that to the pattern.
    pub destination: Option<Destination>,
    /// A pattern of node names; needs a matcher.
    pub pattern: Option<String>,
    /// The name of the matcher, `glob` or `pcre`.
    pub matcher: Option<String>,
    /// What a reply names the request by.
    pub ticket: Option<String>,
    /// Where a reply goes; `None` when none is wanted.
    pub reply_to: Option<ReplyTo>,
}

/// The workers that a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Those of these node names.
    Nodes(Vec<String>),
    /// Those whose node name is part of this text, which is what Python makes of a plain string.
    Within(String),
}

/// Where a reply goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    /// The exchange.
    pub exchange: String,
    /// The routing key.
    pub routing_key: String,
}

impl Request {
    /// A request to everyone, which wants no reply.
    pub fn new(method: impl Into<String>, arguments: Map) -> Self {
        Self {
            method: method.into(),
            arguments,
            destination: None,
            pattern: None,
            matcher: None,
            ticket: None,
            reply_to: None,
        }
    }

    /// The message of the request.
    ///
    /// `clock` is the asker's logical clock, `expires` the Unix time until which it waits, 0 when it does not wait.
    ///
    /// # Errors
    /// [`EncodeError`] when the arguments cannot be serialized.
    pub fn to_message(
        &self,
        clock: u64,
        expires: f64,
        serializer: Serializer,
    ) -> Result<Message, EncodeError> {
        let destination = match &self.destination {
            None => Value::Null,
            Some(Destination::Nodes(nodes)) => json!(nodes),
            Some(Destination::Within(text)) => json!(text),
        };
        let mut body = json!({
            "method": self.method,
            "arguments": self.arguments,
            "destination": destination,
            "pattern": self.pattern,
            "matcher": self.matcher,
        });
        if let Some(reply_to) = &self.reply_to {
            body["ticket"] = json!(self.ticket);
            body["reply_to"] =
                json!({ "exchange": reply_to.exchange, "routing_key": reply_to.routing_key });
        }
        let expires = if expires == 0.0 { json!(0) } else { json!(expires) };
        let headers = Headers::from_iter([("clock", json!(clock)), ("expires", expires)]);
        message(&body, headers, 2, serializer)
    }

    /// Reads the request of a message.
    ///
    /// # Errors
    /// [`BadControlMessage`] when it is none, or is not to be accepted.
    pub fn from_message(
        message: &Message,
        accept: &AcceptContent,
    ) -> Result<Self, BadControlMessage> {
        let Value::Object(mut body) = body(message, accept)? else {
            return Err(BadControlMessage::Malformed("the body is not an object"));
        };
        let mut take = |key: &str| body.shift_remove(key).unwrap_or_default();
        let Value::String(method) = take("method") else {
            return Err(BadControlMessage::Malformed("it has no `method`"));
        };
        let arguments = match take("arguments") {
            Value::Object(arguments) => arguments,
            Value::Null => Map::new(),
            _ => return Err(BadControlMessage::Malformed("its `arguments` are not an object")),
        };
        let text = |value: Value| match value {
            Value::String(text) if !text.is_empty() => Some(text),
            _ => None,
        };
        let destination = match take("destination") {
            Value::Array(nodes) if !nodes.is_empty() => {
                Some(Destination::Nodes(nodes.into_iter().filter_map(text).collect()))
            }
            other => text(other).map(Destination::Within),
        };
        let reply_to = take("reply_to");
        let part = |key: &str| reply_to.get(key).and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            method,
            arguments,
            destination,
            pattern: text(take("pattern")),
            matcher: text(take("matcher")),
            ticket: text(take("ticket")),
            reply_to: part("exchange")
                .zip(part("routing_key"))
                .map(|(exchange, routing_key)| ReplyTo { exchange, routing_key }),
        })
    }

    /// Whether the worker of that node name is to act: its destination counts first, then its pattern, and with
    /// neither it is for everyone.
    ///
    /// A pattern that is none, or of a matcher that nobody knows, is for no one.
    pub fn is_for(&self, node: &str) -> bool {
        match (&self.destination, &self.pattern, &self.matcher) {
            (Some(Destination::Nodes(nodes)), _, _) => nodes.iter().any(|name| name == node),
            (Some(Destination::Within(text)), _, _) => text.contains(node),
            (None, Some(pattern), Some(matcher)) => {
                Matcher::from_name(matcher).is_some_and(|matcher| matcher.matches(pattern, node))
            }
            _ => true,
        }
    }
}

/// A message of remote control, as kombu makes them.
pub(super) fn message(
    body: &Value,
    headers: Headers,
    delivery_mode: u8,
    serializer: Serializer,
) -> Result<Message, EncodeError> {
    Ok(Message {
        body: serializer.encode(body)?,
        content_type: Some(serializer.content_type().to_owned()),
        content_encoding: Some(serializer.content_encoding().to_owned()),
        headers,
        properties: Properties {
            delivery_mode: Some(delivery_mode),
            priority: Some(0),
            ..Properties::default()
        },
        ..Message::default()
    })
}

/// The decoded body of a message of remote control.
pub(super) fn body(message: &Message, accept: &AcceptContent) -> Result<Value, BadControlMessage> {
    let content_type = message.content_type.as_deref();
    let encoding = message.content_encoding.as_deref();
    let compression = message.headers.text("compression");
    Ok(codec::decode(&message.body, content_type, encoding, compression, accept)?)
}
