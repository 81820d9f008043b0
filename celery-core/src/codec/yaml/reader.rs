//! What PyYAML's `safe_load` reads.
//!
//! Sets and ordered maps become arrays, keys that are not text become the text that JSON would have. Tags for Python's
//! own types are refused, as they are by `safe_load`. Aliases are copied, up to a limit: nine lines of them can stand
//! for a billion words.

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Tag};

use super::scalar;
use crate::{
    codec::{DecodeError, MAX_DEPTH, Serializer, json},
    value::{
        Map, Value, number,
        tagged::{self, Tagged},
    },
};

pub(in crate::codec) fn decode(bytes: &[u8]) -> Result<Value, DecodeError> {
    let text = str::from_utf8(bytes).map_err(malformed)?;
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        let (event, _) = event.map_err(|error| scan_error(&error))?;
        reader.take(event)?;
    }
    Ok(reader.document.unwrap_or(Value::Null))
}

fn scan_error(error: &ScanError) -> DecodeError {
    // The parser has a limit of its own for brackets, a little above ours; it looks ahead.
    if error.info() == "recursion limit exceeded" {
        return DecodeError::TooDeep(Serializer::Yaml);
    }
    malformed(error.to_string())
}

/// About how many bytes of memory may be copied for anchors and their aliases.
const COPIED_LIMIT: usize = 64 << 20;

#[derive(Default)]
struct Reader {
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    copied: usize,
    document: Option<Value>,
}

/// An array or an object whose end is not read yet.
struct Open {
    anchor: usize,
    tag: Option<String>,
    content: Content,
}

enum Content {
    Items(Vec<Value>),
    Entries {
        map: Map,
        /// What `<<` brings in, which the object's own keys override.
        merged: Vec<Map>,
        key: Option<Key>,
    },
    /// The keys of a set. Whether a value is due, which a set ignores.
    Set(Vec<Value>, bool),
}

enum Key {
    Name(String),
    Merge,
}

struct Anchored {
    value: Value,
    size: usize,
    depth: usize,
}

