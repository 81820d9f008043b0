//! The logical clock of an app: Lamport's, by which the messages of a fleet are put in order.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter that runs ahead of every count it has seen. Remote control and events carry its readings.
///
/// ```
/// use celery_core::clock::LogicalClock;
///
/// let clock = LogicalClock::default();
/// assert_eq!(clock.forward(), 1);
/// assert_eq!(clock.adjust(41), 42);
/// assert_eq!(clock.adjust(7), 43);
/// ```
#[derive(Debug, Default)]
pub struct LogicalClock(AtomicU64);

impl LogicalClock {
    /// Counts on, for a message to be sent, and returns the count.
    pub fn forward(&self) -> u64 {
        self.adjust(0)
    }

    /// Takes in the count of a message received, and returns a count past both.
    pub fn adjust(&self, other: u64) -> u64 {
        let past = |own: u64| own.max(other).saturating_add(1);
        let own = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |own| Some(past(own)));
        past(own.unwrap_or_else(|own| own))
    }

    /// The count as it is.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
