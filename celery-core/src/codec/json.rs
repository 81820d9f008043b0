//! JSON as Python's `json` module and kombu write and read it.
//!
//! Written: separators `", "` and `": "`, everything but ASCII escaped, floats as Python prints them, and bare
//! `NaN`, `Infinity`, `-Infinity` and integers of any length.
//!
//! Read: all that. A byte order mark is skipped. A lone surrogate (`"\ud800"`), which Python's strings may hold and
//! Rust's may not, is an error rather than another text. An object with an unknown `__type__`, or one whose
//! `__value__` does not fit, is kept as it is.

use std::{borrow::Cow, fmt::Write as _};

use serde::de::DeserializeOwned;

use super::{DecodeError, MAX_DEPTH, Serializer};
use crate::value::{
    Map, Value, number,
    tagged::{self, Tagged},
};

/// Writes a value as Python's `json.dumps` does.
///
/// ```
/// use celery_core::codec::json;
///
/// let value = serde_json::json!({ "name": "é", "sizes": [1.0, 1e16] });
/// assert_eq!(json::to_string(&value), r#"{"name": "\u00e9", "sizes": [1.0, 1e+16]}"#);
/// ```
pub fn to_string(value: &Value) -> String {
    let mut out = String::with_capacity(128);
    write_value(&mut out, value);
    out
}

/// Writes an object as Python's `json.dumps` does.
pub fn map_to_string(map: &Map) -> String {
    let mut out = String::with_capacity(512);
    write_map(&mut out, map);
    out
}

/// As [`to_string`], in bytes. They are ASCII.
pub fn to_vec(value: &Value) -> Vec<u8> {
    to_string(value).into_bytes()
}

/// Reads a value as Python's `json.loads` does.
///
/// # Errors
///
/// [`DecodeError::Malformed`] with the place of the mistake, and [`DecodeError::TooDeep`].
pub fn from_slice(bytes: &[u8]) -> Result<Value, DecodeError> {
    let text =
        str::from_utf8(bytes).map_err(|error| DecodeError::malformed(Serializer::Json, error))?;
    from_str(text)
}

/// As [`from_slice`], from text.
///
/// # Errors
///
/// As [`from_slice`].
pub fn from_str(text: &str) -> Result<Value, DecodeError> {
    read(text)
}

/// Reads what a value of Python's `json.loads` would be read into, straight from the text.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, DecodeError> {
    let text = plain(text.strip_prefix('\u{feff}').unwrap_or(text))?;
    let mut reader = serde_json::Deserializer::from_str(&text);
    // The depth is checked already, against a limit of our own.
    reader.disable_recursion_limit();
    T::deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| DecodeError::malformed(Serializer::Json, error))
}

pub(crate) fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => number::write_float(out, float),
            // Writing to a string cannot fail.
            None => _ = write!(out, "{number}"),
        },
        Value::String(text) => write_str(out, text),
        Value::Array(items) => write_items(out, items),
        Value::Object(map) => write_map(out, map),
    }
}

pub(crate) fn write_items(out: &mut String, items: &[Value]) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write_value(out, item);
    }
    out.push(']');
}

pub(crate) fn write_map(out: &mut String, map: &Map) {
    match Tagged::of(map) {
        Some(Tagged::Float(float)) => out.push_str(match float {
            f64::INFINITY => "Infinity",
            f64::NEG_INFINITY => "-Infinity",
            _ => "NaN",
        }),
        Some(Tagged::Int(digits)) => out.push_str(digits),
        _ => write_object(out, map.iter().map(|(key, value)| (key.as_str(), value))),
    }
}

/// Writes an object that is none of kombu's tagged ones.
pub(crate) fn write_object<'a>(
    out: &mut String,
    entries: impl Iterator<Item = (&'a str, &'a Value)>,
) {
    out.push('{');
    for (index, (key, value)) in entries.enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write_str(out, key);
        out.push_str(": ");
        write_value(out, value);
    }
    out.push('}');
}

