//! Our side: a worker inside the test.

use celery::{Celery, Error};
use celery_core::worker::{Shutdown, Worker, WorkerOptions};
use peers::LIMIT;
use tokio::{task::JoinHandle, time::timeout};

/// A worker that runs beside the test. Dropping it is a cold shutdown.
#[derive(Debug)]
pub(crate) struct RustWorker {
    shutdown: Shutdown,
    running: JoinHandle<Result<(), Error>>,
}

impl RustWorker {
    /// Starts one that consumes these queues, as `-Q` and `-c` say.
    pub(crate) fn start(app: &Celery, queues: &[&str], concurrency: usize) -> Self {
        Self::with(app, options(queues, concurrency))
    }

    /// Starts one with these options.
    pub(crate) fn with(app: &Celery, options: WorkerOptions) -> Self {
        let shutdown = Shutdown::default();
        let worker = Worker::new(app, options).expect("a worker of known queues");
        Self { running: tokio::spawn(worker.run(shutdown.clone())), shutdown }
    }

    /// Stops it as TERM does, and waits until it has stopped.
    pub(crate) async fn stop(mut self) {
        self.shutdown.warm.cancel();
        timeout(LIMIT, &mut self.running)
            .await
            .expect("a worker without work stops")
            .expect("a worker does not panic")
            .expect("it stops in order");
    }
}

impl Drop for RustWorker {
    fn drop(&mut self) {
        self.shutdown.cold.cancel();
    }
}

/// Options with queues and concurrency.
pub(crate) fn options(queues: &[&str], concurrency: usize) -> WorkerOptions {
    WorkerOptions {
        queues: Some(queues.iter().map(|&queue| queue.to_owned()).collect()),
        concurrency: Some(concurrency),
        without_mingle: true,
        without_gossip: true,
        ..WorkerOptions::default()
    }
}
