//! The one clock: every part reads the wall clock here.
//!
//! It is the system's, shifted by how far tokio's clock has parted from the system's steady one. They are
//! together except in a test that pauses or advances tokio's clock, and there the wall clock stands still and
//! leaps with it, so that countdowns, expiry and results agree with the timers.

mod logical;

use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;

pub use logical::LogicalClock;

/// The time now.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the system's clocks"
)]
pub fn now() -> Timestamp {
    let wall = Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH);
    let (steady, tokio) = (Instant::now(), tokio::time::Instant::now().into_std());
    // The two are read one after the other, so a difference below this is the time between the readings.
    const READING: Duration = Duration::from_millis(1);
    match (tokio.checked_duration_since(steady), steady.checked_duration_since(tokio)) {
        (Some(ahead), _) if ahead > READING => wall + ahead,
        (_, Some(behind)) if behind > READING => wall - behind,
        _ => wall,
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
}
