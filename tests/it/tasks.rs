//! The tasks of the whole-circle tests.

use std::{
    fmt,
    sync::{Condvar, Mutex},
    time::Duration,
};

use celery::prelude::*;

use crate::harness::Probe;

/// An error of the tasks' own.
#[derive(Debug)]
pub(super) struct OutOfCheese(pub(super) String);

impl fmt::Display for OutOfCheese {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no {}", self.0)
    }
}

impl std::error::Error for OutOfCheese {}

#[shared_task]
pub(super) fn add(x: i64, y: i64) -> i64 {
    x + y
}

/// The task of Celery's captures, which is called by messages alone.
#[shared_task(name = "wireapp.add")]
pub(super) async fn wire_add(x: i64, y: i64, #[state] probe: Probe) -> i64 {
    probe.note("run");
    x + y
}

#[shared_task]
pub(super) async fn mul(x: i64, y: i64) -> i64 {
    x * y
}

#[shared_task]
pub(super) async fn echo(value: Value) -> Value {
    value
}

#[shared_task]
pub(super) async fn greet(
    name: String,
    #[default = "hello".to_owned()] word: String,
    end: Option<String>,
) -> String {
    format!("{word} {name}{}", end.unwrap_or_default())
}

/// Notes what it was called with.
#[shared_task(bind)]
pub(super) async fn note(task: &Context, value: Value, #[state] probe: Probe) -> Value {
    probe.note(json!({ "note": value, "request": request(task) }));
    value
}

/// What a task sees of its request.
pub(super) fn request(task: &Context) -> Value {
    let request = task.request();
    let headers = &request.headers;
    let mut added = task.headers().clone();
    // kombu's word for a message that was out before, as one is that waited until it was due.
    added.remove("redelivered");
    json!({
        "id": task.id(),
        "task": task.task_name(),
        "args": request.args,
        "kwargs": request.kwargs,
        "root_id": headers.root_id,
        "parent_id": headers.parent_id,
        "group": headers.group,
        "group_index": headers.group_index,
        "retries": task.retries(),
        "eta": headers.eta,
        "expires": headers.expires,
        "timelimit": [headers.timelimit.0, headers.timelimit.1],
        "shadow": headers.shadow,
        "ignore_result": headers.ignore_result,
        "argsrepr": headers.argsrepr,
        "kwargsrepr": headers.kwargsrepr,
        "headers": added,
        "hostname": task.hostname(),
        "reply_to": request.reply_to,
        "correlation_id": request.correlation_id,
        "priority": request.priority,
        "expiration": request.expiration,
        "routing_key": request.delivery_info.routing_key,
        "redelivered": request.delivery_info.redelivered,
        "content_type": request.content_type,
        "compression": request.compression,
        "chain": request.embed.chain,
    })
}

#[shared_task]
pub(super) async fn fail(what: String) -> Result<i64, OutOfCheese> {
    Err(OutOfCheese(what))
}

#[shared_task(acks_late, acks_on_failure = false)]
pub(super) async fn fail_unacknowledged() -> Result<(), OutOfCheese> {
    Err(OutOfCheese("ack".to_owned()))
}

/// Waits at the gate, and notes when it is begun, ended, or dropped in between.
#[shared_task(bind)]
pub(super) async fn hold(task: &Context, name: String, #[state] probe: Probe) -> String {
    stay(task, name, &probe).await
}

#[shared_task(bind, acks_late)]
pub(super) async fn hold_late(task: &Context, name: String, #[state] probe: Probe) -> String {
    stay(task, name, &probe).await
}

async fn stay(task: &Context, name: String, probe: &Probe) -> String {
    let _inside = probe.enter();
    let mut guard = Guard { name: name.clone(), probe: probe.clone(), ended: false };
    let again = if task.request().delivery_info.redelivered { " again" } else { "" };
    probe.note(format!("begin {name}{again}"));
    probe.pass().await;
    guard.ended = true;
    probe.note(format!("end {name}"));
    name
}

/// The same on a thread.
#[shared_task(bind)]
pub(super) fn hold_thread(task: &Context, name: String, #[state] probe: Probe) -> String {
    task.block_on(stay(task, name, &probe))
}

/// Tells of a task that is dropped before its end.
struct Guard {
    name: String,
    probe: Probe,
    ended: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.ended {
            self.probe.note(format!("dropped {}", self.name));
        }
    }
}

#[shared_task(bind, track_started)]
pub(super) async fn progress(task: &Context, #[state] probe: Probe) -> Result<String, TaskError> {
    probe.note("started");
    probe.pass().await;
    task.update_state("PROGRESS", json!({ "done": 1, "total": 2 })).await?;
    probe.note("progressed");
    probe.pass().await;
    Ok("done".to_owned())
}

#[shared_task(soft_time_limit = 5)]
pub(super) async fn soft(#[state] probe: Probe) {
    stay_for_ever("soft", &probe).await;
}

async fn stay_for_ever(name: &str, probe: &Probe) {
    let _guard = Guard { name: name.to_owned(), probe: probe.clone(), ended: false };
    probe.note(format!("begin {name}"));
    std::future::pending::<()>().await;
}

#[shared_task(bind, soft_time_limit = 5, time_limit = 60)]
pub(super) async fn soft_observed(task: &Context) -> String {
    task.stopping().await.to_string()
}