/// Writes a string in quotes, in ASCII, as Python's `ensure_ascii` does.
pub(crate) fn write_str(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    // Most strings have nothing to escape, so copy whole runs.
    while let Some(at) = special(rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let special =
            rest[at..].chars().next().expect("a character starts where its first byte was found");
        match special {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            special => {
                for unit in special.encode_utf16(&mut [0; 2]) {
                    _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
        rest = &rest[at + special.len_utf8()..];
    }
    out.push_str(rest);
    out.push('"');
}

/// Where the first byte is that does not stand for itself in a string.
fn special(bytes: &[u8]) -> Option<usize> {
    /// As many as the machine compares at once.
    const LANES: usize = 16;
    let plain = |it: u8| (0x20..0x7f).contains(&it) & (it != b'"') & (it != b'\\');
    let (chunks, rest) = bytes.as_chunks::<LANES>();
    for (number, chunk) in chunks.iter().enumerate() {
        if !chunk.iter().fold(true, |all, it| all & plain(*it)) {
            let at = chunk.iter().position(|it| !plain(*it))?;
            return Some(number * LANES + at);
        }
    }
    rest.iter().position(|it| !plain(*it)).map(|at| chunks.len() * LANES + at)
}

/// Turns what Python writes and JSON lacks into tagged objects, and finds out how deep the text is nested. Text without
/// any of it, which is nearly all there is, is only looked at.
fn plain(text: &str) -> Result<Cow<'_, str>, DecodeError> {
    let bytes = text.as_bytes();
    let mut rewritten = String::new();
    let (mut at, mut copied, mut depth) = (0, 0, 0_usize);
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        at += 1;
        let replacement = match byte {
            b'"' => {
                at = end_of_string(bytes, at);
                None
            }
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(DecodeError::TooDeep(Serializer::Json));
                }
                None
            }
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                None
            }
            b'N' if text[start..].starts_with("NaN") => {
                at = start + 3;
                Some(tagged::float(f64::NAN))
            }
            b'I' if text[start..].starts_with("Infinity") => {
                at = start + 8;
                Some(tagged::float(f64::INFINITY))
            }
            b'-' if text[start..].starts_with("-Infinity") => {
                at = start + 9;
                Some(tagged::float(f64::NEG_INFINITY))
            }
            b'-' | b'0'..=b'9' => {
                let rest = &bytes[at..];
                at += rest
                    .iter()
                    .position(|it| !matches!(it, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
                    .unwrap_or(rest.len());
                unusual_number(&text[start..at])
            }
            _ => None,
        };
        if let Some(replacement) = replacement {
            rewritten.push_str(&text[copied..start]);
            // As serde_json writes it: our own writer would make it bare again.
            _ = write!(rewritten, "{replacement}");
            copied = at;
        }
    }
    if copied == 0 {
        return Ok(Cow::Borrowed(text));
    }
    rewritten.push_str(&text[copied..]);
    Ok(Cow::Owned(rewritten))
}

/// The position after the string that was opened just before `at`.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The value of a number that serde_json would not read as Python does.
fn unusual_number(token: &str) -> Option<Value> {
    if token == "-0" {
        return Some(0.into());
    }
    if number::is_integer(token) {
        // Nothing shorter can be beyond 64 bits.
        return (token.len() > 18).then(|| tagged::int(token));
    }
    // Too large for a float is infinity in Python, and an error in serde_json.
    let float: f64 =
        token.parse().ok().filter(|_| token.len() > 300 || token.contains(['e', 'E']))?;
    // Only what JSON has a token for: Rust reads `1.` and `.1`, too.
    let well_formed =
        token.bytes().last().is_some_and(|it| it.is_ascii_digit()) && !token.contains(".e");
    (float.is_infinite() && well_formed).then(|| tagged::float(float))
}
