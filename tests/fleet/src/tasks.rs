//! Tasks of every kind that a worker may have to deal with.

use std::{future::pending, time::Duration};

use celery::prelude::*;
use peers::{Ledger, Space};
use tokio::time::timeout;

#[shared_task(name = "fleet.add")]
pub(crate) fn add(x: i64, y: i64) -> i64 {
    x + y
}

/// Stands at a gate until the test opens it.
#[shared_task(name = "fleet.hold")]
async fn hold(gate: String, #[state] space: Space) -> String {
    space.enter(&gate).await;
    space.pass(&gate).await;
    gate
}

/// The same, acknowledged when it is done.
#[shared_task(name = "fleet.hold_late", acks_late)]
async fn hold_late(gate: String, #[state] space: Space) -> String {
    space.enter(&gate).await;
    space.pass(&gate).await;
    gate
}

/// Takes its time, and writes down when it begins and when it has come to its end.
#[shared_task(name = "fleet.work")]
async fn work(number: u64, milliseconds: u64, #[state] ledger: Ledger) -> u64 {
    ledger.begins(number).await;
    // Nothing comes before its time is over.
    let _ = timeout(Duration::from_millis(milliseconds), pending::<()>()).await;
    ledger.ends(number).await;
    number
}

/// A part of a chord: fails for a number below 0.
#[shared_task(name = "fleet.part")]
async fn part(number: i64) -> Result<i64, TaskError> {
    if number < 0 { Err(std::io::Error::other(format!("bad {number}")).into()) } else { Ok(number) }
}

/// The body of a chord: writes down that it ran, and returns what it was given.
#[shared_task(name = "fleet.gather")]
async fn gather(results: Value, chord: String, #[state] space: Space) -> Value {
    space.redis::<()>("RPUSH", &["{}gathered", &format!("rs {chord}")]).await;
    results
}

/// The error callback of a body.
#[shared_task(name = "fleet.told")]
async fn told(id: String, #[state] space: Space) {
    space.redis::<()>("RPUSH", &["{}told", &id]).await;
}
