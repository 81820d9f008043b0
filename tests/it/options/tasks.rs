//! Tasks of one option each, and what their options call.

use std::fmt;

use celery::prelude::*;
use serde_json::Map;

use crate::{
    harness::Probe,
    tasks::{Add, OutOfCheese, request},
};

/// Sent as its options say, it returns its request.
#[shared_task(
    bind,
    priority = 6,
    serializer = "msgpack",
    compression = "zstd",
    expires = 60,
    shadow = "a shadow"
)]
pub(super) async fn sent(task: &Context, value: Value) -> Value {
    let _ = value;
    request(task)
}

#[shared_task(bind, shadow_name = named, shadow = "nobody")]
pub(super) async fn shadowed(task: &Context, name: String) -> Value {
    let _ = name;
    request(task)
}

/// Which name a call is shown by.
fn named(args: &[Value], kwargs: &Map<String, Value>) -> Option<String> {
    let name = args.first().or(kwargs.get("name"))?.as_str()?;
    (!name.is_empty()).then(|| format!("shadowed by {name}"))
}

#[shared_task(throws = [OutOfCheese])]
pub(super) async fn throws(what: String) -> Result<(), TaskError> {
    match &*what {
        "cheese" => Err(OutOfCheese(what).into()),
        _ => Err(std::io::Error::other(what).into()),
    }
}

/// Sends a task, of which no trail is kept.
#[shared_task(trail = false)]
pub(super) async fn trackless() -> Result<(), TaskError> {
    Add::delay(1, 1).await?;
    Ok(())
}

#[shared_task]
pub(super) async fn trails() -> Result<(), TaskError> {
    Add::delay(1, 1).await?;
    Ok(())
}

#[shared_task(resultrepr_maxsize = 20)]
pub(super) async fn verbose() -> String {
    "one two three four five six seven".to_owned()
}

#[shared_task(acks_late = true, acks_on_failure_or_timeout = false)]
pub(super) async fn unacknowledged() -> Result<(), OutOfCheese> {
    Err(OutOfCheese("luck".to_owned()))
}

#[shared_task(acks_late, acks_on_failure_or_timeout = false, time_limit = 7)]
pub(super) async fn hard_unacknowledged(#[state] probe: Probe) {
    probe.note("hard_unacknowledged");
    std::future::pending::<()>().await;
}

#[shared_task(acks_late, acks_on_failure_or_timeout = false, acks_on_failure)]
pub(super) async fn acknowledged() -> Result<(), OutOfCheese> {
    Err(OutOfCheese("luck".to_owned()))
}

/// Retried after the delay of its own.
#[shared_task(bind, default_retry_delay = 7, max_retries = 1)]
pub(super) async fn delayed(task: &Context) -> Result<u32, TaskError> {
    if task.retries() == 0 { Err(task.retry().into()) } else { Ok(task.retries()) }
}

#[shared_task(autoretry_for = [Wrapped], dont_autoretry_for = [OutOfCheese], max_retries = 5)]
pub(super) async fn never_retried() -> Result<(), Wrapped> {
    Err(Wrapped(OutOfCheese("luck".to_owned())))
}

/// An error with another behind it.
#[derive(Debug)]
pub(super) struct Wrapped(OutOfCheese);

impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it failed")
    }
}

impl std::error::Error for Wrapped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[shared_task(track_started = false)]
pub(super) async fn untracked() {
    std::future::pending::<()>().await;
}

/// All of its options come from the settings.
#[shared_task(bind)]
pub(super) async fn plain(task: &Context) -> Result<Value, TaskError> {
    match task.retries() {
        0 => Err(task.retry().into()),
        _ => Ok(request(task)),
    }
}

/// A task that other workers run.
#[remote_task(name = "elsewhere.resize", queue = "images")]
pub(super) async fn resize(path: String) -> String;
