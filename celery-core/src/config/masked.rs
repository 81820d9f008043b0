//! A configuration as it may be shown: in logs, and in replies to `report` and `conf`.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::Config;
use super::read::Parsed;
use super::url::mask;

/// What stands for a hidden value, as Celery writes it.
const HIDDEN: &str = "********";

/// The groups whose fields are named without their prefix.
const GROUPS: [&str; 7] = ["broker", "result", "task", "worker", "redis", "control", "event"];

impl Config {
    /// Every setting with its value, as Celery shows them: by its whole name, with hidden what may be secret.
    ///
    /// Hidden, as `********`, is what has `API`, `TOKEN`, `KEY`, `SECRET`, `PASS`, `PROFANITIES_LIST`, `SIGNATURE`,
    /// `DATABASE` or `BEAT_DBURI` in its name. URLs are shown without their passwords.
    ///
    /// # Examples
    /// ```
    /// use celery_core::config::Config;
    ///
    /// let settings = Config::default().masked();
    /// assert_eq!(settings["task_default_queue"], "celery");
    /// assert_eq!(settings["redis_password"], "********");
    /// ```
    pub fn masked(&self) -> Map<String, Value> {
        let Ok(Value::Object(fields)) = serde_json::to_value(self) else {
            unreachable!("a configuration is a struct whose every field serializes to JSON")
        };
        let mut settings = Map::new();
        for (name, value) in fields {
            match value {
                Value::Object(group) if GROUPS.contains(&name.as_str()) => {
                    settings
                        .extend(group.into_iter().map(|(field, v)| (format!("{name}_{field}"), v)));
                }
                value => {
                    settings.insert(name, value);
                }
            }
        }
        for name in ["broker_url", "broker_read_url", "broker_write_url"] {
            if let Some(urls) = settings.get_mut(name) {
                *urls = in_one(urls);
            }
        }
        hide(&mut settings);
        settings
    }

    /// As [`masked`](Self::masked), without what has its default: what Celery's `report` and `conf` show.
    pub fn masked_changes(&self) -> Map<String, Value> {
        let defaults = Self::default().masked();
        let mut settings = self.masked();
        settings.retain(|name, value| defaults.get(name) != Some(value));
        settings
    }
}

/// A list of URLs as one text, as it is set.
fn in_one(urls: &Value) -> Value {
    let urls: Vec<_> = urls.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if urls.is_empty() { Value::Null } else { urls.join(";").into() }
}

/// Options of a driver: a dictionary which the driver reads. `Debug` and the serialized form hide its secrets.
#[derive(Clone, PartialEq, Default)]
pub struct TransportOptions(pub Map<String, Value>);

impl TransportOptions {
    pub(super) fn from_value(value: &Value) -> Parsed<Self> {
        match value {
            Value::Null => Ok(Self::default()),
            Value::Object(options) => Ok(Self(options.clone())),
            _ => Err("a dictionary of options".to_owned()),
        }
    }

    fn masked(&self) -> Map<String, Value> {
        let mut options = self.0.clone();
        hide(&mut options);
        options
    }
}

impl Deref for TransportOptions {
    type Target = Map<String, Value>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for TransportOptions {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl fmt::Debug for TransportOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.masked()).finish()
    }
}

impl Serialize for TransportOptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.masked().serialize(serializer)
    }
}

/// Whether Celery hides a setting or an option of this name.
pub(super) fn is_hidden_name(name: &str) -> bool {
    const WORDS: [&str; 9] = [
        "API",
        "TOKEN",
        "KEY",
        "SECRET",
        "PASS",
        "PROFANITIES_LIST",
        "SIGNATURE",
        "DATABASE",
        "BEAT_DBURI",
    ];
    let name = name.to_ascii_uppercase();
    WORDS.iter().any(|word| name.contains(word))
}

fn hide(settings: &mut Map<String, Value>) {
    for (name, value) in settings {
        match value {
            Value::Object(inner) => hide(inner),
            _ if is_hidden_name(name) => *value = Value::from(HIDDEN),
            _ => hide_urls(value),
        }
    }
}

/// Masks the URLs inside a value whose name is harmless. Dictionaries in lists are treated as such.
fn hide_urls(value: &mut Value) {
    match value {
        Value::String(text) if text.contains("://") => *text = mask(text),
        Value::Array(items) => items.iter_mut().for_each(hide_urls),
        Value::Object(inner) => hide(inner),
        _ => {}
    }
}

/// A time in the form in which Celery's settings give it.
pub(super) trait Seconds {
    fn seconds(&self) -> Option<f64>;
}

impl Seconds for Duration {
    fn seconds(&self) -> Option<f64> {
        Some(self.as_secs_f64())
    }
}

impl Seconds for Option<Duration> {
    fn seconds(&self) -> Option<f64> {
        self.as_ref().map(Duration::as_secs_f64)
    }
}

/// Serializes a time as seconds, or as null where there is none.
pub(super) fn seconds<S: Serializer>(
    time: &impl Seconds,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    time.seconds().serialize(serializer)
}

/// Serializes a time as milliseconds.
pub(super) fn millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).serialize(serializer)
}
