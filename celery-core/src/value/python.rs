//! Python's types, for sending them as what they are.
//!
//! A `jiff::Timestamp` or a `uuid::Uuid` serializes as text, and a Python task gets a `str`. In these types it gets a
//! `datetime` or a `UUID`. They read the plain text as well.
//!
//! ```
//! use celery_core::value::{python, to_value};
//! use serde_json::json;
//!
//! let price = python::Decimal("19.90".into());
//! assert_eq!(to_value(&price).unwrap(), json!({ "__type__": "decimal", "__value__": "19.90" }));
//! ```

use jiff::{Timestamp, Zoned, civil, tz};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{
    Value,
    tagged::{self, Tagged},
};
use crate::date;

/// A Python `datetime`: aware, with its offset, or naive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DateTime {
    /// An instant, and the offset that it is shown in.
    Aware(Timestamp, tz::Offset),
    /// A date and a time of day in no stated zone.
    Naive(civil::DateTime),
}

impl DateTime {
    /// The instant. A naive one is read in `zone`.
    ///
    /// # Errors
    ///
    /// At the very ends of the calendar, where jiff has no instants.
    pub fn timestamp(self, zone: &tz::TimeZone) -> Result<Timestamp, jiff::Error> {
        match self {
            Self::Aware(at, _) => Ok(at),
            Self::Naive(at) => zone.to_ambiguous_zoned(at).compatible().map(|it| it.timestamp()),
        }
    }
}

impl From<Timestamp> for DateTime {
    fn from(at: Timestamp) -> Self {
        Self::Aware(at, tz::Offset::UTC)
    }
}

impl From<&Zoned> for DateTime {
    fn from(at: &Zoned) -> Self {
        Self::Aware(at.timestamp(), at.offset())
    }
}

impl From<Zoned> for DateTime {
    fn from(at: Zoned) -> Self {
        Self::from(&at)
    }
}

impl From<civil::DateTime> for DateTime {
    fn from(at: civil::DateTime) -> Self {
        Self::Naive(at)
    }
}

impl Serialize for DateTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = match *self {
            Self::Aware(at, offset) => date::format(at, &tz::TimeZone::fixed(offset)),
            Self::Naive(at) => date::format_naive(at),
        };
        tagged::object("datetime", text).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for DateTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (at, offset) =
            date::split(&text(deserializer, "datetime")?).map_err(D::Error::custom)?;
        match offset {
            None => Ok(Self::Naive(at)),
            Some(offset) => {
                offset.to_timestamp(at).map(|at| Self::Aware(at, offset)).map_err(D::Error::custom)
            }
        }
    }
}

/// A Python `date`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Date(pub civil::Date);

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        tagged::object("date", self.0.to_string()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (at, _) = date::split(&text(deserializer, "date")?).map_err(D::Error::custom)?;
        Ok(Self(at.date()))
    }
}

/// A Python `time`, of no stated zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Time(pub civil::Time);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        tagged::object("time", date::format_time(self.0)).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, "time")?.parse().map(Self).map_err(D::Error::custom)
    }
}

/// A Python `Decimal`, as its text. It is not checked: put in what your decimal type prints.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Decimal(pub String);

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        tagged::object("decimal", self.0.as_str()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, "decimal").map(Self)
    }
}

/// A Python `UUID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Uuid(pub uuid::Uuid);

impl Serialize for Uuid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        tagged::uuid(self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Uuid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, "uuid")?.parse().map(Self).map_err(D::Error::custom)
    }
}

/// Python `bytes`. It reads text, as its UTF-8, and arrays of numbers, too.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        tagged::bytes(&self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match value {
            Value::String(text) => Ok(Self(text.into_bytes())),
            value => super::from_value(value).map(Self).map_err(D::Error::custom),
        }
    }
}

/// The text of a value that is tagged with `kind`, or is just text. It goes by way of a value, so that it works in any
/// deserializer, also where serde buffers, as for flattened structs.
fn text<'de, D: Deserializer<'de>>(
    deserializer: D,
    kind: &'static str,
) -> Result<String, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let text = match &value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if kind == "decimal" => Some(number.to_string()),
        Value::Object(map) => match (Tagged::of(map), kind) {
            // A datetime has a date, which is what kombu's own reader makes of it.
            (Some(Tagged::Datetime(text)), "datetime" | "date")
            | (Some(Tagged::Date(text)), "date")
            | (Some(Tagged::Time(text)), "time")
            | (Some(Tagged::Decimal(text)), "decimal") => Some(text.to_owned()),
            (Some(Tagged::Uuid(id)), "uuid") => Some(id.to_string()),
            _ => None,
        },
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Number(_) => None,
    };
    text.ok_or_else(|| D::Error::custom(format_args!("expected a Python {kind}, or its text")))
}
