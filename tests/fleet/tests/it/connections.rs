//! Servers that are left for others: what a worker, its clients, its results and its control do then.

mod access;
mod cluster;
mod listed;
mod refusals;
mod sentinels;

use celery::{AsyncResult, Celery};
use peers::{LIMIT, Process, Space};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::harness::{call, listens, worker};

/// The name of the worker.
const NODE: &str = "one@fleet";

/// A worker, and an app that calls it.
struct Fleet {
    app: Celery,
    worker: Process,
}

impl Fleet {
    async fn start(space: &Space) -> Self {
        let worker = worker(space, &["-n", NODE, "-c", "2"]).await;
        Self { app: space.app(), worker }
    }

    /// Shows that tasks are run, results come, and the worker hears what it is told.
    async fn is_whole(&self) {
        for number in 0..5 {
            let sum = Box::pin(call(&self.app, "fleet.add", json!([number, 1]))).await;
            assert_eq!(got(&sum).await, json!(number + 1));
        }
        Box::pin(listens(&self.app, NODE)).await;
    }

    /// Waits for the result of a task that nobody has sent yet.
    fn awaits(&self, id: &str) -> tokio::task::JoinHandle<Value> {
        let result = AsyncResult::<Value>::new(&self.app, id);
        tokio::spawn(async move { got(&result).await })
    }

    /// Shows that who began to wait for `later` gets it, and that all else goes on too.
    async fn goes_on(&self, waiting: tokio::task::JoinHandle<Value>) {
        self.sends("later").await;
        assert_eq!(waiting.await.expect("it waits"), json!(23));
        self.is_whole().await;
    }

    /// Sends the task that somebody waits for, as often as it takes.
    async fn sends(&self, id: &str) {
        let sending = async {
            let send = || self.app.send_task("fleet.add").args((20, 3)).task_id(id).send();
            while send().await.is_err() {}
        };
        timeout(LIMIT, Box::pin(sending)).await.expect("it is sent");
    }
}

async fn got(result: &AsyncResult<Value>) -> Value {
    let value = timeout(LIMIT, result.get()).await;
    value.expect("the result comes").expect("the task succeeds")
}
