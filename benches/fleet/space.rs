//! A namespace on the server for one run of the benchmark, and what both sides are told of it.

use std::{env, time::Duration};

use celery::Celery;
use deadpool_redis::redis::{AsyncConnectionConfig, Client, aio::MultiplexedConnection, cmd, pipe};
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use crate::Outcome;

/// The queue of all that is sent here.
pub(crate) const QUEUE: &str = "bench";

/// How often the server is asked for what is left.
pub(crate) const PAUSE: Duration = Duration::from_millis(5);

/// How often in a row nothing must be left.
const LOOKS: u32 = 20;

/// The server, and the keys that are ours there.
#[derive(Clone, Debug)]
pub(crate) struct Space {
    url: String,
    prefix: String,
    /// The interpreter, unless Python is left out.
    pub(crate) python: Option<String>,
}

impl Space {
    /// # Errors
    /// When the test command's variables are missing.
    pub(crate) fn new(has_python: bool) -> Outcome<Self> {
        let service = |name| env::var(name).map_err(|_| "run it as `cargo xtask bench`");
        Ok(Self {
            url: service("CELERY_TEST_REDIS_URL")?,
            prefix: format!("bench-{}:", Uuid::new_v4().simple()),
            python: has_python.then(|| service("CELERY_TEST_PYTHON")).transpose()?,
        })
    }

    /// The settings of an app here, with some more.
    pub(crate) fn settings(&self, more: &Value) -> Value {
        let mut settings = json!({
            "broker_url": self.url,
            "result_backend": self.url,
            "broker_transport_options": { "global_keyprefix": self.prefix },
            "result_backend_transport_options": { "global_keyprefix": self.prefix },
            "task_default_queue": QUEUE,
            "broker_connection_retry_on_startup": true,
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            settings[name] = value.clone();
        }
        settings
    }

    /// An app here, with those settings besides.
    pub(crate) fn app(&self, more: &Value) -> Outcome<Celery> {
        let settings = self.settings(more);
        let app = Celery::builder("bench").environment_from([]);
        Ok(app.config_from_object(&settings, "")?.build()?)
    }

    /// A connection of its own.
    pub(crate) async fn connect(&self) -> Outcome<MultiplexedConnection> {
        Self::connect_to(&self.url).await
    }

    /// A connection to the server of that URL, which waits for ever.
    pub(crate) async fn connect_to(url: &str) -> Outcome<MultiplexedConnection> {
        let client = Client::open(url)?;
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The key of that name here.
    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// How many messages wait, and how many are in kombu's books.
    pub(crate) async fn counts(
        &self,
        redis: &mut MultiplexedConnection,
    ) -> Outcome<(usize, usize)> {
        let mut pipeline = pipe();
        pipeline.cmd("LLEN").arg(self.key(QUEUE)).cmd("HLEN").arg(self.key("unacked"));
        Ok(pipeline.query_async(redis).await?)
    }

    /// Waits until all messages have been taken.
    pub(crate) async fn fetched(&self) -> Outcome<()> {
        let mut redis = self.connect().await?;
        while self.counts(&mut redis).await?.0 > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Waits until all messages have been taken, and none is in kombu's books; returns since when that is so. One that is
    /// on its way from a queue into kombu's books is in neither, so that one look is not enough.
    pub(crate) async fn drained(&self) -> Outcome<Instant> {
        let mut redis = self.connect().await?;
        let (mut since, mut looks) = (Instant::now(), 0);
        while looks < LOOKS {
            if self.counts(&mut redis).await? != (0, 0) {
                looks = 0;
            } else {
                if looks == 0 {
                    since = Instant::now();
                }
                looks += 1;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(since)
    }

    /// Removes all that is here.
    pub(crate) async fn clear(&self) -> Outcome<()> {
        self.remove("*").await
    }

    /// Removes the results.
    pub(crate) async fn forget_results(&self) -> Outcome<()> {
        self.remove("celery-task-meta-*").await
    }

    async fn remove(&self, pattern: &str) -> Outcome<()> {
        let mut redis = self.connect().await?;
        let mut cursor = 0_u64;
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(self.key(pattern)).arg("COUNT").arg(10_000);
            let (next, keys): (u64, Vec<String>) = scan.query_async(&mut redis).await?;
            if !keys.is_empty() {
                cmd("UNLINK").arg(keys).query_async::<()>(&mut redis).await?;
            }
            cursor = next;
            if cursor == 0 {
                return Ok(());
            }
        }
    }
}
