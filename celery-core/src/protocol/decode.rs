//! Reading a task message.
//!
//! Which version it is goes by what is there, as in Celery: headers with `task` make it version 2; else a body with
//! `task` makes it version 1; else it is no task message. A message of version 2 whose body is an object with `args` is
//! a hybrid, with its fields in the body and its headers on top of them.

use super::{
    Embed, ProtocolError, ProtocolErrorKind, TaskMessage,
    fields::{Fields, text, wrong},
};
use crate::{
    codec::{self, AcceptContent},
    message::Message,
    repr::{self, Limits},
    value::{Map, Value},
};

impl TaskMessage {
    /// Reads a message of version 2 or 1, or a hybrid.
    ///
    /// # Errors
    ///
    /// [`ProtocolError`], with the name and the id of the task as far as they are known. None of them is worth another
    /// try.
    pub fn decode(message: &Message, accept: &AcceptContent) -> Result<Self, ProtocolError> {
        let known = |key| message.headers.get(key).and_then(Value::as_str).map(str::to_owned);
        let refuse = |kind| ProtocolError { kind, task: known("task"), id: known("id") };
        let malformed = |fault| refuse(ProtocolErrorKind::Malformed(fault));

        let in_headers = message.headers.get("task").is_some_and(|task| !task.is_null());
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
        let compression =
            match message.headers.get("compression").map(|value| text("compression", value)) {
                Some(Ok(compression)) => compression,
                Some(Err(fault)) => return Err(malformed(fault)),
                None => None,
            };
        let (content_type, encoding) =
            (message.content_type.as_deref(), message.content_encoding.as_deref());
        let body =
            codec::decode(&message.body, content_type, encoding, compression.as_deref(), accept)
                .map_err(|error| refuse(error.into()))?;

        match body {
            Value::Object(body) if in_headers && body.contains_key("args") => {
                hybrid(message, body).map_err(malformed)
            }
            body if in_headers => version_2(message, body).map_err(malformed),
            Value::Object(body) if body.get("task").is_some_and(|task| !task.is_null()) => {
                let known = |key| body.get(key).and_then(Value::as_str).map(str::to_owned);
                let (task, id) = (known("task"), known("id"));
                version_1(message, body).map_err(|fault| ProtocolError {
                    kind: ProtocolErrorKind::Malformed(fault),
                    task,
                    id,
                })
            }
            _ => Err(refuse(ProtocolErrorKind::NotATask)),
        }
    }
}

fn version_2(message: &Message, body: Value) -> Result<TaskMessage, String> {
    let mut fields = Fields::default();
    for (key, value) in &message.headers {
        fields.take(key, value)?;
    }
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
                embed.take(key, value)?;
            }
            embed
        }
        other => return Err(wrong("embed", &other, "an object")),
    };
    finish(message, fields, (args, kwargs), embed)
}

fn version_1(message: &Message, body: Map) -> Result<TaskMessage, String> {
    let mut fields = Fields::default();
    let (arguments, embed) = spread(body, &mut fields)?;
    // They are the caller's, whatever they are called.
    for (key, value) in &message.headers {
        match &**key {
            "compression" => fields.take(key, value)?,
            // It is null, or this were version 2.
            "task" => {}
            _ => _ = fields.extra.insert(key.clone(), value.clone()),
        }
    }
    let mut task = finish(message, fields, arguments, embed)?;
    task.headers.argsrepr = Some(repr::args(&task.args, &Limits::default()));
    task.headers.kwargsrepr = Some(repr::kwargs(&task.kwargs, &Limits::default()));
    Ok(task)
}

fn hybrid(message: &Message, body: Map) -> Result<TaskMessage, String> {
    let mut fields = Fields::default();
    let (arguments, embed) = spread(body, &mut fields)?;
    for (key, value) in &message.headers {
        fields.take(key, value)?;
    }
    finish(message, fields, arguments, embed)
}

/// Spreads a body of version 1 over the places where version 2 has its fields.
fn spread(body: Map, fields: &mut Fields) -> Result<((Value, Value), Embed), String> {
    let mut arguments = (Value::Array(Vec::new()), Value::Object(Map::new()));
    let mut embed = Embed::default();
    let mut taskset = None;
    for (key, value) in body {
        match &*key {
            "args" => arguments.0 = value,
            "kwargs" => arguments.1 = value,
            "callbacks" | "errbacks" | "chord" => embed.take(key, value)?,
            "taskset" => taskset = text(&key, &value)?,
            // Dates carry their offset, or are UTC.
            "utc" => {}
            _ => fields.take(&key, &value)?,
        }
    }
    if taskset.is_some() {
        fields.headers.group = taskset;
    }
    Ok((arguments, embed))
}

fn finish(
    message: &Message,
    fields: Fields,
    (args, kwargs): (Value, Value),
    embed: Embed,
) -> Result<TaskMessage, String> {
    let Fields { task, id, compression, headers, extra } = fields;
    let Value::Array(args) = args else { return Err(wrong("args", &args, "a list")) };
    let Value::Object(kwargs) = kwargs else { return Err(wrong("kwargs", &kwargs, "an object")) };
    let properties = &message.properties;
    Ok(TaskMessage {
        id: id.ok_or("it has no `id`")?,
        task: task.ok_or("it has no `task`")?,
        args,
        kwargs,
        embed,
        headers,
        extra_headers: extra,
        reply_to: properties.reply_to.clone(),
        correlation_id: properties.correlation_id.clone(),
        priority: properties.priority,
        delivery_mode: properties.delivery_mode,
        expiration: properties.expiration.clone(),
        delivery_info: properties.delivery_info.clone(),
        extra_properties: properties.extra.clone(),
        content_type: message.content_type.clone().unwrap_or_default(),
        compression,
    })
}
