//! Tasks of every kind that a worker may have to deal with.

use celery::prelude::*;
use peers::Space;

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
