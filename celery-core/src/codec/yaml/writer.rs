//! Values as PyYAML's `safe_dump` writes them: block style, sorted keys, plain words where they are safe.
//!
//! Long lines are not folded, text with line breaks is written in double quotes, and bytes on one line; all of that is
//! the same to a reader. Times of day, decimals and UUIDs, which `safe_dump` refuses, are sent as text.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::scalar;
use crate::value::{Map, Value, number, tagged::Tagged};

pub(in crate::codec) fn encode(value: &Value) -> String {
    let mut out = String::with_capacity(128);
    match Node::of(value) {
        Node::Scalar(text) => {
            out.push_str(&text);
            // PyYAML ends a plain word that stands alone.
            if !text.starts_with(['\'', '"']) {
                out.push_str("\n...");
            }
        }
        Node::Items(items) => write_items(&mut out, items, 0),
        Node::Entries(map) => write_entries(&mut out, map, 0),
    }
    out.push('\n');
    out
}

/// A value by how it is laid out. Empty arrays and objects are words, too.
enum Node<'a> {
    Scalar(String),
    Items(&'a [Value]),
    Entries(&'a Map),
}

impl<'a> Node<'a> {
    fn of(value: &'a Value) -> Self {
        Self::Scalar(match value {
            Value::Null => "null".to_owned(),
            Value::Bool(it) => it.to_string(),
            Value::Number(it) => match it.as_f64().filter(|_| it.is_f64()) {
                Some(it) => float(it),
                None => it.to_string(),
            },
            Value::String(text) => string(text),
            Value::Array(items) if items.is_empty() => "[]".to_owned(),
            Value::Array(items) => return Self::Items(items),
            Value::Object(map) if map.is_empty() => "{}".to_owned(),
            Value::Object(map) => match Tagged::of(map) {
                Some(it) => typed(it),
                None => return Self::Entries(map),
            },
        })
    }
}

fn write_items(out: &mut String, items: &[Value], indent: usize) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            new_line(out, indent);
        }
        out.push_str("- ");
        write_inline(out, Node::of(item), indent + 2);
    }
}

fn write_entries(out: &mut String, map: &Map, indent: usize) {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    for (index, (key, value)) in entries.into_iter().enumerate() {
        if index > 0 {
            new_line(out, indent);
        }
        let name = string(key);
        if key.is_empty() || key.chars().count() >= 128 || name.len() > LONGEST_SIMPLE_KEY {
            _ = write!(out, "? {name}");
            new_line(out, indent);
            out.push_str(": ");
            write_inline(out, Node::of(value), indent + 2);
            continue;
        }
        _ = write!(out, "{name}:");
        match Node::of(value) {
            Node::Scalar(text) => _ = write!(out, " {text}"),
            // PyYAML does not indent a list below its key.
            Node::Items(items) => {
                new_line(out, indent);
                write_items(out, items, indent);
            }
            Node::Entries(map) => {
                new_line(out, indent + 2);
                write_entries(out, map, indent + 2);
            }
        }
    }
}

/// A reader looks no further than 1024 bytes for the colon.
const LONGEST_SIMPLE_KEY: usize = 1000;

/// Goes on in a line that has a dash or a colon already, which are two columns wide.
fn write_inline(out: &mut String, node: Node<'_>, indent: usize) {
    match node {
        Node::Scalar(text) => out.push_str(&text),
        Node::Items(items) => write_items(out, items, indent),
        Node::Entries(map) => write_entries(out, map, indent),
    }
}

fn new_line(out: &mut String, indent: usize) {
    // Writing to a string cannot fail.
    _ = write!(out, "\n{:indent$}", "");
}

fn float(float: f64) -> String {
    let mut text = String::new();
    number::write_float(&mut text, float);
    match text.as_str() {
        "nan" | "inf" => format!(".{text}"),
        "-inf" => "-.inf".to_owned(),
        // Without a point it would be read as text.
        _ if !text.contains('.') => text.replacen('e', ".0e", 1),
        _ => text,
    }
}

fn typed(tagged: Tagged<'_>) -> String {
    match tagged {
        Tagged::Datetime(text) => {
            timestamp(&text.replacen('T', " ", 1)).unwrap_or_else(|| string(text))
        }
        Tagged::Date(text) => timestamp(text).unwrap_or_else(|| string(text)),
        Tagged::Time(text) | Tagged::Decimal(text) => string(text),
        Tagged::Uuid(id) => string(&id.to_string()),
        Tagged::Bytes(bytes) => format!("!!binary \"{}\"", STANDARD.encode(bytes)),
        Tagged::Float(it) => float(it),
        Tagged::Int(digits) => digits.to_owned(),
    }
}

/// The text itself, if a reader takes it for a timestamp.
fn timestamp(text: &str) -> Option<String> {
    scalar::timestamp(text).map(|_| text.to_owned())
}

/// Text, quoted unless it is read as the same text without, by the rules of PyYAML's `analyze_scalar`.
fn string(text: &str) -> String {
    if !text.bytes().all(|it| (0x20..0x7f).contains(&it)) {
        return double_quoted(text);
    }
    if is_plain(text) { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let Some(first) = bytes.first() else { return false };
    let alone = bytes.get(1).is_none_or(|it| *it == b' ');
    let indicator = matches!(
        first,
        b'#' | b','
            | b'['
            | b']'
            | b'{'
            | b'}'
            | b'&'
            | b'*'
            | b'!'
            | b'|'
            | b'>'
            | b'\''
            | b'"'
            | b'%'
            | b'@'
            | b'`'
    ) || (matches!(first, b'?' | b':' | b'-') && alone);
    !indicator
        && !text.starts_with("---")
        && !text.starts_with("...")
        && !text.starts_with(' ')
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !matches!(text, "<<" | "=")
        && scalar::plain(text).is_string()
        // A date that is none, such as of a 13th month, is text here and an error in PyYAML.
        && !scalar::looks_like_timestamp(text)
}

fn double_quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    out.push('"');
    for it in text.chars() {
        let escape = match it {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\0' => "\\0",
            '\u{7}' => "\\a",
            '\u{8}' => "\\b",
            '\t' => "\\t",
            '\n' => "\\n",
            '\u{b}' => "\\v",
            '\u{c}' => "\\f",
            '\r' => "\\r",
            '\u{1b}' => "\\e",
            '\u{85}' => "\\N",
            '\u{a0}' => "\\_",
            '\u{2028}' => "\\L",
            '\u{2029}' => "\\P",
            ' '..='~' => {
                out.push(it);
                continue;
            }
            _ => {
                _ = match u32::from(it) {
                    code @ ..=0xff => write!(out, "\\x{code:02X}"),
                    code @ ..=0xffff => write!(out, "\\u{code:04X}"),
                    code => write!(out, "\\U{code:08X}"),
                };
                continue;
            }
        };
        out.push_str(escape);
    }
    out.push('"');
    out
}
