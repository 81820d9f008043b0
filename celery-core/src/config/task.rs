//! The `task_` settings as fields.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use super::masked::seconds;
use super::read::{
    self, Parsed, Reader, boolean, compression, integer, limit, name, optional, positive,
    serializer,
};
use crate::rate::Rate;

/// How tasks are sent and run, unless the task or the call says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TaskConfig {
    /// Whether a message is acknowledged after its task ran, not before.
    pub acks_late: bool,
    /// Whether it is acknowledged late also when the task failed or timed out; old form of the next two.
    pub acks_on_failure_or_timeout: bool,
    /// Whether it is acknowledged late when the task failed; `None` means `acks_on_failure_or_timeout`.
    pub acks_on_failure: Option<bool>,
    /// Whether it is acknowledged late upon the hard time limit; `None` means `acks_on_failure_or_timeout`.
    pub acks_on_timeout: Option<bool>,
    /// Options of tasks by their names, over what the tasks say: a dictionary or a list of them.
    pub annotations: Option<Value>,
    /// Compression of message bodies.
    pub compression: Option<String>,
    /// Whether a queue that `queues` does not name is made up when it is used.
    pub create_missing_queues: bool,
    /// Whether a task sent from inside a task takes its priority.
    pub inherit_parent_priority: bool,
    /// 2: messages survive a restart of the broker; 1: they need not.
    pub default_delivery_mode: u8,
    /// Queue of tasks that are routed nowhere else.
    pub default_queue: String,
    /// Exchange of the default queue; see [`default_exchange`](Self::default_exchange).
    pub default_exchange: Option<String>,
    /// Routing key of the default queue; see [`default_routing_key`](Self::default_routing_key).
    pub default_routing_key: Option<String>,
    /// How often a task may begin that says nothing itself, as [`Rate`] reads it.
    pub default_rate_limit: Option<String>,
    /// Priority of messages that are given none.
    pub default_priority: Option<u8>,
    /// Whether no result is stored unless the task says so.
    pub ignore_result: bool,
    /// Whether publishing is tried again upon connection errors.
    pub publish_retry: bool,
    /// How often and how soon publishing is tried again.
    pub publish_retry_policy: PublishRetryPolicy,
    /// Queues to consume and to route to: a list or a dictionary; `None` means the default queue.
    pub queues: Option<Value>,
    /// Nesting depth of the `argsrepr` and `kwargsrepr` headers.
    pub repr_maxlevels: usize,
    /// Where tasks go, by their name: a list or a dictionary.
    pub routes: Option<Value>,
    /// Whether an event tells of each task that is sent.
    pub send_sent_event: bool,
    /// Whether a late acknowledged message goes back to its queue when the child process of its task died.
    pub reject_on_worker_lost: bool,
    /// Whether a task is retried when its child process died.
    pub retry_on_worker_lost: bool,
    /// Serializer of message bodies.
    pub serializer: String,
    /// How often whoever has a message may be lost until it is set aside and not run again; `None` means that it never
    /// is. No setting of Celery's.
    pub max_deliveries: Option<u32>,
    /// How long a task may run until it is asked to stop; `None` means without limit.
    #[serde(serialize_with = "seconds")]
    pub soft_time_limit: Option<Duration>,
    /// How long a task may run until it is stopped; `None` means without limit.
    #[serde(serialize_with = "seconds")]
    pub time_limit: Option<Duration>,
    /// Whether failures are stored although results are ignored.
    pub store_errors_even_if_ignored: bool,
    /// Whether the state STARTED is stored when a task begins.
    pub track_started: bool,
    /// Whether the error callbacks of a chord are linked to each task of its header, too.
    pub allow_error_cb_on_chord_header: bool,
}

/// How often and how soon publishing is tried again.
///
/// Given as a whole: what `task_publish_retry_policy` leaves out is not Celery's default for the setting, but
/// kombu's own (no limit of tries, and one second for each interval).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PublishRetryPolicy {
    /// Tries after the first; `None` means no limit.
    pub max_retries: Option<u32>,
    /// Pause before the second try.
    #[serde(serialize_with = "seconds")]
    pub interval_start: Duration,
    /// What each further pause is longer by.
    #[serde(serialize_with = "seconds")]
    pub interval_step: Duration,
    /// The longest pause.
    #[serde(serialize_with = "seconds")]
    pub interval_max: Duration,
}

impl TaskConfig {
    /// The exchange of the default queue: `task_default_exchange`, or else the queue's name.
    pub fn default_exchange(&self) -> &str {
        self.default_exchange.as_deref().unwrap_or(&self.default_queue)
    }

