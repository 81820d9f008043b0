//! For how long a message is tried to be published while the broker is gone.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{
    broker::BrokerError,
    config::{Config, PublishRetryPolicy},
    exception::with_sources,
};

/// What a policy without pauses is given between two attempts that it does not count.
const SHORTEST: Duration = Duration::from_millis(100);

/// The retries of `task_publish_retry_policy`, and then more of them until as much time has passed as connecting may take:
/// a server that is started anew takes longer than Celery's three retries, which are over in half a second.
pub(super) struct Deadline<'a> {
    /// Nothing is tried again without one.
    policy: Option<&'a PublishRetryPolicy>,
    least: Duration,
    since: Option<Instant>,
    pause: Duration,
    retries: u32,
}

/// A broker that was gone for longer than somebody waited.
#[derive(Debug, thiserror::Error)]
#[error("gave up after {waited:.1} seconds and {attempts} attempts")]
struct GaveUp {
    waited: f64,
    attempts: u32,
    source: BrokerError,
}

impl<'a> Deadline<'a> {
    pub(super) fn new(config: &'a Config) -> Self {
        let policy = Some(&config.task.publish_retry_policy)
            .filter(|policy| config.task.publish_retry && policy.max_retries != Some(0));
        Self {
            policy,
            least: config.broker.connection_timeout.unwrap_or_default(),
            since: None,
            pause: policy.map(|policy| policy.interval_start).unwrap_or_default(),
            retries: 0,
        }
    }

    /// Waits until it is time for another attempt after one that failed so. When there is no time for one, it says how
    /// long it was tried.
    pub(super) async fn wait(&mut self, lost: BrokerError) -> Result<(), BrokerError> {
        let Some(policy) = self.policy else { return Err(lost) };
        let waited = self.since.get_or_insert_with(Instant::now).elapsed();
        let counts = policy.max_retries.is_none_or(|most| self.retries < most);
        if !counts && waited >= self.least {
            let (waited, attempts) = (waited.as_secs_f64(), self.retries + 1);
            return Err(BrokerError::ConnectionLost(Arc::new(GaveUp {
                waited,
                attempts,
                source: lost,
            })));
        }
        let pause = if counts {
            self.pause
        } else {
            // By chance, since whoever else has lost the broker tries again, too.
            self.pause.max(SHORTEST).mul_f64(0.5 + fastrand::f64() / 2.0)
        };
        tracing::warn!(why = with_sources(&lost), ?pause, "could not publish; trying again");
        sleep(pause).await;
        self.retries += 1;
        self.pause = (self.pause + policy.interval_step).min(policy.interval_max);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::ConfigLoader;

    /// How long it is tried, how often, and what is said then.
    async fn tried(settings: &[(&str, Value)]) -> (f64, u32, String) {
        let loader = settings
            .iter()
            .fold(ConfigLoader::new(), |loader, (name, value)| loader.change(*name, value.clone()));
        let config = loader.load().unwrap();
        let (mut deadline, start, mut attempts) = (Deadline::new(&config), Instant::now(), 0);
        loop {
            attempts += 1;
            if let Err(error) = deadline.wait(BrokerError::connection_lost("gone")).await {
                return (start.elapsed().as_secs_f64(), attempts, with_sources(&error));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_outage_is_survived_whatever_the_policy_counts() {
        let (took, attempts, said) = tried(&[]).await;
        assert!((4.0..5.1).contains(&took), "{took}");
        assert!(attempts > 4, "{attempts}");
        assert!(said.contains("gave up after ") && said.contains("gone"), "{said}");
        let settings = [
            ("broker_connection_timeout", json!(0)),
            (
                "task_publish_retry_policy",
                json!({"max_retries": 2, "interval_start": 0, "interval_step": 1, "interval_max": 1}),
            ),
        ];
        let (took, attempts, said) = tried(&settings).await;
        assert_eq!((took, attempts), (1.0, 3), "{said}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_wants_no_retries_gets_none() {
        for setting in [
            ("task_publish_retry", json!(false)),
            ("task_publish_retry_policy", json!({"max_retries": 0})),
        ] {
            let (took, attempts, said) = tried(&[setting]).await;
            assert_eq!((took, attempts), (0.0, 1), "{said}");
            assert!(!said.contains("gave up"), "{said}");
        }
    }
}
