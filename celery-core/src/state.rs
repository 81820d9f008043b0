//! The states of a task, and the document that a result backend keeps of it.

use std::{convert::Infallible, fmt, iter, str::FromStr};

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    codec::{EncodeError, MAX_DEPTH, Serializer, deeper_than, json},
    exception::Exception,
    value::{Map, Value},
};

/// The state of a task. Any name that is none of Celery's own is a custom state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Nothing is known of the task.
    Pending,
    /// A worker has it. Never stored.
    Received,
    /// It runs.
    Started,
    /// It returned.
    Success,
    /// It failed.
    Failure,
    /// It was revoked, or expired.
    Revoked,
    /// It will be tried again.
    Retry,
    /// It was rejected.
    Rejected,
    /// Its outcome is ignored.
    Ignored,
    /// A state of the task's own, such as `PROGRESS`.
    Custom(String),
}

impl State {
    /// The name on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Pending => "PENDING",
            Self::Received => "RECEIVED",
            Self::Started => "STARTED",
            Self::Success => "SUCCESS",
            Self::Failure => "FAILURE",
            Self::Revoked => "REVOKED",
            Self::Retry => "RETRY",
            Self::Rejected => "REJECTED",
            Self::Ignored => "IGNORED",
            Self::Custom(name) => name,
        }
    }

    /// Whether the task is done: `SUCCESS`, `FAILURE` or `REVOKED`.
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Success | Self::Failure | Self::Revoked)
    }

    /// Whether `get` raises: `FAILURE` or `REVOKED`.
    pub fn is_propagated(&self) -> bool {
        matches!(self, Self::Failure | Self::Revoked)
    }

    /// Whether `result` holds an exception: `FAILURE`, `REVOKED` or `RETRY`.
    pub fn is_exception(&self) -> bool {
        self.is_propagated() || *self == Self::Retry
    }
}

impl From<&str> for State {
    fn from(name: &str) -> Self {
        match name {
            "PENDING" => Self::Pending,
            "RECEIVED" => Self::Received,
            "STARTED" => Self::Started,
            "SUCCESS" => Self::Success,
            "FAILURE" => Self::Failure,
            "REVOKED" => Self::Revoked,
            "RETRY" => Self::Retry,
            "REJECTED" => Self::Rejected,
            "IGNORED" => Self::Ignored,
            other => Self::Custom(other.to_owned()),
        }
    }
}

impl FromStr for State {
    type Err = Infallible;

    fn from_str(name: &str) -> Result<Self, Infallible> {
        Ok(name.into())
    }
}

impl Serialize for State {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for State {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(String::deserialize(deserializer)?.as_str().into())
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a result backend keeps of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskMeta {
    /// The id of the task.
    pub task_id: String,
    /// Its state.
    pub state: State,
    /// The return value, the exception in its stored form, or the meta of a custom state.
    pub result: Value,
    /// The traceback of a failure.
    pub traceback: Option<String>,
    /// The results of the tasks that this one published, as result tuples; `None` outside of an execution.
    pub children: Option<Vec<Value>>,
    /// When it was done, in ISO 8601; only in ready states.
    pub date_done: Option<String>,
    /// The group that it belongs to.
    pub group_id: Option<String>,
    /// The task that published it.
    pub parent_id: Option<String>,
    /// What `result_extended` adds.
    pub extended: Option<ExtendedMeta>,
    /// Fields that we do not know, and stamps.
    pub extra: Map,
}

/// What `result_extended` adds to what is kept of a task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExtendedMeta {
    /// The name of the task.
    pub name: Option<String>,
    /// Its positional arguments.
    pub args: Value,
    /// Its keyword arguments.
    pub kwargs: Value,
    /// The node name of the worker that ran it.
    pub worker: Option<String>,
    /// How often it had been retried.
    pub retries: Option<u32>,
    /// The routing key that it came with.
    pub queue: Option<String>,
}

impl TaskMeta {
    /// A document with no more than these; no children, no dates.
    pub fn new(task_id: impl Into<String>, state: State, result: Value) -> Self {
        Self {
            task_id: task_id.into(),
            state,
            result,
            traceback: None,
            children: None,
            date_done: None,
            group_id: None,
            parent_id: None,
            extended: None,
            extra: Map::new(),
        }
    }

    /// What is said of a task of which nothing is known.
    pub fn pending(task_id: impl Into<String>) -> Self {
        Self::new(task_id, State::Pending, Value::Null)
    }

    /// The exception, in the states that have one.
    pub fn exception(&self) -> Option<Exception> {
        (self.state.is_exception() && !self.result.is_null())
            .then(|| Exception::from_value(&self.result))
    }

    /// The document as Celery writes it, key for key in its order.
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        let mut put = |key: &str, value: Value| map.insert(key.to_owned(), value);
        put("status", self.state.as_str().into());
        put("result", self.result.clone());
        put("traceback", self.traceback.clone().into());
        put("children", self.children.clone().map_or(Value::Null, Value::Array));
        put("date_done", self.date_done.clone().into());
        if let Some(group) = &self.group_id {
            put("group_id", group.clone().into());
        }
        if let Some(parent) = &self.parent_id {
            put("parent_id", parent.clone().into());
        }
        if let Some(extended) = &self.extended {
            put("name", extended.name.clone().into());
            put("args", extended.args.clone());
            put("kwargs", extended.kwargs.clone());
            put("worker", extended.worker.clone().into());
            put("retries", extended.retries.into());
            put("queue", extended.queue.clone().into());
        }
        for (key, value) in &self.extra {
            put(key, value.clone());
        }
        put("task_id", self.task_id.clone().into());
        Value::Object(map)
    }

