//! The one clock: every part reads the wall clock here.
//!
//! It is the system's. Where tokio's clock has parted from the system's steady one, which it does in a test that pauses or
//! advances it, the wall clock stands still and leaps with tokio's, to the nanosecond, so that countdowns, expiry and
//! results agree with the timers.

mod logical;

use std::{
    sync::OnceLock,
    time::{Duration, Instant, SystemTime},
};

use jiff::Timestamp;

pub use logical::LogicalClock;

/// The time now.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the system's clocks"
)]
pub fn now() -> Timestamp {
    /// What the wall clock showed at some moment. Both clocks go on from there together, however busy the machine is.
    static TOGETHER: OnceLock<(Timestamp, Instant)> = OnceLock::new();
    let wall = || Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH);
    // Read between two readings of it, tokio's clock is the steady one unless it has parted from it.
    let before = Instant::now();
    let tokio = tokio::time::Instant::now().into_std();
    if (before..=Instant::now()).contains(&tokio) {
        return wall();
    }
    let (wall, steady) = *TOGETHER.get_or_init(|| (wall(), Instant::now()));
    match tokio.checked_duration_since(steady) {
        Some(ahead) => wall + ahead,
        None => wall - steady.duration_since(tokio),
    }
}

/// How long it is until `at`: zero when that has passed.
pub fn until(at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_wall_clock_leaps_with_a_paused_clock() {
        let before = now();
        tokio::time::advance(Duration::from_secs(3600)).await;
        let leapt = now().duration_since(before).as_secs();
        assert!((3599..=3601).contains(&leapt), "leapt {leapt} s");
    }

    #[tokio::test(start_paused = true)]
    async fn while_it_is_paused_the_wall_clock_moves_with_the_timers_alone() {
        let before = now();
        for _ in 0..1000 {
            assert_eq!(now(), before);
        }
        tokio::time::advance(Duration::from_millis(250)).await;
        assert_eq!(now().duration_since(before).as_millis(), 250);
    }
}
