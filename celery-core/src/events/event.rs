//! An event that was received, as a value.

use std::fmt;

use crate::value::{Map, Value};

/// An event: a type, and fields.
///
/// Only the type is certain to be there. Events from Celery and from here also have `hostname`, the node name of who
/// tells it; `pid`; `clock`, the reading of the sender's logical clock; `timestamp`, a Unix time; and `utcoffset`, the
/// hours that the sender's clocks are west of UTC.
///
/// ```
/// use celery_core::events::Event;
/// use serde_json::json;
///
/// let event = Event::from_value(json!({ "type": "task-started", "uuid": "a", "clock": 7 }))?;
/// assert_eq!((event.group(), event.subject()), ("task", "started"));
/// assert_eq!((event.text("uuid"), event.clock()), (Some("a"), Some(7)));
/// # Ok::<(), celery_core::events::NotAnEvent>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    kind: String,
    /// All but the type, in the order in which they came.
    pub fields: Map,
}

impl Event {
    /// An event of that type.
    pub fn new(kind: impl Into<String>, fields: Map) -> Self {
        Self { kind: kind.into(), fields }
    }

    /// Reads an event.
    ///
    /// # Errors
    /// [`NotAnEvent`] when it is no object, or has no type.
    pub fn from_value(value: Value) -> Result<Self, NotAnEvent> {
        let Value::Object(mut fields) = value else { return Err(NotAnEvent) };
        match fields.shift_remove("type") {
            Some(Value::String(kind)) => Ok(Self { kind, fields }),
            _ => Err(NotAnEvent),
        }
    }

    /// The event as it is on the wire.
    pub fn to_value(&self) -> Value {
        let mut fields = self.fields.clone();
        fields.insert("type".to_owned(), Value::from(self.kind.as_str()));
        Value::Object(fields)
    }

    /// The type, such as `task-succeeded`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The first word of the type, such as `task`.
    pub fn group(&self) -> &str {
        super::group_of(&self.kind)
    }

    /// The type without its group, such as `succeeded`.
    pub fn subject(&self) -> &str {
        self.kind.split_once('-').map_or("", |(_, subject)| subject)
    }

    /// A field.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.fields.get(field)
    }

    /// A field that is text.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.get(field)?.as_str()
    }

    /// A field that is a number.
    pub fn number(&self, field: &str) -> Option<f64> {
        self.get(field)?.as_f64()
    }

    /// The node name of who tells it.
    pub fn hostname(&self) -> Option<&str> {
        self.text("hostname")
    }

    /// When it was told, as a Unix time.
    pub fn timestamp(&self) -> Option<f64> {
        self.number("timestamp")
    }

    /// The reading of the logical clock.
    pub fn clock(&self) -> Option<u64> {
        self.get("clock")?.as_u64()
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.kind, self.hostname().unwrap_or("nobody"))
    }
}

/// A value is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is an object that has a text as its `type`")]
pub struct NotAnEvent;
