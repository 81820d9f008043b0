//! The `result_` settings as fields.

use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::masked::{TransportOptions, millis, seconds};
use super::read::{
    self, Parsed, Reader, boolean, compression, integer, limit, milliseconds, optional, serializer,
    text,
};
use super::url::ServerUrl;

/// Which result backend, and what is kept there. Its `Debug` and its serialized form show no passwords.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ResultConfig {
    /// The result backend; `None` means that results are not kept.
    pub backend: Option<ServerUrl>,
    /// Compression of stored results.
    pub compression: Option<String>,
    /// How long results are kept; `None` means for ever.
    #[serde(serialize_with = "seconds")]
    pub expires: Option<Duration>,
    /// How long failures are kept. See [`failure_lifetime`](Self::failure_lifetime).
    pub failure_expires: Lifetime,
    /// How long the books of chords are kept. See [`chord_lifetime`](Self::chord_lifetime).
    pub chord_expires: Lifetime,
    /// Half the time that a process has to send the body of a chord, before another may. See
    /// [`chord_claim`](Self::chord_claim).
    #[serde(serialize_with = "seconds")]
    pub chord_join_timeout: Option<Duration>,
    /// How long it takes until it is asked again whether all parts of a chord are there, where the backend does not count
    /// them.
    #[serde(serialize_with = "seconds")]
    pub chord_retry_interval: Duration,
    /// Whether name, arguments, worker, retries and queue of a task are stored with its result.
    pub extended: bool,
    /// Serializer of results.
    pub serializer: String,
    /// Options which the driver honours or refuses, each for itself.
    pub backend_transport_options: TransportOptions,
    /// Whether who asks for a result, or stores a state, tries again when the connection is lost.
    pub backend_always_retry: bool,
    /// With `backend_always_retry`: tries after the first; `None` means no limit.
    pub backend_max_retries: Option<u64>,
    /// With `backend_always_retry`: the first pause between two tries.
    #[serde(rename = "backend_base_sleep_between_retries_ms", serialize_with = "millis")]
    pub backend_base_sleep_between_retries: Duration,
    /// With `backend_always_retry`: the longest pause between two tries.
    #[serde(rename = "backend_max_sleep_between_retries_ms", serialize_with = "millis")]
    pub backend_max_sleep_between_retries: Duration,
}

/// A time to live that may follow `result_expires`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// As long as results: null.
    AsResults,
    /// For ever: 0.
    Forever,
    /// As long as this.
    For(Duration),
}

impl ResultConfig {
    /// How long failures are kept; `None` means for ever.
    pub fn failure_lifetime(&self) -> Option<Duration> {
        self.failure_expires.or(self.expires)
    }

    /// How long the books of chords are kept; `None` means for ever.
    pub fn chord_lifetime(&self) -> Option<Duration> {
        self.chord_expires.or(self.expires)
    }

    /// For how long a process that is to complete a chord is left to it: a second at least.
    pub fn chord_claim(&self) -> Duration {
        let timeout = self.chord_join_timeout.unwrap_or(Duration::from_secs(5));
        timeout.saturating_mul(2).max(Duration::from_secs(1))
    }

    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            backend: reader.read("result_backend", optional(backend)),
            compression: reader.read("result_compression", optional(compression)),
            expires: reader.read("result_expires", limit),
            failure_expires: reader.read("result_failure_expires", Lifetime::from_value),
            chord_expires: reader.read("result_chord_expires", Lifetime::from_value),
            chord_join_timeout: reader.read("result_chord_join_timeout", limit),
            chord_retry_interval: reader.read("result_chord_retry_interval", read::seconds),
            extended: reader.read("result_extended", boolean),
            serializer: reader.read("result_serializer", serializer),
            backend_transport_options: reader
                .read("result_backend_transport_options", TransportOptions::from_value),
            backend_always_retry: reader.read("result_backend_always_retry", boolean),
            backend_max_retries: reader.read("result_backend_max_retries", max_retries),
            backend_base_sleep_between_retries: reader
                .read("result_backend_base_sleep_between_retries_ms", milliseconds),
            backend_max_sleep_between_retries: reader
                .read("result_backend_max_sleep_between_retries_ms", milliseconds),
        }
    }
}

impl Lifetime {
    fn or(self, results: Option<Duration>) -> Option<Duration> {
        match self {
            Self::AsResults => results,
            Self::Forever => None,
            Self::For(time) => Some(time),
        }
    }

    fn from_value(value: &Value) -> Parsed<Self> {
        if value.is_null() {
            return Ok(Self::AsResults);
        }
        limit(value).map(|time| time.map_or(Self::Forever, Self::For))
    }
}

/// Serializes as Celery writes it: null, 0, or seconds.
impl Serialize for Lifetime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::AsResults => serializer.serialize_none(),
            Self::Forever => serializer.serialize_u64(0),
            Self::For(time) => seconds(time, serializer),
        }
    }
}

/// A URL or a bare name. A class path, which Celery also takes, has a dot in front of any `://`.
fn backend(value: &Value) -> Parsed<ServerUrl> {
    let url = text(value).ok().and_then(|text| ServerUrl::parse(&text).ok());
    url.filter(|url| !url.scheme().contains('.')).ok_or_else(|| {
        "the URL of a result backend, such as `redis://localhost:6379/1` (Python classes cannot be used)".to_owned()
    })
}

/// A number, or no limit: JSON has no infinity, so it is null or a word.
fn max_retries(value: &Value) -> Parsed<Option<u64>> {
    match value {
        Value::Null => Ok(None),
        Value::String(word)
            if matches!(&*word.to_ascii_lowercase(), "inf" | "infinity" | "infinite") =>
        {
            Ok(None)
        }
        _ => integer(value).map(Some).map_err(|expected: String| format!("{expected}, or `inf`")),
    }
}
