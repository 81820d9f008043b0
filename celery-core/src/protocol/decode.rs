//! Reading a task message.
//!
//! Which version it is goes by what is there, as in Celery: headers with `task` make it version 2; else a body with
//! `task` makes it version 1; else it is no task message. A message of version 2 whose body is an object with `args` is
//! a hybrid, with its fields in the body and its headers on top of them.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};

use super::{
    Embed, ProtocolError, ProtocolErrorKind, TaskMessage,
    fields::{Fields, text, wrong},
};
use crate::{
    codec::{self, AcceptContent, Content, Serializer, json},
    message::Message,
    repr::{self, Limits},
    value::{Map, Text, Value},
};

impl TaskMessage {
    /// Reads a message of version 2 or 1, or a hybrid.
    ///
    /// # Errors
    ///
    /// [`ProtocolError`], with the name and the id of the task as far as they are known. None of them is worth another
    /// try.
    pub fn decode(message: &Message, accept: &AcceptContent) -> Result<Self, ProtocolError> {
        Self::from_message(message.clone(), accept)
    }

    /// As [`decode`](Self::decode), of a message that nobody needs any more: what is in it is moved.
    ///
    /// # Errors
    ///
    /// As [`decode`](Self::decode).
    pub fn from_message(
        mut message: Message,
        accept: &AcceptContent,
    ) -> Result<Self, ProtocolError> {
        if let Some(body) = usual_body(&message, accept) {
            return version_2(message, body);
        }
        let known = |key| message.headers.text(key).map(str::to_owned);
        let refuse = |kind| ProtocolError { kind, task: known("task"), id: known("id") };
        let malformed = |fault| refuse(ProtocolErrorKind::Malformed(fault));

        let in_headers = is_named(&message);
        if message.body.is_empty() {
            return Err(if in_headers {
                malformed("it has no body".to_owned())
            } else {
                refuse(ProtocolErrorKind::NotATask)
            });
        }
        if in_headers && message.content_type.as_deref().is_none_or(str::is_empty) {
            return Err(malformed(
                "it has no `content-type`, so that its body cannot be read".to_owned(),
            ));
        }
        let compression = match message.headers.get("compression") {
            None | Some(Value::Null) => None,
            Some(Value::String(compression)) => Some(compression.as_str()),
            Some(other) => return Err(malformed(wrong("compression", other, "text"))),
        };
        let (content_type, encoding) =
            (message.content_type.as_deref(), message.content_encoding.as_deref());
        let body = codec::decode(&message.body, content_type, encoding, compression, accept)
            .map_err(|error| refuse(error.into()))?;

        match body {
            Value::Object(body) if in_headers && body.contains_key("args") => {
                let (task, id) = (known("task"), known("id"));
                hybrid(message, body).map_err(|fault| broken(fault, task, id))
            }
            body if in_headers => match parts(body) {
                Ok(body) => version_2(message, body),
                Err(fault) => {
                    // What is wrong with its headers is said first.
                    let mut fields = Fields::default();
                    let (task, id) = (known("task"), known("id"));
                    let fault = fields.take_all(&mut message.headers).err().unwrap_or(fault);
                    Err(broken(fault, task, id))
                }
            },
            Value::Object(body) if body.get("task").is_some_and(|task| !task.is_null()) => {
                let known = |key| body.get(key).and_then(Value::as_str).map(str::to_owned);
                let (task, id) = (known("task"), known("id"));
                version_1(message, body).map_err(|fault| broken(fault, task, id))
            }
            _ => Err(refuse(ProtocolErrorKind::NotATask)),
        }
    }
}

fn broken(fault: String, task: Option<String>, id: Option<String>) -> ProtocolError {
    ProtocolError { kind: ProtocolErrorKind::Malformed(fault), task, id }
}

/// Whether the headers name a task.
fn is_named(message: &Message) -> bool {
    message.headers.get("task").is_some_and(|task| !task.is_null())
}

/// The body of nearly every message: of version 2, in JSON, and not compressed. It is read straight from the text. `None` is
/// any other, and one in which something is wrong, of which the way through a value says what.
fn usual_body(message: &Message, accept: &AcceptContent) -> Option<Body> {
    let is_compressed = || message.headers.get("compression").is_some_and(|it| !it.is_null());
    let is_json = matches!(
        accept.check(message.content_type.as_deref()?),
        Ok(Content::Serialized(Serializer::Json))
    );
    if !is_json || message.body.first() != Some(&b'[') || !is_named(message) || is_compressed() {
        return None;
    }
    json::read(str::from_utf8(&message.body).ok()?).ok()
}

/// A body of version 2.
#[derive(Deserialize)]
struct Body(Vec<Value>, Map, Embedded);

/// The third part, which may be null.
struct Embedded(Embed);

impl<'de> Deserialize<'de> for Embedded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EmbedVisitor)
    }
}

struct EmbedVisitor;

