//! Storing and publishing for a worker: through outages, since what a task did is not done twice if it can be helped.

use std::time::Duration;

use tokio::time::sleep;

use super::Node;
use crate::{
    app::send::Outgoing,
    backend::BackendError,
    broker::BrokerError,
    context::Context,
    error::Error,
    protocol::TaskMessage,
    state::{State, TaskMeta},
    value::Value,
};

impl Node {
    /// Stores a state of the run.
    pub(super) async fn store(
        &self,
        context: &Context,
        state: State,
        result: Value,
        traceback: Option<String>,
        children: Vec<Value>,
    ) {
        let meta = self.app.meta(context.request(), state, result, &self.hostname);
        self.store_meta(&TaskMeta { traceback, children: Some(children), ..meta }).await;
    }

    /// Stores the failure of a step that will not be run because one before it failed.
    pub(super) async fn store_failed_step(
        &self,
        step: &TaskMessage,
        exception: &Value,
        traceback: Option<&str>,
    ) {
        let meta = self.app.meta(step, State::Failure, exception.clone(), &self.hostname);
        let traceback = traceback.map(str::to_owned);
        self.store_meta(&TaskMeta { traceback, children: Some(Vec::new()), ..meta }).await;
    }

    /// Publishes each message.
    pub(super) async fn publish(&self, batch: Vec<Outgoing>) {
        for outgoing in batch {
            let (app, outgoing) = (&self.app, &outgoing);
            self.persist("publish a task", &outgoing.message.id, || app.publish(outgoing)).await;
        }
    }

    async fn store_meta(&self, meta: &TaskMeta) {
        let app = &self.app;
        let store = || async move { Ok(app.backend().await?.store(meta).await?) };
        self.persist("store a result", &meta.task_id, store).await;
    }

    /// Tries until it is done, or cannot be done, or the worker is to stop at once.
    async fn persist<F>(&self, what: &str, id: &str, attempt: impl Fn() -> F)
    where
        F: Future<Output = Result<(), Error>>,
    {
        let mut pause = Duration::from_millis(100);
        loop {
            let error = match attempt().await {
                Ok(()) => return,
                Err(error) => error,
            };
            let passes = matches!(
                error,
                Error::Broker(BrokerError::ConnectionLost(_))
                    | Error::Backend(BackendError::ConnectionLost(_))
            );
            if !passes || self.cold.is_cancelled() {
                tracing::error!(id, error = &error as &dyn std::error::Error, "could not {what}");
                return;
            }
            tracing::warn!(id, error = &error as &dyn std::error::Error, retry_in = ?pause, "could not {what} yet");
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(Duration::from_secs(10)),
                () = self.cold.cancelled() => {}
            }
        }
    }
}
