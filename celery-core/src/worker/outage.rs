//! How a worker bears that its broker is gone: how long it waits before it looks again, and when it gives up.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Shutdown, node::Node};
use crate::{broker::BrokerError, config::BrokerConfig, error::Error};

/// A connection that held this long was a sound one: the next loss is counted anew.
const LASTING: Duration = Duration::from_secs(60);

/// The second pause, at most; the first attempt is made at once.
const SHORTEST: Duration = Duration::from_millis(100);
/// What no pause exceeds: a broker that is back is noticed so soon.
const LONGEST: Duration = Duration::from_secs(1);

/// What is known of the connection while there is none.
#[derive(Debug, Default)]
pub(super) struct Outage {
    /// When the first of the attempts in a row failed.
    since: Option<Instant>,
    /// Attempts that failed in a row.
    failures: u32,
    /// How many of kombu's pauses would have passed meanwhile, at the last time that it was told.
    told: Option<u32>,
    /// Whether there has ever been a connection.
    established: bool,
}

impl Outage {
    /// There is a connection.
    pub(super) fn connected(&mut self) {
        self.established = true;
    }

    /// A connection that was made then is gone.
    pub(super) fn lost(&mut self, made: Instant) {
        if made.elapsed() >= LASTING {
            self.over();
        }
    }

    /// The broker has shown that it is there.
    pub(super) fn over(&mut self) {
        (self.since, self.failures, self.told) = (None, 0, None);
    }

    /// Waits before the next attempt, longer each time, or gives up as the settings say.
    ///
    /// Before there was any connection, only a fault of the connection is worth another attempt: what the broker
    /// refuses then is a mistake in the settings. Later it is a broker in trouble, which a worker outlasts.
    pub(super) async fn pause(
        &mut self,
        error: &Error,
        node: &Node,
        shutdown: &Shutdown,
    ) -> Result<(), Error> {
        let config = &node.app.config().broker;
        let since = *self.since.get_or_insert_with(Instant::now);
        let retries = if self.established {
            config.connection_retry
        } else {
            config.retries_on_startup()
                && matches!(error, Error::Broker(BrokerError::ConnectionLost(_)))
        };
        if !retries || gives_up(config, self.failures, since.elapsed()) {
            return Err(error.clone());
        }
        let pause = pause(self.failures);
        self.failures += 1;
        // As often as a worker of Celery's would.
        let step = steps_in(since.elapsed());
        if self.told.replace(step) == Some(step) {
            tracing::debug!(error = error as &dyn std::error::Error, retry_in = ?pause, "cannot consume yet");
        } else {
            tracing::error!(error = error as &dyn std::error::Error, retry_in = ?pause, "cannot consume");
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = shutdown.stopping() => {}
        }
        Ok(())
    }
}

/// The pause after so many attempts that failed before: none at first, then up to a second, and a bit shorter by chance,
/// so that workers that lost a broker together do not come back to it together.
fn pause(failures: u32) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
    let most = SHORTEST.saturating_mul(1 << doublings.min(16)).min(LONGEST);
    most.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// `broker_connection_max_retries` counts attempts that are as far apart as kombu's. Ours are closer, so it is the time
/// that those would take which counts.
fn gives_up(config: &BrokerConfig, failures: u32, elapsed: Duration) -> bool {
    config.connection_max_retries.is_some_and(|most| {
        let time: Duration = (0..most).map(kombus_pause).sum();
        failures >= most && elapsed >= time
    })
}

/// How many attempts kombu would have made in that time.
fn steps_in(elapsed: Duration) -> u32 {
    let (mut steps, mut time) = (0, Duration::ZERO);
    loop {
        time += kombus_pause(steps);
        if time > elapsed {
            return steps;
        }
        steps += 1;
    }
}

/// The pause that kombu takes after so many before it.
fn kombus_pause(before: u32) -> Duration {
    Duration::from_secs((2 * u64::from(before)).min(30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_attempt_is_made_at_once_and_no_pause_exceeds_a_second() {
        assert_eq!(pause(0), Duration::ZERO);
        assert!((SHORTEST / 2..=SHORTEST).contains(&pause(1)));
        for failures in 10..50 {
            assert!((LONGEST / 2..=LONGEST).contains(&pause(failures)));
        }
    }

    #[test]
    fn a_worker_gives_up_when_kombu_would() {
        let config = |most| BrokerConfig {
            connection_max_retries: most,
            ..crate::config::Config::default().broker
        };
        let seconds = Duration::from_secs;
        // At once, after two seconds, after four more.
        assert!(!gives_up(&config(Some(3)), 10, seconds(5)));
        assert!(gives_up(&config(Some(3)), 10, seconds(6)));
        // Attempts that took long themselves are not fewer than were asked for.
        assert!(!gives_up(&config(Some(3)), 2, seconds(60)));
        assert!(!gives_up(&config(None), 10_000, seconds(1_000_000)));
    }

    #[test]
    fn it_is_told_as_often_as_kombu_would_try() {
        let told = [0, 1, 2, 5, 6, 11, 12].map(|at| steps_in(Duration::from_secs(at)));
        assert_eq!(told, [1, 1, 2, 2, 3, 3, 4]);
    }
}