impl Reader {
    fn take(&mut self, event: Event<'_>) -> Result<(), DecodeError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_deref().map(tag_name).transpose()?.flatten();
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let is_merge = plain && text == "<<";
                let value = match tag {
                    None if plain => scalar::plain(&text),
                    None => Value::String(text.into_owned()),
                    Some(tag) => tagged_scalar(&tag, &text)?,
                };
                self.anchored(anchor, &value)?;
                self.complete(value, is_merge)
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(anchor, tag.as_deref(), Content::Items(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                let content = match tag.as_deref() {
                    Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "set" => {
                        Content::Set(Vec::new(), false)
                    }
                    _ => Content::Entries { map: Map::new(), merged: Vec::new(), key: None },
                };
                self.open(anchor, tag.as_deref(), content)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => {
                let Some(anchored) = self.anchors.get(&anchor) else {
                    return Err(unsupported("an alias for something that contains itself"));
                };
                if self.open.len() + anchored.depth > MAX_DEPTH {
                    return Err(DecodeError::TooDeep(Serializer::Yaml));
                }
                self.copied = copied(self.copied, anchored.size)?;
                let value = anchored.value.clone();
                self.complete(value, false)
            }
            Event::DocumentStart(_) if self.document.is_some() => {
                Err(malformed("there is more than one document"))
            }
            Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::StreamStart
            | Event::StreamEnd
            | Event::Nothing => Ok(()),
        }
    }

    fn open(
        &mut self,
        anchor: usize,
        tag: Option<&Tag>,
        content: Content,
    ) -> Result<(), DecodeError> {
        if self.open.len() == MAX_DEPTH {
            return Err(DecodeError::TooDeep(Serializer::Yaml));
        }
        let tag = tag.map(tag_name).transpose()?.flatten();
        let fits = match (tag.as_deref(), &content) {
            (None, _) => true,
            (Some(tag), Content::Items(_)) => matches!(tag, "seq" | "omap" | "pairs"),
            (Some(tag), Content::Entries { .. } | Content::Set(..)) => matches!(tag, "map" | "set"),
        };
        if !fits {
            return Err(unsupported(format!(
                "the tag !!{} where it does not belong",
                tag.unwrap_or_default()
            )));
        }
        self.open.push(Open { anchor, tag, content });
        Ok(())
    }

    fn close(&mut self) -> Result<(), DecodeError> {
        let Some(Open { anchor, tag, content }) = self.open.pop() else {
            return Err(malformed("something ends that did not start"));
        };
        let value = match content {
            Content::Items(items) if matches!(tag.as_deref(), Some("omap" | "pairs")) => {
                Value::Array(items.into_iter().map(pair).collect::<Result<_, _>>()?)
            }
            Content::Items(items) | Content::Set(items, _) => Value::Array(items),
            Content::Entries { map, merged, .. } if merged.is_empty() => Value::Object(map),
            Content::Entries { map, merged, .. } => {
                Value::Object(merged.into_iter().flatten().chain(map).collect())
            }
        };
        self.anchored(anchor, &value)?;
        self.complete(value, false)
    }

    fn anchored(&mut self, anchor: usize, value: &Value) -> Result<(), DecodeError> {
        // The parser counts anchors from one.
        if anchor > 0 {
            let (size, depth) = measure(value);
            self.copied = copied(self.copied, size)?;
            self.anchors.insert(anchor, Anchored { value: value.clone(), size, depth });
        }
        Ok(())
    }

    /// Puts a complete value where it belongs.
    fn complete(&mut self, value: Value, is_merge: bool) -> Result<(), DecodeError> {
        let Some(open) = self.open.last_mut() else {
            self.document = Some(value);
            return Ok(());
        };
        match &mut open.content {
            Content::Items(items) => items.push(value),
            Content::Set(keys, value_due) => {
                if !*value_due {
                    keys.push(value);
                }
                *value_due = !*value_due;
            }
            Content::Entries { map, merged, key } => match key.take() {
                None if is_merge => *key = Some(Key::Merge),
                None => *key = Some(Key::Name(key_text(value)?)),
                Some(Key::Name(name)) => _ = map.insert(name, value),
                Some(Key::Merge) => merge(merged, value)?,
            },
        }
        Ok(())
    }
}

fn copied(before: usize, size: usize) -> Result<usize, DecodeError> {
    before
        .checked_add(size)
        .filter(|it| *it <= COPIED_LIMIT)
        .ok_or_else(|| unsupported("anchors and aliases that stand for too much"))
}

/// The first of several maps is the strongest, so it comes last.
fn merge(merged: &mut Vec<Map>, value: Value) -> Result<(), DecodeError> {
    let refused = || unsupported("a << that merges what is not an object");
    match value {
        Value::Object(map) => merged.push(map),
        Value::Array(items) => {
            for item in items.into_iter().rev() {
                let Value::Object(map) = item else { return Err(refused()) };
                merged.push(map);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return Err(refused()),
    }
    Ok(())
}

/// An entry of an ordered map, as the array of two that a Python tuple is.
fn pair(item: Value) -> Result<Value, DecodeError> {
    match item {
        Value::Object(map) if map.len() == 1 => {
            Ok(Value::Array(map.into_iter().flat_map(|(key, value)| [key.into(), value]).collect()))
        }
        _ => Err(unsupported("an ordered map with an item that is not one key and its value")),
    }
}

/// The name of a tag below `tag:yaml.org,2002:`, or none for the `!` that says nothing.
fn tag_name(tag: &Tag) -> Result<Option<String>, DecodeError> {
    if tag.is_yaml_core_schema() {
        Ok(Some(tag.suffix.clone()))
    } else if tag.handle.is_empty() && tag.suffix == "!" {
        Ok(None)
    } else {
        Err(unsupported(format!("the tag {tag}, which safe_load does not know either")))
    }
}

fn tagged_scalar(tag: &str, text: &str) -> Result<Value, DecodeError> {
    let value = match tag {
        "str" => Some(text.into()),
        "null" => Some(Value::Null),
        "bool" => scalar::boolean(text),
        "int" => scalar::int(text),
        "float" => scalar::float(text).or_else(|| text.parse().ok().map(tagged::float)),
        "timestamp" => scalar::timestamp(text),
        "binary" => {
            let packed: String = text.chars().filter(|it| !it.is_whitespace()).collect();
            STANDARD.decode(packed).ok().map(|it| tagged::bytes(&it))
        }
        _ => {
            return Err(unsupported(format!(
                "the tag !!{tag}, which safe_load does not know either"
            )));
        }
    };
    value.ok_or_else(|| malformed(format!("{text:?} is not a !!{tag}")))
}

fn key_text(value: Value) -> Result<String, DecodeError> {
    match value {
        Value::String(text) => Ok(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(json::to_string(&value)),
        Value::Object(map) => match Tagged::of(&map) {
            Some(Tagged::Datetime(text) | Tagged::Date(text) | Tagged::Int(text)) => {
                Ok(text.to_owned())
            }
            Some(Tagged::Bytes(bytes)) => String::from_utf8(bytes.into_owned())
                .map_err(|_| unsupported("a key of bytes that are not UTF-8")),
            Some(Tagged::Float(float)) => {
                let mut text = String::new();
                number::write_float(&mut text, float);
                Ok(text)
            }
            _ => Err(unsupported("a key that is not text or a number")),
        },
        Value::Array(_) => Err(unsupported("a key that is not text or a number")),
    }
}

/// About how much memory a value takes, and how deep it is nested.
fn measure(value: &Value) -> (usize, usize) {
    const NODE: usize = size_of::<Value>();
    let sum = |(size, depth): (usize, usize), it: &Value| {
        let inner = measure(it);
        (size + inner.0, depth.max(inner.1 + 1))
    };
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => (NODE, 0),
        Value::String(text) => (NODE + text.len(), 0),
        Value::Array(items) => items.iter().fold((NODE, 1), sum),
        Value::Object(map) => map
            .iter()
            .fold((NODE, 1), |(size, depth), (key, it)| sum((size + NODE + key.len(), depth), it)),
    }
}

fn malformed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> DecodeError {
    DecodeError::malformed(Serializer::Yaml, source)
}

fn unsupported(what: impl Into<String>) -> DecodeError {
    DecodeError::Unsupported { serializer: Serializer::Yaml, what: what.into() }
}
