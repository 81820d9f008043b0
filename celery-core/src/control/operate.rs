//! Telling the workers to change something.

use serde_json::json;

use super::{Broadcast, Control};
use crate::{
    broker::{ExchangeKind, Queue},
    error::Error,
    value::{Map, Value, number},
};

impl Control {
    /// A command, with the arguments as Celery's own client writes them.
    fn tell(&self, command: &str, arguments: Value) -> Broadcast<String> {
        let arguments = match arguments {
            Value::Object(arguments) => arguments,
            _ => Map::new(),
        };
        Broadcast::new(&self.app, command, arguments)
    }

    /// Asks who is there. A worker answers `pong`.
    pub fn ping(&self) -> Broadcast<String> {
        self.tell("ping", json!({}))
    }

    /// Lets a worker begin that many of the task: a number a second, or as `10/m`. None, or 0, is no limit.
    pub fn rate_limit(&self, task: &str, limit: impl Into<Value>) -> Broadcast<String> {
        self.tell("rate_limit", json!({ "task_name": task, "rate_limit": limit.into() }))
    }

    /// Sets the time limits of a task, in seconds.
    pub fn time_limit(
        &self,
        task: &str,
        soft: impl Into<Option<f64>>,
        hard: impl Into<Option<f64>>,
    ) -> Broadcast<String> {
        let (soft, hard) = (soft.into().map(number::seconds), hard.into().map(number::seconds));
        self.tell("time_limit", json!({ "task_name": task, "hard": hard, "soft": soft }))
    }

    /// Has workers consume from a queue. One that is in their settings is bound as it is there.
    ///
    /// ```no_run
    /// # async fn example(app: celery_core::app::Celery) -> Result<(), celery_core::error::Error> {
    /// use celery_core::broker::Queue;
    ///
    /// app.control().add_consumer(&Queue::named("slow")).destination(["celery@one"]).send().await?;
    /// # Ok(()) }
    /// ```
    pub fn add_consumer(&self, queue: &Queue) -> Broadcast<String> {
        let kind = match queue.exchange.kind {
            ExchangeKind::Direct => "direct",
            ExchangeKind::Topic => "topic",
            ExchangeKind::Fanout => "fanout",
        };
        let Queue { name, exchange, routing_key, .. } = queue;
        self.tell(
            "add_consumer",
            json!({ "queue": name, "exchange": exchange.name, "exchange_type": kind, "routing_key": routing_key }),
        )
    }

    /// Has workers consume no more from a queue.
    pub fn cancel_consumer(&self, queue: &str) -> Broadcast<String> {
        self.tell("cancel_consumer", json!({ "queue": queue }))
    }

    /// Has workers send events about tasks.
    pub fn enable_events(&self) -> Broadcast<String> {
        self.tell("enable_events", json!({}))
    }

    /// Has workers send no events about tasks.
    pub fn disable_events(&self) -> Broadcast<String> {
        self.tell("disable_events", json!({}))
    }

    /// Has workers run that many tasks more at once.
    pub fn pool_grow(&self, by: u32) -> Broadcast<String> {
        self.tell("pool_grow", json!({ "n": by }))
    }

    /// Has workers run that many tasks fewer at once.
    pub fn pool_shrink(&self, by: u32) -> Broadcast<String> {
        self.tell("pool_shrink", json!({ "n": by }))
    }

    /// Has workers start their pools anew, where `worker_pool_restarts` lets them.
    pub fn pool_restart(&self) -> Broadcast<String> {
        self.tell("pool_restart", json!({ "modules": null, "reload": false, "reloader": null }))
    }

    /// Sets between which bounds workers that were started with `--autoscale` keep the number of tasks at once.
    pub fn autoscale(&self, max: u32, min: u32) -> Broadcast<String> {
        self.tell("autoscale", json!({ "max": max, "min": min }))
    }

    /// Has workers send a heartbeat now.
    pub fn heartbeat(&self) -> Broadcast<()> {
        Broadcast::new(&self.app, "heartbeat", Map::new())
    }

    /// Stops workers as TERM does. None of them replies.
    pub fn shutdown(&self) -> Broadcast<()> {
        Broadcast::new(&self.app, "shutdown", Map::new())
    }

    /// Has the workers elect one of them, which carries out the action: under the topic `task`, a signature to call.
    pub fn election(&self, id: &str, topic: &str, action: impl Into<Value>) -> Broadcast<()> {
        let arguments = [
            ("id".to_owned(), id.into()),
            ("topic".to_owned(), topic.into()),
            ("action".to_owned(), action.into()),
        ];
        Broadcast::new(&self.app, "election", arguments.into_iter().collect())
    }

    /// Drops what waits in the queues of the settings, and says how many messages that was.
    ///
    /// # Errors
    /// [`Error::Broker`] when the broker cannot be reached.
    ///
    /// # Cancel safety
    /// A call that is dropped has purged some of the queues, or none.
    pub async fn purge(&self) -> Result<u64, Error> {
        let broker = self.app.broker().await?;
        let mut dropped = 0;
        for queue in self.app.queues().iter() {
            dropped += broker.purge(&queue.name).await?;
        }
        Ok(dropped)
    }
}
