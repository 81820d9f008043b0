//! The named fields of a message, and their types: one at a time, out of headers or out of a body of version 1.

use jiff::tz::TimeZone;
use serde_json::Number;

use super::{Embed, TaskHeaders};
use crate::{
    date,
    message::Headers,
    value::{Map, Value},
};

/// What has been read of a message so far.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) task: Option<String>,
    pub(super) id: Option<String>,
    pub(super) compression: Option<String>,
    pub(super) headers: TaskHeaders,
    pub(super) extra: Map,
}

impl Fields {
    /// Takes all headers.
    pub(super) fn take_all(&mut self, headers: &mut Headers) -> Result<(), String> {
        headers.iter_mut().try_for_each(|(key, value)| self.take(key, value))
    }

    /// Takes one field, moving what is in it. A later one of the same name stands.
    pub(super) fn take(&mut self, key: &str, value: &mut Value) -> Result<(), String> {
        let headers = &mut self.headers;
        match key {
            "task" => self.task = text(key, value)?,
            "id" => self.id = text(key, value)?,
            "compression" => self.compression = text(key, value)?,
            "lang" => headers.lang = text(key, value)?,
            "shadow" => headers.shadow = text(key, value)?,
            "eta" => headers.eta = date(key, value)?,
            "expires" => headers.expires = date(key, value)?,
            "group" => headers.group = text(key, value)?,
            "group_index" => headers.group_index = integer(key, value)?,
            "retries" => headers.retries = count(key, value)?,
            "timelimit" => headers.timelimit = limits(value)?,
            "root_id" => headers.root_id = text(key, value)?,
            "parent_id" => headers.parent_id = text(key, value)?,
            "argsrepr" => headers.argsrepr = text(key, value)?,
            "kwargsrepr" => headers.kwargsrepr = text(key, value)?,
            "origin" => headers.origin = text(key, value)?,
            "ignore_result" => {
                headers.ignore_result = match value {
                    Value::Null => None,
                    Value::Bool(ignore) => Some(*ignore),
                    other => return Err(wrong(key, other, "true or false")),
                }
            }
            "replaced_task_nesting" => headers.replaced_task_nesting = count(key, value)?,
            "stamped_headers" => headers.stamped_headers = list(key, value, "a list")?,
            "stamps" => {
                headers.stamps = match value {
                    Value::Null => Map::new(),
                    Value::Object(stamps) => std::mem::take(stamps),
                    other => return Err(wrong(key, other, "an object")),
                }
            }
            _ => _ = self.extra.insert(key.to_owned(), value.take()),
        }
        Ok(())
    }
}

impl Embed {
    /// Takes one field, moving what is in it.
    pub(super) fn take(&mut self, key: &str, mut value: Value) -> Result<(), String> {
        let mut signatures = |key| list(key, &mut value, "a list of signatures");
        match key {
            "callbacks" => self.callbacks = signatures(key)?,
            "errbacks" => self.errbacks = signatures(key)?,
            "chain" => self.chain = signatures(key)?,
            "chord" => {
                self.chord = match value {
                    Value::Null => None,
                    Value::Object(_) => Some(value),
                    other => return Err(wrong(key, &other, "a signature")),
                }
            }
            _ => _ = self.extra.insert(key.to_owned(), value),
        }
        Ok(())
    }
}

/// Says that a field is of the wrong type.
pub(super) fn wrong(key: &str, value: &Value, expected: &str) -> String {
    format!("`{key}` is {} and not {expected}", kind(value))
}

/// What a value is, in words.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

pub(super) fn text(key: &str, value: &mut Value) -> Result<Option<String>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(std::mem::take(text))),
        other => Err(wrong(key, other, "text")),
    }
}

fn date(key: &str, value: &mut Value) -> Result<Option<String>, String> {
    let Some(text) = text(key, value)? else { return Ok(None) };
    match date::parse(&text, &TimeZone::UTC) {
        Ok(_) => Ok(Some(text)),
        Err(error) => Err(format!("`{key}`: {error}")),
    }
}

fn integer(key: &str, value: &Value) -> Result<Option<i64>, String> {
    match value {
        Value::Null => Ok(None),
        Value::Number(number) if number.is_i64() => Ok(number.as_i64()),
        Value::Number(number) => {
            Err(format!("`{key}` is {number} and not a whole number of 64 bits"))
        }
        other => Err(wrong(key, other, "a whole number")),
    }
}

/// A number of times, which is none when it is null.
fn count(key: &str, value: &Value) -> Result<u32, String> {
    let number = integer(key, value)?.unwrap_or(0);
    number.try_into().map_err(|_| format!("`{key}` is {number} and not a number of times"))
}

/// `[hard, soft]`.
fn limits(value: &Value) -> Result<(Option<Number>, Option<Number>), String> {
    let limit = |value: &Value| match value {
        Value::Null => Ok(None),
        Value::Number(number) => Ok(Some(number.clone())),
        other => Err(wrong("timelimit", other, "a list of two numbers of seconds, hard and soft")),
    };
    match value {
        Value::Null => Ok((None, None)),
        // Python takes this for none, too.
        Value::Array(limits) if limits.is_empty() => Ok((None, None)),
        Value::Array(limits) => match &limits[..] {
            [hard, soft] => Ok((limit(hard)?, limit(soft)?)),
            other => {
                Err(format!("`timelimit` has {} elements and not two, hard and soft", other.len()))
            }
        },
        other => Err(wrong("timelimit", other, "a list of two, hard and soft")),
    }
}

fn list(key: &str, value: &mut Value, of: &str) -> Result<Option<Vec<Value>>, String> {
    match value {
        Value::Null => Ok(None),
        Value::Array(items) => Ok(Some(std::mem::take(items))),
        other => Err(wrong(key, other, of)),
    }
}
