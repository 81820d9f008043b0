//! TOML text as a map of settings.

use serde_json::{Map, Value};

use crate::config::error::{ConfigError, Problem};
use crate::config::settings;

/// Parses the text; dates become texts, and an infinite number the text `inf`.
pub(super) fn parse(text: &str) -> Result<Map<String, Value>, ConfigError> {
    let table: toml::Table = toml::from_str(text).map_err(|error| {
        // The error's own Display quotes the line, which may hold a password.
        let offset = error.span().map_or(0, |span| span.start).min(text.len());
        let line = text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count() + 1;
        Problem::Toml { line, message: complaint(error.message()) }
    })?;
    Ok(map(table))
}

/// The parser's complaint up to a quoted word, which may be a piece of a password.
fn complaint(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    let plain = first.split(['`', '"']).next().unwrap_or_default().trim_end();
    if plain.is_empty() { "it cannot be parsed".to_owned() } else { plain.to_owned() }
}

fn map(table: toml::Table) -> Map<String, Value> {
    table.into_iter().map(|(key, value)| (key, json(value))).collect()
}

fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) if number.is_finite() => Value::from(number),
        toml::Value::Float(number) => Value::String(number.to_string()),
        toml::Value::Boolean(truth) => Value::Bool(truth),
        toml::Value::Datetime(date) => Value::String(date.to_string()),
        toml::Value::Array(items) => items.into_iter().map(json).collect(),
        toml::Value::Table(table) => Value::Object(map(table)),
    }
}

/// Flattens the tables that stand for a group of settings, or for the namespace.
pub(super) fn without_tables(
    values: &Map<String, Value>,
    prefix: Option<&str>,
) -> Map<String, Value> {
    let Some(prefix) = prefix else { return flatten_groups(values, "") };
    let mut flat = Map::new();
    for (key, value) in values {
        match value {
            Value::Object(table) if prefix.strip_suffix('_') == Some(key.as_str()) => {
                flat.extend(flatten_groups(table, prefix));
            }
            _ => {
                flat.insert(key.clone(), value.clone());
            }
        }
    }
    flat
}

/// Puts `prefix` before each key, and before each key of a group's table the group's name too.
fn flatten_groups(values: &Map<String, Value>, prefix: &str) -> Map<String, Value> {
    let mut flat = Map::new();
    for (key, value) in values {
        match value {
            Value::Object(table) if is_group(key) => {
                flat.extend(
                    table.iter().map(|(inner, v)| (format!("{prefix}{key}_{inner}"), v.clone())),
                );
            }
            _ => {
                flat.insert(format!("{prefix}{key}"), value.clone());
            }
        }
    }
    flat
}

/// Whether the key is what several settings begin with, such as `task` in either case.
fn is_group(key: &str) -> bool {
    let group = format!("{}_", key.to_ascii_lowercase());
    settings::find(key).is_none() && settings::all().any(|setting| setting.name.starts_with(&group))
}
