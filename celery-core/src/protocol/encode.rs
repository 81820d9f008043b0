//! Writing a task message, in version 2.

use super::{Embed, TaskHeaders, TaskMessage};
use crate::{
    codec::{Compression, EncodeError, Serializer},
    message::{Message, Properties},
    value::{Map, Value},
};

impl TaskMessage {
    /// Writes the message: Celery's headers in Celery's order, then all others.
    ///
    /// Where nothing else is said, the task is its own root, its id is the correlation id, the message is persistent
    /// and its priority 0. `content_type` and `compression` of the message are what it came with, and play no part.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] when the serializer cannot express the arguments, or what is embedded.
    pub fn encode(
        &self,
        serializer: Serializer,
        compression: Option<Compression>,
    ) -> Result<Message, EncodeError> {
        let body = Value::Array(vec![
            Value::Array(self.args.clone()),
            Value::Object(self.kwargs.clone()),
            Value::Object(embed(&self.embed)),
        ]);
        let mut body = serializer.encode(&body)?;
        let mut headers = headers(self);
        if let Some(compression) = compression {
            body = compression.compress(&body).into();
            headers.insert("compression".to_owned(), compression.mime().into());
        }
        Ok(Message {
            body,
            content_type: Some(serializer.content_type().to_owned()),
            content_encoding: Some(serializer.content_encoding().to_owned()),
            headers,
            properties: Properties {
                correlation_id: Some(self.correlation_id.as_ref().unwrap_or(&self.id).clone()),
                reply_to: self.reply_to.clone(),
                expiration: self.expiration.clone(),
                delivery_mode: Some(self.delivery_mode.unwrap_or(2)),
                delivery_info: self.delivery_info.clone(),
                priority: Some(self.priority.unwrap_or(0)),
                delivery_tag: String::new(),
                extra: self.extra_properties.clone(),
            },
            extra: Map::new(),
        })
    }
}

fn headers(message: &TaskMessage) -> Map {
    let TaskHeaders {
        lang,
        shadow,
        eta,
        expires,
        group,
        group_index,
        retries,
        timelimit: (hard, soft),
        root_id,
        parent_id,
        argsrepr,
        kwargsrepr,
        origin,
        ignore_result,
        replaced_task_nesting,
        stamped_headers,
        stamps,
    } = &message.headers;
    let mut map = Map::with_capacity(19 + message.extra_headers.len() + 1);
    let mut put = |key: &str, value: Value| map.insert(key.to_owned(), value);
    put("lang", lang.as_deref().unwrap_or("py").into());
    put("task", message.task.as_str().into());
    put("id", message.id.as_str().into());
    put("shadow", shadow.as_deref().into());
    put("eta", eta.as_deref().into());
    put("expires", expires.as_deref().into());
    put("group", group.as_deref().into());
    put("group_index", (*group_index).into());
    put("retries", (*retries).into());
    put("timelimit", Value::Array(vec![hard.clone().into(), soft.clone().into()]));
    put("root_id", root_id.as_deref().unwrap_or(&message.id).into());
    put("parent_id", parent_id.as_deref().into());
    put("argsrepr", argsrepr.as_deref().into());
    put("kwargsrepr", kwargsrepr.as_deref().into());
    put("origin", origin.as_deref().into());
    put("ignore_result", (*ignore_result).into());
    put("replaced_task_nesting", (*replaced_task_nesting).into());
    put("stamped_headers", stamped_headers.clone().map_or(Value::Null, Value::Array));
    put("stamps", Value::Object(stamps.clone()));
    // As in Celery, one that is named like a standard header replaces it.
    for (key, value) in &message.extra_headers {
        put(key, value.clone());
    }
    map
}

fn embed(embed: &Embed) -> Map {
    let Embed { callbacks, errbacks, chain, chord, extra } = embed;
    let list = |list: &Option<Vec<Value>>| list.clone().map_or(Value::Null, Value::Array);
    let mut map = Map::with_capacity(4 + extra.len());
    map.insert("callbacks".to_owned(), list(callbacks));
    map.insert("errbacks".to_owned(), list(errbacks));
    map.insert("chain".to_owned(), list(chain));
    map.insert("chord".to_owned(), chord.clone().unwrap_or_default());
    map.extend(extra.clone());
    map
}
