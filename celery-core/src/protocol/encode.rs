//! Writing a task message, in version 2.

use bytes::Bytes;

use super::{Embed, TaskHeaders, TaskMessage};
use crate::{
    codec::{Compression, EncodeError, MAX_DEPTH, Serializer, deeper_than, json},
    message::{Headers, Message, Properties},
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
        let body = self.body(serializer)?;
        Ok(self.clone().around(body, serializer, compression, headers))
    }

    /// As [`encode`](Self::encode), of a message that is not needed any more: nothing of it is copied.
    ///
    /// # Errors
    ///
    /// As for `encode`.
    pub fn into_message(
        self,
        serializer: Serializer,
        compression: Option<Compression>,
    ) -> Result<Message, EncodeError> {
        let body = self.body(serializer)?;
        Ok(self.around(body, serializer, compression, headers))
    }

    /// As [`into_message`](Self::into_message), with the headers as [text](Message::written_headers).
    ///
    /// # Errors
    ///
    /// As for `encode`.
    pub fn into_written(
        self,
        serializer: Serializer,
        compression: Option<Compression>,
    ) -> Result<Message, EncodeError> {
        // One that is named like a standard header replaces it, which a map does.
        if !self.extra_headers.is_empty() || compression.is_some() {
            return self.into_message(serializer, compression);
        }
        let body = self.body(serializer)?;
        let headers = self.headers_in_json();
        let mut message = self.around(body, serializer, None, |_| Headers::default());
        message.written_headers = Some(headers.into());
        Ok(message)
    }

    /// The standard headers, as `headers` has them.
    fn headers_in_json(&self) -> String {
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
        } = &self.headers;
        let mut out = Written(String::with_capacity(640));
        out.text("{\"lang\": ", Some(lang.as_deref().unwrap_or("py")));
        out.text(", \"task\": ", Some(&self.task));
        out.text(", \"id\": ", Some(&self.id));
        out.text(", \"shadow\": ", shadow.as_deref());
        out.text(", \"eta\": ", eta.as_deref());
        out.text(", \"expires\": ", expires.as_deref());
        out.text(", \"group\": ", group.as_deref());
        out.value(", \"group_index\": ", &(*group_index).into());
        out.value(", \"retries\": ", &(*retries).into());
        out.value(", \"timelimit\": [", &hard.clone().into());
        out.value(", ", &soft.clone().into());
        out.text("], \"root_id\": ", Some(root_id.as_deref().unwrap_or(&self.id)));
        out.text(", \"parent_id\": ", parent_id.as_deref());
        out.text(", \"argsrepr\": ", argsrepr.as_deref());
        out.text(", \"kwargsrepr\": ", kwargsrepr.as_deref());
        out.text(", \"origin\": ", origin.as_deref());
        out.value(", \"ignore_result\": ", &(*ignore_result).into());
        out.value(", \"replaced_task_nesting\": ", &(*replaced_task_nesting).into());
        out.0.push_str(", \"stamped_headers\": ");
        match stamped_headers {
            Some(names) => json::write_items(&mut out.0, names),
            None => out.0.push_str("null"),
        }
        out.0.push_str(", \"stamps\": ");
        json::write_map(&mut out.0, stamps);
        out.0.push('}');
        out.0
    }

    /// The arguments and what is embedded, serialized.
    fn body(&self, serializer: Serializer) -> Result<Bytes, EncodeError> {
        match serializer {
            Serializer::Json => self.body_in_json(),
            other => other.encode(&Value::Array(vec![
                Value::Array(self.args.clone()),
                Value::Object(self.kwargs.clone()),
                Value::Object(embed(&self.embed)),
            ])),
        }
    }

    /// What `Serializer::Json` would write, without a copy of the arguments to write it from.
    fn body_in_json(&self) -> Result<Bytes, EncodeError> {
        let Embed { callbacks, errbacks, chain, chord, extra } = &self.embed;
        let lists = [callbacks, errbacks, chain];
        let mut inner =
            self.args.iter().chain(self.kwargs.values()).chain(chord).chain(extra.values());
        let mut deep = inner.any(|it| deeper_than(it, MAX_DEPTH - 2));
        deep |= lists.into_iter().flatten().flatten().any(|it| deeper_than(it, MAX_DEPTH - 3));
        if deep {
            return Err(EncodeError::TooDeep);
        }
        let mut out = String::with_capacity(128);
        out.push('[');
        json::write_items(&mut out, &self.args);
        out.push_str(", ");
        json::write_map(&mut out, &self.kwargs);
        // A field that is not known may be named like one that is, and replaces it then.
        if extra.is_empty() {
            for (key, list) in
                ["{\"callbacks\": ", "\"errbacks\": ", "\"chain\": "].into_iter().zip(lists)
            {
                out.push_str(", ");
                out.push_str(key);
                match list {
                    Some(list) => json::write_items(&mut out, list),
                    None => out.push_str("null"),
                }
            }
            out.push_str(", \"chord\": ");
            json::write_value(&mut out, chord.as_ref().unwrap_or(&Value::Null));
            out.push('}');
        } else {
            out.push_str(", ");
            json::write_map(&mut out, &embed(&self.embed));
        }
        out.push(']');
        Ok(out.into_bytes().into())
    }

    fn around(
        mut self,
        mut body: Bytes,
        serializer: Serializer,
        compression: Option<Compression>,
        headers: impl FnOnce(Self) -> Headers,
    ) -> Message {
        let properties = Properties {
            correlation_id: Some(self.correlation_id.take().unwrap_or_else(|| self.id.clone())),
            reply_to: self.reply_to.take(),
            expiration: self.expiration.take(),
            delivery_mode: Some(self.delivery_mode.unwrap_or(2)),
            delivery_info: std::mem::take(&mut self.delivery_info),
            priority: Some(self.priority.unwrap_or(0)),
            delivery_tag: String::new(),
            extra: std::mem::take(&mut self.extra_properties),
        };
        let mut headers = headers(self);
        if let Some(compression) = compression {
            body = compression.compress(&body).into();
            headers.insert("compression", compression.mime().into());
        }
        Message {
            body,
            content_type: Some(serializer.content_type().to_owned()),
            content_encoding: Some(serializer.content_encoding().to_owned()),
            headers,
            written_headers: None,
            once: None,
            once_named: None,
            properties,
            extra: Map::new(),
        }
    }
}

