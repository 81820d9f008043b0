//! Values: what tasks take and give.
//!
//! A value is JSON. What Python has and JSON lacks is held inside it the way kombu writes it, as an object with exactly
//! the keys `__type__` and `__value__`: `datetime`, `date`, `time`, `decimal`, `uuid`, `bytes` and `base64`. Two more
//! forms are ours and never go over the wire as such: `float` for `nan`, `inf` and `-inf`, and `int` for integers beyond
//! 64 bits. [`python`] has a Rust type for each that is worth sending.
//!
//! [`from_value`] and [`to_value`] are the way between values and Rust types. They know these forms, so that a Python
//! `datetime` reads into a `jiff::Timestamp`, a `UUID` into a `uuid::Uuid`, and `bytes` into a `Vec<u8>`.

pub mod python;

pub(crate) mod number;
pub(crate) mod tagged;

mod de;
mod ser;

#[cfg(test)]
pub(crate) mod tests;

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use serde_json::Value;

/// A JSON object, in the order its keys were given.
pub type Map = serde_json::Map<String, Value>;

/// Text that is borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// Reads a Rust value out of `value`.
///
/// Python's typed values look like what the Rust type asks for:
///
/// | In the value | Reads into |
/// |---|---|
/// | `datetime`, `date`, `time` | anything that reads ISO 8601 text, such as `jiff::Timestamp`, `chrono` types, `String` |
/// | `decimal` | anything that reads decimal text |
/// | `uuid` | `uuid::Uuid`, `String` |
/// | `bytes`, `base64` | byte types such as `serde_bytes::ByteBuf`, `Vec<u8>`; `String` when it is UTF-8 |
/// | `float` | `f64`, `f32` |
/// | `int` | `i128`, `u128` when it fits; floats, rounded |
///
/// A type that takes anything, such as [`Value`] itself, gets the object unchanged.
///
/// # Errors
///
/// [`ValueError`] names the place within the value and what was expected there.
///
/// ```
/// use celery_core::value::from_value;
/// use serde_json::json;
///
/// let sent = json!({ "__type__": "uuid", "__value__": { "hex": "12345678123456781234567812345678" } });
/// let id: uuid::Uuid = from_value(sent).unwrap();
/// assert_eq!(id.to_string(), "12345678-1234-5678-1234-567812345678");
///
/// let error = from_value::<Vec<u8>>(json!([1, "two"])).unwrap_err();
/// assert_eq!(error.to_string(), "[1]: invalid type: string \"two\", expected u8");
/// ```
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, ValueError> {
    T::deserialize(de::ValueDeserializer::new(value))
}

/// Makes a value of anything that serializes.
///
/// Unlike `serde_json::to_value` it keeps floats that are not finite, integers of 128 bits, and bytes
/// (`serde_bytes`, `bytes::Bytes`), as Python's typed values.
///
/// # Errors
///
/// [`ValueError`] when a map has keys that are not text, numbers or booleans, or a `Serialize` impl gave up.
pub fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<Value, ValueError> {
    value.serialize(ser::ValueSerializer)
}

/// A value is not what a Rust type wants, or the other way round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueError {
    message: String,
    /// From the inside out, which is the order in which it becomes known.
    path: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl ValueError {
    /// The place of the mistake within the value, such as `user.emails[2]`. Empty when it is the value itself.
    pub fn path(&self) -> String {
        use fmt::Write as _;
        let mut path = String::new();
        for step in self.path.iter().rev() {
            match step {
                Step::Key(key) if path.is_empty() => path.push_str(key),
                // Writing to a string cannot fail.
                Step::Key(key) => _ = write!(path, ".{key}"),
                Step::Index(index) => _ = write!(path, "[{index}]"),
            }
        }
        path
    }

    /// What is wrong there.
    pub fn message(&self) -> &str {
        &self.message
    }

    fn under_key(mut self, key: impl Into<String>) -> Self {
        self.path.push(Step::Key(key.into()));
        self
    }

    fn under_index(mut self, index: usize) -> Self {
        self.path.push(Step::Index(index));
        self
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path(), self.message)
        }
    }
}

impl std::error::Error for ValueError {}

impl serde::de::Error for ValueError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), path: Vec::new() }
    }
}

impl serde::ser::Error for ValueError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), path: Vec::new() }
    }
}
