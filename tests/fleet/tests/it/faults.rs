//! Real faults: workers that are killed, servers and networks that fail, tasks that kill their worker.
//!
//! Each prints what it counted. They are small here; `cargo xtask soak` runs them at their full size.

mod answers;
mod chords;
mod frozen;
mod killed;
mod load;
mod long;
mod memory;
mod outages;
mod poison;

use std::{env, future::pending, time::Duration};

use tokio::time::timeout;

/// The size of a scenario: the first in the tests, the second where `CELERY_SOAK` is set.
pub(crate) fn size<T>(small: T, large: T) -> T {
    if env::var_os("CELERY_SOAK").is_some() { large } else { small }
}

/// What its choices are drawn from: `CELERY_SEED`, to repeat a run, or anything.
pub(crate) fn seed() -> u64 {
    match env::var("CELERY_SEED") {
        Ok(seed) => seed.parse().expect("CELERY_SEED is a number"),
        Err(_) => fastrand::u64(..),
    }
}

/// Prints a line of counts.
#[expect(clippy::print_stdout, reason = "the counts are what a soak is for")]
pub(crate) fn report(scenario: &str, counts: &[(&str, u64)]) {
    let counts: Vec<String> =
        counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    println!("{scenario}: {}", counts.join(", "));
}

/// Lets a fault last for so long. Nothing waits for it to be over.
pub(crate) async fn last(time: Duration) {
    let _ = timeout(time, pending::<()>()).await;
}
