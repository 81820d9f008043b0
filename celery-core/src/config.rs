//! Settings: Celery's names, defaults and sources, read once into a plain struct.
//!
//! [`ConfigLoader`] gathers the sources and checks them; [`Config`] is what the rest of the program reads. Every setting
//! of Celery is known: it is used, or refused with a sentence that says why. Nothing shows a password: neither
//! `Debug`, nor an error, nor [`Config::masked`].

mod broker;
mod control;
mod error;
mod event;
mod loader;
mod masked;
mod read;
mod redis;
mod reference;
mod result;
mod settings;
mod source;
mod ssl;
mod task;
#[cfg(test)]
mod tests;
mod url;
mod worker;

use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};
use serde_json::Value;

pub use broker::{BrokerConfig, FailoverStrategy};
pub use control::ControlConfig;
pub use error::{ConfigError, Problem};
pub use event::EventConfig;
pub use loader::ConfigLoader;
pub use masked::TransportOptions;
pub use redis::RedisConfig;
pub use reference::settings_reference;
pub use result::{Lifetime, ResultConfig};
pub use source::ConfigSource;
pub use ssl::{CertReqs, SslOptions};
pub use task::{PublishRetryPolicy, TaskConfig};
pub use url::{InvalidServerUrl, Secret, ServerUrl};
pub use worker::{WorkerConfig, WorkerPool};

use read::{Parsed, Reader, boolean, content_types, optional, text};
use source::{Givens, TIME_ZONE};

/// The programs in the guide compile.
#[cfg(doctest)]
#[doc = include_str!("../../docs/settings.md")]
struct Guide;

/// All settings that this version uses, grouped as Celery groups them.
///
/// A field is named as its setting without the group's prefix: `task_time_limit` is `config.task.time_limit`. The default
/// is Celery's. `Debug` and the serialized form show no passwords.
///
/// # Examples
/// ```
/// use celery_core::config::Config;
///
/// let mut config = Config::default();
/// assert_eq!(config.task.default_queue, "celery");
/// config.worker.prefetch_multiplier = 1;
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Config {
    /// Serializer names or MIME types that a consumer decodes.
    pub accept_content: Vec<String>,
    /// The same for results; `None` means `accept_content`. See [`result_content`](Self::result_content).
    pub result_accept_content: Option<Vec<String>>,
    /// Whether published dates are in UTC when no `timezone` is set.
    pub enable_utc: bool,
    /// The time zone of dates; `None` means UTC, or local time if `enable_utc` is false.
    #[serde(serialize_with = "zone_name")]
    pub timezone: Option<TimeZone>,
    /// The `broker_` settings.
    pub broker: BrokerConfig,
    /// The `result_` settings.
    pub result: ResultConfig,
    /// The `task_` settings.
    pub task: TaskConfig,
    /// The `worker_` settings.
    pub worker: WorkerConfig,
    /// The `redis_` settings: the Redis result backend.
    pub redis: RedisConfig,
    /// The `control_` settings.
    pub control: ControlConfig,
    /// The `event_` settings.
    pub event: EventConfig,
}

impl Config {
    /// Serializer names or MIME types that are accepted in results: `result_accept_content`, or else `accept_content`.
    pub fn result_content(&self) -> &[String] {
        self.result_accept_content.as_ref().unwrap_or(&self.accept_content)
    }

    fn read(reader: &mut Reader) -> Self {
        Self {
            accept_content: reader.read("accept_content", content_types),
            result_accept_content: reader.read("result_accept_content", optional(content_types)),
            enable_utc: reader.read("enable_utc", boolean),
            timezone: read_timezone(reader),
            broker: BrokerConfig::read(reader),
            result: ResultConfig::read(reader),
            task: TaskConfig::read(reader),
            worker: WorkerConfig::read(reader),
            redis: RedisConfig::read(reader),
            control: ControlConfig::read(reader),
            event: EventConfig::read(reader),
        }
    }
}

/// Celery's defaults.
impl Default for Config {
    fn default() -> Self {
        Self::read(&mut Reader { givens: Givens::new(), problems: Vec::new() })
    }
}

/// Reads `timezone`, or else Django's key of another name.
fn read_timezone(reader: &mut Reader) -> Option<TimeZone> {
    let is_given = reader.givens.get("timezone").is_some_and(|given| !given.value.is_null());
    if let (false, Some(django)) = (is_given, reader.givens.remove(TIME_ZONE)) {
        reader.givens.insert("timezone", django);
    }
    reader.read("timezone", optional(zone))
}

fn zone(value: &Value) -> Parsed<TimeZone> {
    let zone = text(value).ok().and_then(|name| TimeZone::get(&name).ok());
    zone.ok_or_else(|| "the IANA name of a time zone, such as `Europe/Berlin`".to_owned())
}

fn zone_name<S: Serializer>(zone: &Option<TimeZone>, serializer: S) -> Result<S::Ok, S::Error> {
    zone.as_ref().and_then(TimeZone::iana_name).serialize(serializer)
}