    /// The document as bytes: what [`to_value`](Self::to_value) is when it is serialized.
    ///
    /// # Errors
    /// [`EncodeError`] when the serializer cannot express it.
    pub fn encode(&self, serializer: Serializer) -> Result<Bytes, EncodeError> {
        // A field that is not known may replace one that is.
        if serializer != Serializer::Json || !self.extra.is_empty() || self.extended.is_some() {
            return serializer.encode(&self.to_value());
        }
        let mut inner = iter::once(&self.result).chain(self.children.iter().flatten());
        if inner.any(|it| deeper_than(it, MAX_DEPTH - 2)) {
            // It is seldom so deep: whether it is too deep is for the serializer to say.
            return serializer.encode(&self.to_value());
        }
        let mut out = String::with_capacity(256);
        let text = |out: &mut String, key: &str, text: Option<&str>| {
            out.push_str(key);
            match text {
                Some(text) => json::write_str(out, text),
                None => out.push_str("null"),
            }
        };
        text(&mut out, "{\"status\": ", Some(self.state.as_str()));
        out.push_str(", \"result\": ");
        json::write_value(&mut out, &self.result);
        text(&mut out, ", \"traceback\": ", self.traceback.as_deref());
        out.push_str(", \"children\": ");
        match &self.children {
            Some(children) => json::write_items(&mut out, children),
            None => out.push_str("null"),
        }
        text(&mut out, ", \"date_done\": ", self.date_done.as_deref());
        if let Some(group) = &self.group_id {
            text(&mut out, ", \"group_id\": ", Some(group));
        }
        if let Some(parent) = &self.parent_id {
            text(&mut out, ", \"parent_id\": ", Some(parent));
        }
        text(&mut out, ", \"task_id\": ", Some(&self.task_id));
        out.push('}');
        Ok(out.into_bytes().into())
    }

    /// Reads the document of whichever version wrote it.
    ///
    /// # Errors
    /// [`BadMeta`] when it is no object or has no `status`.
    pub fn from_value(task_id: &str, document: Value) -> Result<Self, BadMeta> {
        let Value::Object(mut map) = document else { return Err(BadMeta("it is not an object")) };
        let Some(Value::String(status)) = map.shift_remove("status") else {
            return Err(BadMeta("it has no `status`"));
        };
        let mut meta = Self::new(
            task_id,
            status.as_str().into(),
            map.shift_remove("result").unwrap_or_default(),
        );
        let mut text = |key: &str| match map.shift_remove(key) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        if let Some(id) = text("task_id") {
            meta.task_id = id;
        }
        meta.traceback = text("traceback");
        meta.date_done = text("date_done");
        meta.group_id = text("group_id");
        meta.parent_id = text("parent_id");
        if let Some(Value::Array(children)) = map.shift_remove("children") {
            meta.children = Some(children);
        }
        if map.contains_key("args") || map.contains_key("worker") {
            meta.extended = Some(ExtendedMeta::take_from(&mut map));
        }
        meta.extra = map;
        Ok(meta)
    }
}

impl ExtendedMeta {
    fn take_from(map: &mut Map) -> Self {
        let mut take = |key: &str| map.shift_remove(key).unwrap_or_default();
        let text = |value: Value| value.as_str().map(str::to_owned);
        Self {
            name: text(take("name")),
            args: take("args"),
            kwargs: take("kwargs"),
            worker: text(take("worker")),
            retries: take("retries").as_u64().and_then(|retries| retries.try_into().ok()),
            queue: text(take("queue")),
        }
    }
}

/// A stored document that is no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what is stored under the task's id is not a result: {0}")]
pub struct BadMeta(&'static str);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_is_written_as_its_value_is() {
        let plain = TaskMeta::new("an-id", State::Success, json!({ "x": ["é", 1.0, null] }));
        let full = TaskMeta {
            traceback: Some("Traceback\n".to_owned()),
            children: Some(vec![json!([["b", null], null])]),
            date_done: Some("2030-01-02T03:04:05+00:00".to_owned()),
            group_id: Some("g".to_owned()),
            parent_id: Some("p".to_owned()),
            ..plain.clone()
        };
        let more = TaskMeta { extra: Map::from_iter([("x".to_owned(), json!(1))]), ..full.clone() };
        let extended = TaskMeta { extended: Some(ExtendedMeta::default()), ..full.clone() };
        for meta in [plain, full, more, extended] {
            for serializer in [Serializer::Json, Serializer::Msgpack, Serializer::Yaml] {
                let expected = serializer.encode(&meta.to_value()).unwrap();
                assert_eq!(meta.encode(serializer).unwrap(), expected, "{meta:?}");
            }
        }
    }

    #[test]
    fn a_result_that_is_too_deep_is_refused() {
        let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!([inner]));
        let meta = |depth| TaskMeta::new("an-id", State::Success, nested(depth));
        assert!(meta(MAX_DEPTH - 1).encode(Serializer::Json).is_ok());
        assert!(meta(MAX_DEPTH).encode(Serializer::Json).is_err());
    }
}
