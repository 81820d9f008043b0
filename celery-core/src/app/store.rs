//! Storing the state of a task.

use super::Celery;
use crate::{
    clock, date,
    error::Error,
    protocol::TaskMessage,
    state::{ExtendedMeta, State, TaskMeta},
    value::Value,
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

    /// The document of a state, with what the message and the settings add to it.
    pub(crate) fn meta(
        &self,
        request: &TaskMessage,
        state: State,
        result: Value,
        worker: &str,
    ) -> TaskMeta {
        let date_done = state.is_ready().then(|| date::format(clock::now(), &self.time_zone()));
        let extended = self.inner.config.result.extended.then(|| ExtendedMeta {
            name: Some(request.task.clone()),
            args: Value::Array(request.args.clone()),
            kwargs: Value::Object(request.kwargs.clone()),
            worker: Some(worker.to_owned()),
            retries: Some(request.headers.retries),
            queue: Some(request.delivery_info.routing_key.clone()),
        });
        TaskMeta {
            date_done,
            group_id: request.headers.group.clone(),
            parent_id: request.headers.parent_id.clone(),
            extended,
            ..TaskMeta::new(&request.id, state, result)
        }
    }
}