#[shared_task(bind, soft_time_limit = 5, time_limit = 9)]
pub(super) async fn soft_ignored(task: &Context, #[state] probe: Probe) {
    task.stopping().await;
    stay_for_ever("soft_ignored", &probe).await;
}

#[shared_task(bind, soft_time_limit = 5)]
pub(super) async fn soft_raised(task: &Context) -> Result<(), SoftTimeLimitExceeded> {
    Err(task.stopping().await)
}

#[shared_task(time_limit = 7)]
pub(super) async fn hard(#[state] probe: Probe) {
    stay_for_ever("hard", &probe).await;
}

#[shared_task(acks_late, acks_on_timeout = false, time_limit = 7)]
pub(super) async fn hard_requeued(#[state] probe: Probe) {
    stay_for_ever("hard_requeued", &probe).await;
}

/// Panics while it is dropped at its limit.
#[shared_task(time_limit = 3, acks_late)]
pub(super) async fn hard_panics() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped badly");
        }
    }
    let _bomb = Bomb;
    std::future::pending::<()>().await;
}

/// A function cannot be stopped: it goes on, in its slot, until it looks.
#[shared_task(bind, time_limit = 3)]
pub(super) fn hard_thread(task: &Context, #[state] probe: Probe) {
    probe.note("begin hard_thread");
    task.block_on(probe.pass());
    probe.note(format!("stopping {}", task.is_stopping()));
}

#[shared_task]
pub(super) async fn panics() {
    panic!("at the disco");
}

#[shared_task]
pub(super) fn panics_on_a_thread(what: String) {
    panic!("at the {what}");
}

#[shared_task]
pub(super) async fn panics_with_a_value() {
    std::panic::panic_any(42);
}

#[shared_task]
pub(super) async fn ignores() -> Result<(), TaskError> {
    Err(Ignore.into())
}

#[shared_task(acks_late)]
pub(super) async fn rejects() -> Result<(), TaskError> {
    Err(Reject::drop("because").into())
}

#[shared_task(bind, acks_late)]
pub(super) async fn rejects_once(task: &Context) -> Result<String, TaskError> {
    match task.request().delivery_info.redelivered {
        true => Ok("second time".to_owned()),
        false => Err(Reject::requeue("later").into()),
    }
}

/// Calls another task.
#[shared_task(bind)]
pub(super) async fn spawn(_task: &Context, x: i64) -> Result<i64, TaskError> {
    Add::delay(x, 1).await?;
    Ok(x)
}

#[shared_task(bind)]
pub(super) fn spawn_on_a_thread(task: &Context, x: i64) -> Result<i64, TaskError> {
    task.block_on(Add::delay(x, 1))?;
    Ok(x)
}

/// Tells of itself by an event of its own.
#[shared_task(bind)]
pub(super) async fn outspoken(task: &Context) -> Result<(), TaskError> {
    task.send_event("task-progress", |event| _ = event.add("done", 3)).await?;
    Ok(())
}

/// Of which no event tells.
#[shared_task(send_events = false)]
pub(super) async fn discreet() {}

#[shared_task(ignore_result)]
pub(super) async fn ignored(x: i64) -> i64 {
    x
}

#[shared_task(ignore_result, store_errors_even_if_ignored)]
pub(super) async fn ignored_but_errors() -> Result<(), OutOfCheese> {
    Err(OutOfCheese("result".to_owned()))
}

/// Fails as often as it is told to, and is retried by itself.
#[shared_task(bind, autoretry_for = [OutOfCheese], max_retries = 5, retry_backoff_factor = 2, retry_jitter = false)]
pub(super) async fn flaky(
    task: &Context,
    failures: u32,
    #[state] probe: Probe,
) -> Result<u32, OutOfCheese> {
    probe.note(request(task));
    if task.retries() < failures { Err(OutOfCheese("luck".to_owned())) } else { Ok(task.retries()) }
}

#[shared_task(bind, autoretry_for = [OutOfCheese], max_retries = 1, retry_backoff_factor = 100_000, retry_backoff_max = 86_400)]
pub(super) async fn flaky_with_jitter(
    task: &Context,
    #[state] probe: Probe,
) -> Result<(), OutOfCheese> {
    probe.note(task.retries());
    Err(OutOfCheese("luck".to_owned()))
}

/// Asks to be retried, in the way that it is told to.
#[shared_task(bind, max_retries = 2)]
pub(super) async fn asks(
    task: &Context,
    how: String,
    #[state] probe: Probe,
) -> Result<String, TaskError> {
    probe.note(request(task));
    let retry = task.retry();
    Err(match &*how {
        "default" => retry,
        "tomorrow" => retry.countdown(86_400),
        "cause" => retry.countdown(1).cause(OutOfCheese("time".to_owned())),
        "often" => retry.countdown(1).max_retries(4),
        "ages" => retry.countdown(1e18),
        "other args" => retry.countdown(1).args(vec![json!("done")]),
        _ => return Ok(how),
    }
    .into())
}

/// Keeps its thread to itself until [`LetGo`] runs.
#[shared_task]
pub(super) async fn hold_the_thread() -> bool {
    let held = GATE.0.lock().expect("no test panics with it");
    let wait = GATE.1.wait_timeout_while(held, Duration::from_secs(20), |open| !*open);
    *wait.expect("no test panics with it").0
}

#[shared_task]
pub(super) async fn let_go() {
    *GATE.0.lock().expect("no test panics with it") = true;
    GATE.1.notify_all();
}

static GATE: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
