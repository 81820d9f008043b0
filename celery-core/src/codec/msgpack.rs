//! MessagePack as kombu packs it: `packb(use_bin_type=True)`, `unpackb(raw=False)`.
//!
//! Python's packer refuses dates, decimals and UUIDs. They are sent here as the text that a task would parse; reading
//! them back into a date or a UUID works from text, too. Bytes are bytes, floats that are not finite are floats.

use rmpv::{Utf8String, Value as Packed};

use super::{DecodeError, EncodeError, MAX_DEPTH, Serializer, json};
use crate::{
    date,
    value::{
        Map, Value,
        tagged::{self, Tagged},
    },
};

pub(super) fn encode(value: &Value) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::with_capacity(128);
    rmpv::encode::write_value(&mut bytes, &pack(value)?)
        .expect("packing fails only when its sink does, and memory does not");
    Ok(bytes)
}

pub(super) fn decode(mut bytes: &[u8]) -> Result<Value, DecodeError> {
    // rmpv counts an array or a map twice, and what is in it up to twice more.
    let packed = rmpv::decode::read_value_with_max_depth(&mut bytes, 2 * MAX_DEPTH + 4).map_err(
        |error| match error {
            rmpv::decode::Error::DepthLimitExceeded => DecodeError::TooDeep(Serializer::Msgpack),
            error => DecodeError::malformed(Serializer::Msgpack, error),
        },
    )?;
    if !bytes.is_empty() {
        return Err(DecodeError::malformed(
            Serializer::Msgpack,
            format!("{} bytes follow after the value", bytes.len()),
        ));
    }
    unpack(packed, MAX_DEPTH)
}

fn pack(value: &Value) -> Result<Packed, EncodeError> {
    Ok(match value {
        Value::Null => Packed::Nil,
        Value::Bool(it) => Packed::Boolean(*it),
        Value::Number(number) => {
            if let Some(it) = number.as_u64() {
                it.into()
            } else if let Some(it) = number.as_i64() {
                it.into()
            } else {
                Packed::F64(number.as_f64().unwrap_or(f64::NAN))
            }
        }
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => Packed::Array(items.iter().map(pack).collect::<Result<_, _>>()?),
        Value::Object(map) => {
            match Tagged::of(map) {
                Some(tagged) => pack_tagged(tagged)?,
                None => Packed::Map(
                    map.iter()
                        .map(|(key, it)| Ok((key.as_str().into(), pack(it)?)))
                        .collect::<Result<_, EncodeError>>()?,
                ),
            }
        }
    })
}

fn pack_tagged(tagged: Tagged<'_>) -> Result<Packed, EncodeError> {
    Ok(match tagged {
        Tagged::Datetime(text)
        | Tagged::Date(text)
        | Tagged::Time(text)
        | Tagged::Decimal(text) => text.into(),
        Tagged::Uuid(id) => id.to_string().into(),
        Tagged::Bytes(bytes) => Packed::Binary(bytes.into_owned()),
        Tagged::Float(float) => Packed::F64(float),
        Tagged::Int(digits) => match (digits.parse::<i64>(), digits.parse::<u64>()) {
            (Ok(small), _) => small.into(),
            (_, Ok(large)) => large.into(),
            _ => {
                return Err(EncodeError::Unsupported {
                    serializer: Serializer::Msgpack,
                    what: format!("the integer {digits}, which is beyond 64 bits"),
                });
            }
        },
    })
}

fn unpack(packed: Packed, depth: usize) -> Result<Value, DecodeError> {
    let inner = || depth.checked_sub(1).ok_or(DecodeError::TooDeep(Serializer::Msgpack));
    Ok(match packed {
        Packed::Nil => Value::Null,
        Packed::Boolean(it) => it.into(),
        Packed::Integer(it) => match it.as_u64() {
            Some(it) => it.into(),
            None => it.as_i64().into(),
        },
        Packed::F32(it) => tagged::float(it.into()),
        Packed::F64(it) => tagged::float(it),
        Packed::String(text) => Value::String(utf8(text)?),
        Packed::Binary(bytes) => tagged::bytes(&bytes),
        Packed::Array(items) => {
            let depth = inner()?;
            Value::Array(items.into_iter().map(|it| unpack(it, depth)).collect::<Result<_, _>>()?)
        }
        Packed::Map(entries) => {
            let depth = inner()?;
            let mut map = Map::with_capacity(entries.len().min(1024));
            for (key, value) in entries {
                map.insert(unpack_key(key)?, unpack(value, depth)?);
            }
            Value::Object(map)
        }
        Packed::Ext(-1, bytes) => timestamp(&bytes)?,
        Packed::Ext(kind, _) => {
            return Err(unsupported(format!("a value of the extension type {kind}")));
        }
    })
}

/// Keys become text, as they do when Python writes JSON. Its own unpacker takes text and bytes only.
fn unpack_key(key: Packed) -> Result<String, DecodeError> {
    match key {
        Packed::String(text) => utf8(text),
        Packed::Binary(bytes) => {
            String::from_utf8(bytes).map_err(|_| unsupported("a key of bytes that are not UTF-8"))
        }
        Packed::Nil | Packed::Boolean(_) | Packed::Integer(_) | Packed::F32(_) | Packed::F64(_) => {
            Ok(json::to_string(&unpack(key, 0)?))
        }
        Packed::Array(_) | Packed::Map(_) | Packed::Ext(..) => {
            Err(unsupported("a key that is not text or a number"))
        }
    }
}

fn utf8(text: Utf8String) -> Result<String, DecodeError> {
    text.into_str()
        .ok_or_else(|| DecodeError::malformed(Serializer::Msgpack, "a string is not UTF-8"))
}

/// The extension type that MessagePack itself defines, in its three lengths.
fn timestamp(bytes: &[u8]) -> Result<Value, DecodeError> {
    let (seconds, nanoseconds) = if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        (i64::from(u32::from_be_bytes(bytes)), 0)
    } else if let Ok(bytes) = <[u8; 8]>::try_from(bytes) {
        let both = u64::from_be_bytes(bytes);
        ((both & ((1 << 34) - 1)) as i64, (both >> 34) as u32)
    } else if let Some((nanoseconds, seconds)) = bytes.split_first_chunk::<4>()
        && let Ok(seconds) = <[u8; 8]>::try_from(seconds)
    {
        (i64::from_be_bytes(seconds), u32::from_be_bytes(*nanoseconds))
    } else {
        return Err(DecodeError::malformed(
            Serializer::Msgpack,
            "a timestamp is not 4, 8 or 12 bytes long",
        ));
    };
    i32::try_from(nanoseconds)
        .ok()
        .filter(|it| *it < 1_000_000_000)
        .and_then(|nanoseconds| jiff::Timestamp::new(seconds, nanoseconds).ok())
        .map(|at| tagged::object("datetime", date::format(at, &jiff::tz::TimeZone::UTC)))
        .ok_or_else(|| unsupported("a timestamp that is out of range"))
}

fn unsupported(what: impl Into<String>) -> DecodeError {
    DecodeError::Unsupported { serializer: Serializer::Msgpack, what: what.into() }
}
