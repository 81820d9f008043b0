//! Every setting of Celery, one row each: its names, its type, its default, and whether this version uses it.
//!
//! A *used* setting is read into a field of [`Config`](super::Config). A *refused* one may be given only with a value that
//! changes nothing (Celery's default, or one that this version fulfils anyway); any other value is an
//! error that carries the row's sentence. So nothing that a configuration asks for is silently ignored.

mod backends;
mod beat;
mod broker;
mod control;
mod ours;
mod redis;
mod result;
mod task;
mod top;
mod worker;

use std::borrow::Cow;

use serde_json::Value;

/// Lays out rows: `name, old name, kind = default as JSON, status;`. The old name is a text, `upper` for
/// the upper-cased name, or `none` for what Celery reads but does not declare.
macro_rules! settings {
    (@old upper) => { $crate::config::settings::Old::Upper };
    (@old none) => { $crate::config::settings::Old::None };
    (@old $old:literal) => { $crate::config::settings::Old::Named($old) };
    ($($name:ident, $old:tt, $kind:ident = $default:literal, $status:expr;)*) => {
        &[$($crate::config::settings::Setting {
            name: stringify!($name),
            old: settings!(@old $old),
            kind: $crate::config::settings::Kind::$kind,
            default: $default,
            status: $status,
        }),*]
    };
}
use settings;

/// One setting of Celery.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) old: Old,
    pub(super) kind: Kind,
    /// Celery's default, as JSON.
    pub(super) default: &'static str,
    pub(super) status: Status,
}

/// The upper-case name from before Celery 4.
#[derive(Debug)]
pub(super) enum Old {
    Named(&'static str),
    Upper,
    None,
}

/// The type of a setting, by which the text of an environment variable is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int,
    Float,
    Text,
    List,
    Dict,
    /// One or more URLs: a text, or a list of texts.
    Urls,
    /// JSON where it is JSON, else a text.
    Any,
}

#[derive(Debug)]
pub(super) enum Status {
    /// Read into the configuration; the text is its meaning.
    Used(&'static str),
    /// May only have its default, or one of the values in `also` (as JSON).
    Refused { why: &'static str, also: &'static [&'static str] },
}

const fn used(meaning: &'static str) -> Status {
    Status::Used(meaning)
}

const fn refused(why: &'static str) -> Status {
    Status::Refused { why, also: &[] }
}

const fn refused_except(also: &'static [&'static str], why: &'static str) -> Status {
    Status::Refused { why, also }
}

/// All rows, in the order of the documentation.
pub(super) fn all() -> impl Iterator<Item = &'static Setting> {
    [
        top::TOP,
        task::TASK,
        worker::WORKER,
        result::RESULT,
        broker::BROKER,
        redis::REDIS,
        control::CONTROL,
        control::EVENT,
        beat::BEAT,
        beat::SECURITY,
        backends::BACKENDS,
        top::UNDECLARED,
        ours::OURS,
    ]
    .into_iter()
    .flatten()
}

/// The row of a setting, by its new name.
pub(super) fn find(name: &str) -> Option<&'static Setting> {
    all().find(|setting| setting.name == name)
}

impl Setting {
    /// Whether Celery has no such setting.
    pub(super) fn is_ours(&self) -> bool {
        ours::OURS.iter().any(|ours| ours.name == self.name)
    }

    /// The upper-case name from before Celery 4, where there is one.
    pub(super) fn old_name(&self) -> Option<Cow<'static, str>> {
        match self.old {
            Old::Named(name) => Some(Cow::Borrowed(name)),
            Old::Upper => Some(Cow::Owned(self.name.to_ascii_uppercase())),
            Old::None => None,
        }
    }

    /// Celery's default.
    pub(super) fn default_value(&self) -> Value {
        serde_json::from_str(self.default).expect("a test parses the default of every row")
    }

    /// Why this value cannot be honoured, if it cannot.
    pub(super) fn refusal(&self, value: &Value) -> Option<&'static str> {
        let Status::Refused { why, also } = self.status else { return None };
        let harmless = |text: &&str| {
            let allowed: Value =
                serde_json::from_str(text).expect("a test parses the exceptions of every row");
            same(&allowed, value)
        };
        let allowed = harmless(&self.default) || also.iter().any(harmless);
        (!allowed).then_some(why)
    }

    /// Whether the value may hold a password, so that no error may show it.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Urls | Kind::Dict | Kind::Any)
            || super::masked::is_hidden_name(self.name)
            || ["url", "backend"].iter().any(|end| self.name.ends_with(end))
    }
}

impl Kind {
    /// How the type is called in the documentation.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Float => "float",
            Self::Text => "string",
            Self::List => "list",
            Self::Dict => "dict",
            Self::Urls => "string or list",
            Self::Any => "any",
        }
    }

    /// Reads the text of an environment variable. A text that does not fit stays a text, which the
    /// setting then refuses by its type.
    pub(super) fn read_text(self, text: &str) -> Value {
        let as_text = || Value::String(text.to_owned());
        let json = || serde_json::from_str(text).unwrap_or_else(|_| as_text());
        let word = text.trim().to_ascii_lowercase();
        if matches!(&*word, "null" | "none") && !matches!(self, Self::Text | Self::Urls) {
            return Value::Null;
        }
        match self {
            Self::Text | Self::Urls => as_text(),
            Self::Bool => strtobool(&word).map_or_else(as_text, Value::Bool),
            Self::Int => word.parse::<i64>().map_or_else(|_| as_text(), Value::from),
            Self::Float => match word.parse::<f64>() {
                Ok(number) if number.is_finite() => Value::from(number),
                _ => as_text(),
            },
            Self::List if word.starts_with('[') => json(),
            Self::List => text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(Value::from)
                .collect(),
            Self::Dict => json(),
            Self::Any => strtobool_word(&word).map_or_else(json, Value::Bool),
        }
    }
}

/// Celery's own words for true and false.
fn strtobool(word: &str) -> Option<bool> {
    match word {
        "true" | "yes" | "1" | "on" => Some(true),
        "false" | "no" | "0" | "off" => Some(false),
        _ => None,
    }
}

/// The words among them that cannot be numbers.
fn strtobool_word(word: &str) -> Option<bool> {
    if matches!(word, "0" | "1") { None } else { strtobool(word) }
}

/// Equality as Python has it for settings: 4 is 4.0.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len()
                && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(key, left)| right.get(key).is_some_and(|right| same(left, right)))
        }
        _ => left == right,
    }
}