/// JSON under way.
struct Written(String);

impl Written {
    fn text(&mut self, before: &str, text: Option<&str>) {
        self.0.push_str(before);
        match text {
            Some(text) => json::write_str(&mut self.0, text),
            None => self.0.push_str("null"),
        }
    }

    fn value(&mut self, before: &str, value: &Value) {
        self.0.push_str(before);
        json::write_value(&mut self.0, value);
    }
}

fn headers(message: TaskMessage) -> Headers {
    let TaskMessage { id, task, headers, extra_headers, .. } = message;
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
    } = headers;
    let mut headers = Headers::with_capacity(19 + extra_headers.len() + 1);
    let mut put = |key, value: Value| headers.push(key, value);
    put("lang", lang.unwrap_or_else(|| "py".to_owned()).into());
    put("task", task.into());
    put("id", id.as_str().into());
    put("shadow", shadow.into());
    put("eta", eta.into());
    put("expires", expires.into());
    put("group", group.into());
    put("group_index", group_index.into());
    put("retries", retries.into());
    put("timelimit", Value::Array(vec![hard.into(), soft.into()]));
    put("root_id", root_id.unwrap_or(id).into());
    put("parent_id", parent_id.into());
    put("argsrepr", argsrepr.into());
    put("kwargsrepr", kwargsrepr.into());
    put("origin", origin.into());
    put("ignore_result", ignore_result.into());
    put("replaced_task_nesting", replaced_task_nesting.into());
    put("stamped_headers", stamped_headers.map_or(Value::Null, Value::Array));
    put("stamps", Value::Object(stamps));
    // As in Celery, one that is named like a standard header replaces it.
    for (key, value) in extra_headers {
        headers.insert(key, value);
    }
    headers
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