impl<'de> Visitor<'de> for EmbedVisitor {
    type Value = Embedded;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Embedded, E> {
        Ok(Embedded(Embed::default()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Embedded, A::Error> {
        let mut embed = Embed::default();
        while let Some((key, value)) = map.next_entry::<Text<'de>, Value>()? {
            embed.take(&key.0, value).map_err(A::Error::custom)?;
        }
        Ok(Embedded(embed))
    }
}

fn parts(body: Value) -> Result<Body, String> {
    let Value::Array(body) = body else {
        return Err(wrong("body", &body, "a list of args, kwargs and embed"));
    };
    let [args, kwargs, embed] = <[Value; 3]>::try_from(body).map_err(|body| {
        format!("its body has {} elements and not three: args, kwargs and embed", body.len())
    })?;
    let embed = match embed {
        Value::Null => Embed::default(),
        // Python takes every empty thing for none.
        Value::Array(empty) if empty.is_empty() => Embed::default(),
        Value::Object(map) => {
            let mut embed = Embed::default();
            for (key, value) in map {
                embed.take(&key, value)?;
            }
            embed
        }
        other => return Err(wrong("embed", &other, "an object")),
    };
    let (args, kwargs) = arguments(args, kwargs)?;
    Ok(Body(args, kwargs, Embedded(embed)))
}

fn arguments(args: Value, kwargs: Value) -> Result<(Vec<Value>, Map), String> {
    let Value::Array(args) = args else { return Err(wrong("args", &args, "a list")) };
    let Value::Object(kwargs) = kwargs else { return Err(wrong("kwargs", &kwargs, "an object")) };
    Ok((args, kwargs))
}

fn version_2(mut message: Message, body: Body) -> Result<TaskMessage, ProtocolError> {
    let Body(args, kwargs, Embedded(embed)) = body;
    let mut fields = Fields::default();
    let taken = fields.take_all(&mut message.headers);
    // What was taken is there, and the rest still in the headers.
    let known = |taken: &Option<String>, key| {
        taken.clone().or_else(|| message.headers.text(key).map(str::to_owned))
    };
    let (task, id) = match &taken {
        Ok(()) if fields.id.is_some() => (None, None),
        _ => (known(&fields.task, "task"), known(&fields.id, "id")),
    };
    taken
        .and_then(|()| finish(message, fields, (args, kwargs), embed))
        .map_err(|fault| broken(fault, task, id))
}

fn version_1(mut message: Message, body: Map) -> Result<TaskMessage, String> {
    let mut fields = Fields::default();
    let (arguments, embed) = spread(body, &mut fields)?;
    // They are the caller's, whatever they are called.
    for (key, value) in message.headers.iter_mut() {
        match key {
            "compression" => fields.take(key, value)?,
            // It is null, or this were version 2.
            "task" => {}
            _ => _ = fields.extra.insert(key.to_owned(), value.take()),
        }
    }
    let mut task = finish(message, fields, arguments, embed)?;
    task.headers.argsrepr = Some(repr::args(&task.args, &Limits::default()));
    task.headers.kwargsrepr = Some(repr::kwargs(&task.kwargs, &Limits::default()));
    Ok(task)
}

fn hybrid(mut message: Message, body: Map) -> Result<TaskMessage, String> {
    let mut fields = Fields::default();
    let (arguments, embed) = spread(body, &mut fields)?;
    fields.take_all(&mut message.headers)?;
    finish(message, fields, arguments, embed)
}

/// Spreads a body of version 1 over the places where version 2 has its fields.
fn spread(body: Map, fields: &mut Fields) -> Result<((Vec<Value>, Map), Embed), String> {
    let (mut args, mut kwargs) = (Value::Array(Vec::new()), Value::Object(Map::new()));
    let mut embed = Embed::default();
    let mut taskset = None;
    for (key, mut value) in body {
        match &*key {
            "args" => args = value,
            "kwargs" => kwargs = value,
            "callbacks" | "errbacks" | "chord" => embed.take(&key, value)?,
            "taskset" => taskset = text(&key, &mut value)?,
            // Dates carry their offset, or are UTC.
            "utc" => {}
            _ => fields.take(&key, &mut value)?,
        }
    }
    if taskset.is_some() {
        fields.headers.group = taskset;
    }
    Ok((arguments(args, kwargs)?, embed))
}

fn finish(
    message: Message,
    fields: Fields,
    (args, kwargs): (Vec<Value>, Map),
    embed: Embed,
) -> Result<TaskMessage, String> {
    let Fields { task, id, compression, headers, extra } = fields;
    let properties = message.properties;
    Ok(TaskMessage {
        id: id.ok_or("it has no `id`")?,
        task: task.ok_or("it has no `task`")?,
        args,
        kwargs,
        embed,
        headers,
        extra_headers: extra,
        reply_to: properties.reply_to,
        correlation_id: properties.correlation_id,
        priority: properties.priority,
        delivery_mode: properties.delivery_mode,
        expiration: properties.expiration,
        delivery_info: properties.delivery_info,
        extra_properties: properties.extra,
        content_type: message.content_type.unwrap_or_default(),
        compression,
    })
}
