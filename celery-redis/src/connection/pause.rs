//! The pauses between attempts, and how long they go on.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::Fault;

/// The first pause, at most.
const SHORTEST: Duration = Duration::from_millis(20);
/// What no pause exceeds: a server that is back is noticed so soon.
const LONGEST: Duration = Duration::from_secs(1);

/// The pauses between attempts: short at first, at most a second, and each a bit shorter by chance, so that those who
/// lost a server together do not come back to it together.
#[derive(Debug, Default)]
pub(crate) struct Pause(u32);

impl Pause {
    /// How often it has been waited.
    pub(crate) fn count(&self) -> u32 {
        self.0
    }

    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.next()).await;
    }

    /// How long the next one is.
    pub(crate) fn next(&mut self) -> Duration {
        let most = SHORTEST.saturating_mul(1 << self.0.min(16)).min(LONGEST);
        self.0 = self.0.saturating_add(1);
        most.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

/// Attempts with pauses between them, for a time that is counted from the first that failed.
#[derive(Debug)]
pub(crate) struct Patience {
    limit: Duration,
    since: Option<Instant>,
    pause: Pause,
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, since: None, pause: Pause::default() }
    }

    /// Waits until it is time for another attempt after one that failed so; what cannot succeed, or not in the time
    /// that there is, comes back as the error.
    pub(crate) async fn wait(&mut self, fault: Fault) -> Result<(), Fault> {
        if !fault.is_connection() {
            return Err(fault);
        }
        let waited = self.since.get_or_insert_with(Instant::now).elapsed();
        if waited >= self.limit {
            return Err(fault.after(waited, self.pause.count() + 1));
        }
        tracing::debug!("{fault}; trying again");
        self.pause.wait().await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_second_and_differ() {
        let mut pause = Pause::default();
        let first = pause.next();
        assert!((SHORTEST / 2..=SHORTEST).contains(&first), "{first:?}");
        let later: Vec<_> = (0..50).map(|_| pause.next()).collect();
        assert!(later[10..].iter().all(|it| (LONGEST / 2..=LONGEST).contains(it)), "{later:?}");
        assert!(later[10..].windows(2).any(|two| two[0] != two[1]), "{later:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_after_its_time_and_says_how_long_that_was() {
        let mut patience = Patience::new(Duration::from_secs(4));
        let began = Instant::now();
        let gave_up = loop {
            if let Err(fault) = patience.wait(Fault::connection("there", "gone")).await {
                break fault;
            }
        };
        let took = began.elapsed();
        assert!((4.0..5.5).contains(&took.as_secs_f64()), "{took:?}");
        let said = gave_up.to_string();
        let after = said.strip_prefix("there: gone (given up after ").unwrap();
        // The last pause may bring it to five seconds.
        assert!(after.starts_with("4.") || after.starts_with("5.0"), "{said}");
        assert!(gave_up.is_connection());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_is_not_waited_for() {
        let mut patience = Patience::new(Duration::from_secs(4));
        let began = Instant::now();
        assert!(patience.wait(Fault::refused("there", "no")).await.is_err());
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
