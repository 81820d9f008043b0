//! The objects with `__type__` and `__value__` that stand for what JSON lacks.

use std::borrow::Cow;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};
use serde_json::json;
use uuid::Uuid;

use super::{Map, Value, number};

pub(crate) const TYPE: &str = "__type__";
pub(crate) const VALUE: &str = "__value__";

/// A typed value, as it stands in an object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tagged<'a> {
    Datetime(&'a str),
    Date(&'a str),
    Time(&'a str),
    Decimal(&'a str),
    Uuid(Uuid),
    Bytes(Cow<'a, [u8]>),
    Float(f64),
    Int(&'a str),
}

impl<'a> Tagged<'a> {
    /// What this object stands for. `None` when it is an ordinary object, or a form that is not known or broken:
    /// those are kept as they are, where Python's reader would fail.
    pub(crate) fn of(map: &'a Map) -> Option<Self> {
        if map.len() != 2 {
            return None;
        }
        let (kind, value) = (map.get(TYPE)?.as_str()?, map.get(VALUE)?);
        if kind == "uuid" {
            let hex = value.as_object().filter(|it| it.len() == 1)?.get("hex")?.as_str()?;
            return Uuid::parse_str(hex).ok().map(Self::Uuid);
        }
        let text = value.as_str()?;
        match kind {
            "datetime" => Some(Self::Datetime(text)),
            "date" => Some(Self::Date(text)),
            "time" => Some(Self::Time(text)),
            "decimal" => Some(Self::Decimal(text)),
            "bytes" => Some(Self::Bytes(Cow::Borrowed(text.as_bytes()))),
            "base64" => LENIENT.decode(text).ok().map(|it| Self::Bytes(Cow::Owned(it))),
            "float" => match text {
                "nan" => Some(Self::Float(f64::NAN)),
                "inf" => Some(Self::Float(f64::INFINITY)),
                "-inf" => Some(Self::Float(f64::NEG_INFINITY)),
                _ => None,
            },
            // It is written bare, so it has to be what a reader takes for an integer.
            "int" if number::is_integer(text) => Some(Self::Int(text)),
            _ => None,
        }
    }
}

/// The object for a typed value.
pub(crate) fn object(kind: &str, value: impl Into<Value>) -> Value {
    let mut map = Map::with_capacity(2);
    map.insert(TYPE.to_owned(), kind.into());
    map.insert(VALUE.to_owned(), value.into());
    Value::Object(map)
}

/// Bytes, as kombu holds them: as text where they are UTF-8.
pub(crate) fn bytes(bytes: &[u8]) -> Value {
    match str::from_utf8(bytes) {
        Ok(text) => object("bytes", text),
        Err(_) => object("base64", STANDARD.encode(bytes)),
    }
}

/// A float, tagged if JSON has no number for it.
pub(crate) fn float(number: f64) -> Value {
    serde_json::Number::from_f64(number).map_or_else(
        || {
            let mut text = String::new();
            number::write_float(&mut text, number);
            object("float", text)
        },
        Value::Number,
    )
}

/// An integer in JSON's spelling, tagged if it is beyond 64 bits.
pub(crate) fn int(text: &str) -> Value {
    if let Ok(small) = text.parse::<i64>() {
        small.into()
    } else if let Ok(large) = text.parse::<u64>() {
        large.into()
    } else {
        object("int", text)
    }
}

pub(crate) fn uuid(id: Uuid) -> Value {
    object("uuid", json!({ "hex": id.simple().to_string() }))
}

/// Python reads base64 without its padding's last bits being checked.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);
