//! The tasks of our workers; and those of the Python workers, as we call them.

use std::{fmt, time::Duration};

use celery::{prelude::*, remote_task};
use celery_core::{exception::Exception, task::Failure, value::python};
use jiff::Timestamp;
use peers::Space;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

#[shared_task(name = "rs.add")]
pub(super) fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[shared_task(name = "rs.mul")]
pub(super) async fn mul(x: i64, y: i64) -> i64 {
    x * y
}

#[shared_task(name = "rs.echo")]
pub(super) fn echo(value: Option<Value>) -> Option<Value> {
    value
}

/// One of every type that Python has and JSON lacks.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Kinds {
    pub(super) aware: python::DateTime,
    pub(super) naive: python::DateTime,
    pub(super) day: python::Date,
    pub(super) hour: python::Time,
    pub(super) price: python::Decimal,
    pub(super) id: python::Uuid,
    pub(super) text: python::Bytes,
    pub(super) binary: python::Bytes,
}

/// Reads each into its Rust type, and gives each back.
#[shared_task(name = "rs.kinds")]
pub(super) fn echo_kinds(values: Kinds) -> Kinds {
    values
}

/// What the message said.
#[shared_task(name = "rs.request", bind)]
pub(super) fn request(task: &Context) -> Value {
    let message = task.request();
    let headers = &message.headers;
    json!({
        "headers": message.extra_headers, "retries": headers.retries, "timelimit": headers.timelimit,
        "shadow": headers.shadow, "root_id": headers.root_id, "parent_id": headers.parent_id, "id": message.id,
        "argsrepr": headers.argsrepr, "ignore_result": headers.ignore_result, "origin": headers.origin,
        "routing_key": message.delivery_info.routing_key, "exchange": message.delivery_info.exchange,
        "priority": message.priority,
    })
}

/// Fails with an exception of that class.
#[shared_task(name = "rs.fail")]
pub(super) fn fail(module: String, class: String, arguments: Vec<Value>) -> Result<(), TaskError> {
    let exception = Exception { exc_type: class, exc_module: module, exc_message: arguments };
    Err(Failure::new(exception).into())
}

/// An error of ours, of which Python knows nothing.
#[derive(Debug)]
pub(super) struct OutOfTea;

impl fmt::Display for OutOfTea {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no tea left")
    }
}

impl std::error::Error for OutOfTea {}

#[shared_task(name = "rs.make_tea")]
pub(super) fn make_tea() -> Result<String, OutOfTea> {
    Err(OutOfTea)
}

#[shared_task(name = "rs.panics")]
pub(super) fn panics(text: String) {
    panic!("{text}");
}

#[shared_task(name = "rs.retry_once", bind, max_retries = 3)]
pub(super) fn retry_once(
    task: &Context,
    value: Value,
    countdown: Option<f64>,
) -> Result<Value, TaskError> {
    if task.retries() == 0 {
        return Err(task.retry().countdown(countdown.unwrap_or(0.0)).cause(OutOfTea).into());
    }
    Ok(json!([value, task.retries()]))
}

#[shared_task(name = "rs.exhaust", bind, max_retries = 0)]
pub(super) fn exhaust(task: &Context) -> Result<(), TaskError> {
    Err(task.retry().countdown(0).into())
}

#[shared_task(name = "rs.ignore")]
pub(super) fn end_without_trace() -> Result<(), TaskError> {
    Err(Ignore.into())
}

#[shared_task(name = "rs.progress", bind)]
pub(super) async fn progress(
    task: &Context,
    gate: String,
    #[state] space: Space,
) -> Result<String, TaskError> {
    task.update_state("PROGRESS", json!({ "done": 1, "total": 2 })).await?;
    space.pass(&gate).await;
    Ok("arrived".to_owned())
}

#[shared_task(name = "rs.tracked", track_started)]
pub(super) async fn tracked(gate: String, #[state] space: Space) -> String {
    space.pass(&gate).await;
    "passed".to_owned()
}

/// Says that it runs, and waits.
#[shared_task(name = "fleet.held", acks_late)]
pub(super) async fn fleet_held(gate: String, #[state] space: Space) -> String {
    space.enter(&gate).await;
    space.pass(&gate).await;
    "rust".to_owned()
}

#[shared_task(name = "rs.endless")]
pub(super) async fn endless() {
    std::future::pending::<()>().await;
}

/// Tidies up when it is told to stop.
#[shared_task(name = "rs.tidy", bind)]
pub(super) async fn tidy(task: &Context) -> String {
    task.stopping().await;
    "tidied up".to_owned()
}

/// Writes down that it ran.
#[shared_task(name = "rs.note")]
pub(super) async fn note(value: String, #[state] space: Space) -> String {
    let _: u64 = space.redis("RPUSH", &["{}noted", &value]).await;
    value
}

/// The task that both sides have: each run is written down.
#[shared_task(name = "fleet.count")]
pub(super) async fn count(number: u64, #[state] space: Space) -> u64 {
    let _: u64 = space.redis("RPUSH", &["{}counted", &format!("rs {number}")]).await;
    number
}

/// How late it is for what was to run at that time.
#[shared_task(name = "rs.due")]
pub(super) fn due(sent_for: f64) -> f64 {
    seconds_now() - sent_for
}

/// The time, as Python's `time.time()`.
pub(super) fn seconds_now() -> f64 {
    let now = celery_core::clock::now().duration_since(Timestamp::UNIX_EPOCH);
    Duration::try_from(now).expect("it is after 1970").as_secs_f64()
}

#[remote_task(name = "proj.tasks.add", queue = "py")]
pub(super) async fn py_add(x: i64, y: i64) -> i64;

#[remote_task(name = "proj.tasks.mul", queue = "py")]
pub(super) async fn py_mul(x: i64, y: i64) -> i64;

#[remote_task(name = "proj.tasks.request", queue = "py")]
pub(super) async fn py_request() -> Map<String, Value>;
