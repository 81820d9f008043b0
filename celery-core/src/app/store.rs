//! Storing the state of a task.

use std::time::Duration;

use super::Celery;
use crate::{
    backend::BackendError,
    clock,
    config::ResultConfig,
    date,
    error::Error,
    protocol::TaskMessage,
    state::{ExtendedMeta, State, TaskMeta},
    value::{Map, Value},
};

impl Celery {
    /// Stores a state of a running task.
    pub(crate) async fn store_state(
        &self,
        request: &TaskMessage,
        state: State,
        result: Value,
        children: Vec<Value>,
        worker: &str,
    ) -> Result<(), Error> {
        let meta =
            TaskMeta { children: Some(children), ..self.meta(request, state, result, worker) };
        Ok(self.backend().await?.store(&meta).await?)
    }

    /// Does what needs the result backend, and does it again upon a lost connection as `result_backend_always_retry` says.
    pub(crate) async fn insist<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let policy = &self.inner.config.result;
        let mut retries = 0;
        loop {
            let may_retry = policy.backend_always_retry
                && policy.backend_max_retries.is_none_or(|max| retries < max);
            match attempt().await {
                Err(error @ Error::Backend(BackendError::ConnectionLost(_))) if may_retry => {
                    let pause = pause(policy, retries);
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        ?pause,
                        "could not reach the result backend; trying again"
                    );
                    tokio::time::sleep(pause).await;
                    retries += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// The document of a state, with what the message and the settings add to it.
    pub(crate) fn meta(
        &self,
        request: &TaskMessage,
        state: State,
        result: Value,
        worker: &str,
    ) -> TaskMeta {
        let date_done = state.is_ready().then(|| date::format(clock::now(), &self.time_zone()));
        let extended = self.inner.config.result.extended.then(|| {
            let (args, kwargs) = self.shown(request);
            ExtendedMeta {
                name: Some(request.task.clone()),
                args: Value::Array(args.into_owned()),
                kwargs: Value::Object(kwargs.into_owned()),
                worker: Some(worker.to_owned()),
                retries: Some(request.headers.retries),
                queue: Some(request.delivery_info.routing_key.clone()),
            }
        });
        let mut extra = Map::new();
        if let Some(names) = request.headers.stamped_headers.as_ref().filter(|_| extended.is_some())
            && !request.headers.stamps.is_empty()
        {
            extra.insert("stamped_headers".to_owned(), Value::Array(names.clone()));
            let stamps = request.headers.stamps.iter();
            let stamps = stamps.filter(|(name, _)| names.iter().any(|it| it == name.as_str()));
            extra.extend(stamps.map(|(name, stamp)| (name.clone(), stamp.clone())));
        }
        TaskMeta {
            date_done,
            extra,
            group_id: request.headers.group.clone(),
            parent_id: request.headers.parent_id.clone(),
            extended,
            ..TaskMeta::new(&request.id, state, result)
        }
    }
}

/// Celery's pause: any time up to one that doubles with each retry.
fn pause(policy: &ResultConfig, retries: u64) -> Duration {
    let doublings = u32::try_from(retries).unwrap_or(u32::MAX).min(31);
    let longest = policy
        .backend_base_sleep_between_retries
        .saturating_mul(1 << doublings)
        .min(policy.backend_max_sleep_between_retries);
    longest.mul_f64(fastrand::f64())
}