    /// The routing key of the default queue: `task_default_routing_key`, or else the queue's name.
    pub fn default_routing_key(&self) -> &str {
        self.default_routing_key.as_deref().unwrap_or(&self.default_queue)
    }

    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            acks_late: reader.read("task_acks_late", boolean),
            acks_on_failure_or_timeout: reader.read("task_acks_on_failure_or_timeout", boolean),
            acks_on_failure: reader.read("task_acks_on_failure", optional(boolean)),
            acks_on_timeout: reader.read("task_acks_on_timeout", optional(boolean)),
            annotations: reader.read("task_annotations", optional(annotations)),
            compression: reader.read("task_compression", optional(compression)),
            create_missing_queues: reader.read("task_create_missing_queues", boolean),
            inherit_parent_priority: reader.read("task_inherit_parent_priority", boolean),
            default_delivery_mode: reader.read("task_default_delivery_mode", delivery_mode),
            default_queue: reader.read("task_default_queue", name),
            default_exchange: reader.read("task_default_exchange", optional(read::text)),
            default_routing_key: reader.read("task_default_routing_key", optional(read::text)),
            default_rate_limit: reader.read("task_default_rate_limit", optional(rate_limit)),
            default_priority: reader.read("task_default_priority", optional(integer)),
            ignore_result: reader.read("task_ignore_result", boolean),
            publish_retry: reader.read("task_publish_retry", boolean),
            publish_retry_policy: reader
                .read("task_publish_retry_policy", PublishRetryPolicy::from_value),
            queues: reader.read("task_queues", optional(queues)),
            repr_maxlevels: reader.read("task_repr_maxlevels", integer::<u32>) as usize,
            routes: reader.read("task_routes", optional(routes)),
            send_sent_event: reader.read("task_send_sent_event", boolean),
            reject_on_worker_lost: reader
                .read("task_reject_on_worker_lost", optional(boolean))
                .unwrap_or_default(),
            retry_on_worker_lost: reader.read("task_retry_on_worker_lost", boolean),
            serializer: reader.read("task_serializer", serializer),
            max_deliveries: reader.read("task_max_deliveries", positive),
            soft_time_limit: reader.read("task_soft_time_limit", limit),
            time_limit: reader.read("task_time_limit", limit),
            store_errors_even_if_ignored: reader.read("task_store_errors_even_if_ignored", boolean),
            track_started: reader.read("task_track_started", boolean),
            allow_error_cb_on_chord_header: reader
                .read("task_allow_error_cb_on_chord_header", boolean),
        }
    }
}

impl PublishRetryPolicy {
    fn from_value(value: &Value) -> Parsed<Self> {
        const EXPECTED: &str =
            "a dictionary of `max_retries`, `interval_start`, `interval_step` and `interval_max`";
        let given = value.as_object().ok_or_else(|| EXPECTED.to_owned())?;
        let second = Duration::from_secs(1);
        let mut policy = Self {
            max_retries: None,
            interval_start: second,
            interval_step: second,
            interval_max: second,
        };
        for (key, value) in given {
            let in_key = |expected: String| format!("`{key}` to be {expected}");
            match key.as_str() {
                "max_retries" => {
                    policy.max_retries = optional(integer)(value).map_err(in_key)?;
                }
                "interval_start" => policy.interval_start = read::seconds(value).map_err(in_key)?,
                "interval_step" => policy.interval_step = read::seconds(value).map_err(in_key)?,
                "interval_max" => policy.interval_max = read::seconds(value).map_err(in_key)?,
                // It names Python exception classes; null is what it is when they are left out.
                "retry_errors" if value.is_null() => {}
                _ => return Err(format!("{EXPECTED}, not of `{key}`")),
            }
        }
        Ok(policy)
    }
}

/// Checks the outer shape only: the options themselves are theirs to read.
fn annotations(value: &Value) -> Parsed<Value> {
    let expected = "a dictionary from the name of a task, or a pattern, to its options, or a list of such dictionaries";
    let fits = value.is_object() || value.is_array();
    fits.then(|| value.clone()).ok_or_else(|| expected.to_owned())
}

fn rate_limit(value: &Value) -> Parsed<String> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    let expected = "how many tasks may begin in a second, a minute or an hour, such as `10/s`, `10/m` or `10/h`";
    Rate::parse(&text).map(|_| text).map_err(|_| expected.to_owned())
}

fn delivery_mode(value: &Value) -> Parsed<u8> {
    match value.as_str() {
        Some("persistent") => Some(2),
        Some("transient") => Some(1),
        Some(_) => None,
        None => integer(value).ok().filter(|mode| matches!(mode, 1 | 2)),
    }
    .ok_or_else(|| "2 or `persistent`, or 1 or `transient`".to_owned())
}

/// Checks the outer shape only: the options of a queue are routing's to read.
fn queues(value: &Value) -> Parsed<Value> {
    let named = |queue: &Map<String, Value>| queue.get("name").is_some_and(Value::is_string);
    let fits = match value {
        Value::Array(queues) => {
            queues.iter().all(|queue| queue.is_string() || queue.as_object().is_some_and(named))
        }
        Value::Object(queues) => queues.values().all(|queue| queue.is_object() || queue.is_null()),
        _ => false,
    };
    let expected = "a list of queues (each a name, or a dictionary with a `name`), or a dictionary from name to options";
    fits.then(|| value.clone()).ok_or_else(|| expected.to_owned())
}

/// Checks the outer shape only: the routes themselves are routing's to read.
fn routes(value: &Value) -> Parsed<Value> {
    let fits = match value {
        Value::Object(_) => true,
        Value::Array(routes) => routes.iter().all(|route| route.is_object() || route.is_array()),
        _ => false,
    };
    let expected = "a dictionary from task name to route, or a list of pairs or dictionaries (Python routers cannot be used)";
    fits.then(|| value.clone()).ok_or_else(|| expected.to_owned())
}
