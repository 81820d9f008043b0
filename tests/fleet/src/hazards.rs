//! Tasks that do to their process what no task should do, and others that say where they run.

use std::{process::Command, sync::Mutex};

use celery::prelude::*;
use peers::{Ledger, Space};

/// The process in which the app was built.
#[derive(Clone)]
pub(crate) struct BuiltIn(pub(crate) u32);

#[shared_task(name = "fleet.pid")]
fn pid() -> u32 {
    std::process::id()
}

/// Logs what it is given.
#[shared_task(name = "fleet.say")]
async fn say(words: String) {
    tracing::info!("{words}");
}

/// The process in which the state was made, and the one in which the task runs.
#[shared_task(name = "fleet.builder")]
async fn builder(#[state] builder: BuiltIn) -> (u32, u32) {
    (builder.0, std::process::id())
}

#[shared_task(name = "fleet.isolated", isolate)]
pub(crate) fn isolated() -> u32 {
    std::process::id()
}

/// What became of an attempt to send a task.
#[shared_task(name = "fleet.isolated_send", isolate)]
pub(crate) async fn isolated_send() -> String {
    match crate::tasks::Add::delay(1, 2).await {
        Ok(result) => result.id().to_owned(),
        Err(error) => std::error::Error::source(&error).unwrap_or(&error).to_string(),
    }
}

/// So much text.
#[shared_task(name = "fleet.text")]
fn text(length: usize, given: String) -> String {
    given.repeat(length)
}

#[shared_task(name = "fleet.isolated_abort", isolate)]
fn isolated_abort() {
    std::process::abort();
}

/// Ends its process in the way that is named.
#[shared_task(name = "fleet.die")]
fn die(how: String) {
    end(&how);
}

/// Writes down that it has begun, and ends its worker.
#[shared_task(name = "fleet.kill_worker", acks_late)]
async fn kill_worker(number: u64, how: String, #[state] ledger: Ledger) {
    ledger.begins(number).await;
    end(&how);
}

/// The same, to a child of its worker.
#[shared_task(name = "fleet.kill_child", acks_late, isolate, reject_on_worker_lost)]
async fn kill_child(number: u64, how: String, #[state] ledger: Ledger) {
    ledger.begins(number).await;
    end(&how);
}

/// Ends its process, with hooks that log in which process they are called.
#[shared_task(name = "fleet.die_watched", before_start = begins, on_failure = fails, time_limit = 2)]
fn die_watched(how: String) {
    match how.as_str() {
        "hang" => loop {
            std::hint::spin_loop();
        },
        how => end(how),
    }
}

fn begins(_: &Context) {
    tracing::info!("hook: begins in {}", std::process::id());
}

fn fails(_: &Context, failure: &celery::Failure) {
    tracing::info!("hook: {} in {}", failure.exception.exc_type, std::process::id());
}

/// Ends its process in the way that is named, for the first time only; its message goes back to its queue.
#[shared_task(name = "fleet.die_once", acks_late, reject_on_worker_lost)]
async fn die_once(how: String, #[state] space: Space) -> u64 {
    let runs: u64 = space.redis("INCR", &["{}runs"]).await;
    if runs == 1 {
        end(&how);
    }
    runs
}

/// The same, and it is retried.
#[shared_task(
    name = "fleet.die_and_retry",
    retry_on_worker_lost,
    max_retries = 1,
    default_retry_delay = 0
)]
async fn die_and_retry(deaths: u64, #[state] space: Space) -> u64 {
    let runs: u64 = space.redis("INCR", &["{}runs"]).await;
    if runs <= deaths {
        end("abort");
    }
    runs
}

/// Dies so often, and leaves it to the settings what becomes of it; returns how often it ran and how often it was retried.
#[shared_task(name = "fleet.die_late", bind, acks_late, max_retries = 1, default_retry_delay = 0)]
async fn die_late(task: &Context, deaths: u64, #[state] space: Space) -> (u64, u32) {
    let runs: u64 = space.redis("INCR", &["{}runs"]).await;
    if runs <= deaths {
        end("abort");
    }
    (runs, task.retries())
}

fn end(how: &str) {
    match how {
        "abort" => std::process::abort(),
        "exit" => std::process::exit(3),
        // More than there is: the allocator ends the process.
        "memory" => drop(std::hint::black_box(vec![1_u8; 1 << 46])),
        "panic" => panic!("as it was told"),
        signal => {
            let own = std::process::id().to_string();
            // The first SEGV that no instruction has caused only takes the handler of Rust's own away.
            loop {
                let _ = Command::new("kill").args(["-s", signal, &own]).status();
            }
        }
    }
}

/// Never awaits, and never ends.
#[shared_task(name = "fleet.spin")]
async fn spin(gate: String, #[state] space: Space) {
    space.enter(&gate).await;
    loop {
        std::hint::spin_loop();
    }
}

/// The same, in a process of its own whatever the pool.
#[shared_task(name = "fleet.isolated_spin", isolate)]
async fn isolated_spin(gate: String, #[state] space: Space) {
    space.enter(&gate).await;
    loop {
        std::hint::spin_loop();
    }
}

/// Waits until it is told to stop, and says so.
#[shared_task(name = "fleet.listen", bind)]
async fn listen(task: &Context) -> String {
    task.stopping().await.to_string()
}

static EATEN: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Takes that many MiB and keeps them.
#[shared_task(name = "fleet.eat")]
fn eat(mebibytes: usize) -> u32 {
    EATEN.lock().expect("nobody panics").push(vec![1; mebibytes << 20]);
    std::process::id()
}

/// Ends in the way that is named, on its first run.
#[shared_task(name = "fleet.end", bind)]
async fn end_as(task: &Context, how: String) -> Result<String, TaskError> {
    match how.as_str() {
        "retry" if task.retries() == 0 => Err(task.retry().countdown(0).into()),
        "retry" => Ok("retried".to_owned()),
        "ignore" => Err(Ignore.into()),
        "reject" => Err(Reject::drop("unwanted").into()),
        _ => Err(std::io::Error::other(how).into()),
    }
}

#[shared_task(name = "fleet.again", autoretry_for = [std::num::ParseIntError], default_retry_delay = 0, bind)]
async fn again(task: &Context, number: String) -> Result<i64, TaskError> {
    let number = if task.retries() == 0 { number } else { "7".to_owned() };
    Ok(number.parse::<i64>()?)
}

/// Publishes a task, and a state of its own, and waits at the gate.
#[shared_task(name = "fleet.delegate", bind)]
async fn delegate(
    task: &Context,
    gate: String,
    #[state] space: Space,
) -> Result<String, TaskError> {
    let result = crate::tasks::Add::delay(20, 22).await?;
    task.update_state("PROGRESS", json!({ "sent": result.id() })).await?;
    space.enter(&gate).await;
    space.pass(&gate).await;
    Ok(result.id().to_owned())
}
