//! What workers answer.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de::Error as _};

use super::revoked;
use crate::value::{Map, Value};

/// A task that a worker holds.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct TaskInfo {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its positional arguments; text with `safe`, and of Celery 4.
    pub args: Value,
    /// Its keyword arguments; text with `safe`, and of Celery 4.
    pub kwargs: Value,
    /// The node name of the worker.
    pub hostname: String,
    /// Since when it runs, in seconds since 1970.
    pub time_start: Option<f64>,
    /// Whether its message has been acknowledged.
    pub acknowledged: bool,
    /// Where its message went: `exchange`, `routing_key`, `priority`, `redelivered`.
    pub delivery_info: Map,
    /// The process that runs it.
    pub worker_pid: Option<u32>,
}

/// A task that waits until it is due.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct ScheduledTask {
    /// When it is due, as an ISO 8601 date.
    pub eta: Option<String>,
    /// Its priority among what waits.
    pub priority: i64,
    /// The task.
    pub request: TaskInfo,
}

/// What a task is doing, as `query_task` tells: the word `active`, `reserved`, `scheduled` or `ready`, and the task.
pub type KnownTask = (String, TaskInfo);

/// What a worker has done, and what it uses.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Stats {
    /// How many of each task have begun.
    pub total: BTreeMap<String, u64>,
    /// Its process.
    pub pid: u32,
    /// Its logical clock.
    #[serde(deserialize_with = "number_in_text")]
    pub clock: u64,
    /// For how many seconds it has been running.
    #[serde(default)]
    pub uptime: u64,
    /// What runs the tasks.
    pub pool: Map,
    /// The bounds of a pool that grows and shrinks by itself.
    #[serde(default)]
    pub autoscaler: Option<Map>,
    /// Where the broker is.
    pub broker: Map,
    /// How many messages it holds at most; 0 is any number.
    pub prefetch_count: u64,
    /// What the process has used, as the system tells.
    pub rusage: Value,
}

/// A queue that a worker consumes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct ActiveQueue {
    /// Its name.
    pub name: String,
    /// Its exchange: `name`, `type`, and what else there is to it.
    pub exchange: Map,
    /// The key that it is bound with.
    pub routing_key: String,
    /// All else.
    #[serde(flatten)]
    pub rest: Map,
}

/// A logical clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ClockReading {
    /// What it reads.
    pub clock: u64,
}

/// What a worker tells another one that starts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Hello {
    /// The ids of revoked tasks, the oldest first.
    #[serde(deserialize_with = "ids")]
    pub revoked: Vec<String>,
    /// Its logical clock.
    pub clock: u64,
}

fn number_in_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let number = value.as_str().map_or_else(|| value.as_u64(), |text| text.parse().ok());
    number.ok_or_else(|| D::Error::custom("a clock is a number"))
}

/// A list of ids; Celery 5.6 and before send an object, from ids to times that mean nothing here.
fn ids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Value::deserialize(deserializer).map(|revoked| revoked::ids(&revoked).into_iter().collect())
}
