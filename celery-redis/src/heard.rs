//! When the server has last heard of this process, and whether others may have taken it for dead meanwhile.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// Signs of life that have arrived, by a clock that goes on while the process is stopped.
#[derive(Debug)]
pub(crate) struct Heard {
    began: Instant,
    /// After which silence others take us for dead, less a second: the server's books count whole ones.
    timeout: Duration,
    /// The last sign of life that arrived, in milliseconds since `began`. It was sent earlier than that, which is what
    /// counts, so it is noted with the time of its sending.
    last: AtomicU64,
    silences: AtomicU64,
}

impl Heard {
    pub(crate) fn new(worker_timeout: Duration) -> Self {
        let timeout = worker_timeout.saturating_sub(Duration::from_secs(1));
        Self {
            began: Instant::now(),
            timeout,
            last: AtomicU64::new(0),
            silences: AtomicU64::new(0),
        }
    }

    /// A sign of life that was sent then has arrived.
    pub(crate) fn note(&self, sent: Instant) {
        let sent = sent.saturating_duration_since(self.began);
        let millis = u64::try_from(sent.as_millis()).unwrap_or(u64::MAX);
        let before = self.last.fetch_max(millis, Ordering::AcqRel);
        if sent.saturating_sub(Duration::from_millis(before)) > self.timeout {
            self.silences.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// How often the server has not heard of us for too long.
    pub(crate) fn silences(&self) -> u64 {
        self.silences.load(Ordering::Acquire)
    }

    /// Whether it may have been so since it had been so often.
    pub(crate) fn may_have_been_silent_since(&self, silences: u64) -> bool {
        let last = Duration::from_millis(self.last.load(Ordering::Acquire));
        self.silences() != silences || self.began.elapsed().saturating_sub(last) > self.timeout
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_was_silent_for_too_long_may_have_lost_what_it_had_then() {
        let heard = Heard::new(Duration::from_secs(30));
        heard.note(Instant::now());
        let before = heard.silences();
        advance(Duration::from_secs(28)).await;
        assert!(!heard.may_have_been_silent_since(before));
        heard.note(Instant::now());
        advance(Duration::from_secs(28)).await;
        assert!(!heard.may_have_been_silent_since(before));
        advance(Duration::from_secs(2)).await;
        assert!(heard.may_have_been_silent_since(before));
        // It is heard of again: what it fetches from now on is its own, and the rest stays in doubt.
        heard.note(Instant::now());
        assert!(heard.may_have_been_silent_since(before));
        assert!(!heard.may_have_been_silent_since(heard.silences()));
    }
}
