//! Storing and publishing for a worker: through outages, since what a task did is not done twice if it can be helped.

use std::time::Duration;

use tokio::time::sleep;

use super::{node::Node, settle::Stopped};
use crate::{
    app::{publish::Parcel, send::Outgoing},
    backend::BackendError,
    broker::{Broker, BrokerError, Delivery, Settlement},
    context::Context,
    error::Error,
    state::{State, TaskMeta},
    value::Value,
};

/// Why something was not stored or published.
#[derive(Debug)]
pub(super) enum Undone {
    /// The worker is to stop at once, or has given up on its broker.
    Stopped,
    /// It cannot be done.
    Failed(Error),
}

impl Node {
    /// Stores a state of the run.
    pub(super) async fn store(
        &self,
        context: &Context,
        state: State,
        result: Value,
        traceback: Option<String>,
    ) -> Result<(), Undone> {
        self.store_meta(&self.meta_of(context, state, result, traceback)).await
    }

    /// What is stored of a state of the run.
    pub(super) fn meta_of(
        &self,
        context: &Context,
        state: State,
        result: Value,
        traceback: Option<String>,
    ) -> TaskMeta {
        let meta = self.app.meta(context.request(), state, result, &self.hostname);
        TaskMeta { traceback, children: Some(context.children()), ..meta }
    }

    /// Writes a message that is to be published.
    pub(super) fn pack(&self, outgoing: Outgoing, parcel: &mut Parcel) -> Result<(), Error> {
        let id = outgoing.message.id.clone();
        match self.app.pack(outgoing, parcel) {
            Ok(()) => {
                parcel.first.get_or_insert(id);
                Ok(())
            }
            Err(error) => {
                tracing::error!(
                    id,
                    error = &error as &dyn std::error::Error,
                    "could not write a message"
                );
                Err(error)
            }
        }
    }

    /// Publishes messages.
    pub(super) async fn publish_all(&self, parcel: &Parcel) -> Result<(), Undone> {
        let Some(id) = &parcel.first else { return Ok(()) };
        self.persist("publish a task", id, || self.app.publish(parcel)).await
    }

    /// Publishes messages and settles the delivery, in one step where the broker has one. Where that fails neither is done,
    /// as far as is known, and the task is delivered again.
    pub(super) async fn publish_and_settle(
        &self,
        delivery: Delivery,
        how: Settlement,
        parcel: &Parcel,
    ) -> Result<(), Stopped> {
        let done = async {
            let broker: &dyn Broker = self.app.broker().await?.as_ref();
            Ok::<_, Error>(delivery.settle_and_publish(how, broker, &parcel.batch).await?)
        };
        match done.await {
            Ok(()) => {
                self.app.tell_published(parcel);
                Ok(())
            }
            Err(error) => {
                tracing::error!(
                    id = parcel.first,
                    error = &error as &dyn std::error::Error,
                    "could not publish what follows a task and settle its message, which will be delivered again"
                );
                Err(Stopped)
            }
        }
    }

    /// Stores what is known of a task.
    pub(super) async fn store_meta(&self, meta: &TaskMeta) -> Result<(), Undone> {
        let app = &self.app;
        let store = || async move { Ok(app.backend().await?.store(meta).await?) };
        self.persist("store a result", &meta.task_id, store).await
    }

    /// Tries until it is done, or cannot be done, or the worker is to stop at once.
    ///
    /// From the first failure on it takes a slot as soon as one is free: during an outage what is left to do does not
    /// pile up, since there are only so many slots.
    pub(super) async fn persist<T, F>(
        &self,
        what: &str,
        id: &str,
        attempt: impl Fn() -> F,
    ) -> Result<T, Undone>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut pause = Duration::from_millis(100);
        let mut slot = None;
        loop {
            let error = match attempt().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let passes = matches!(
                error,
                Error::Broker(BrokerError::ConnectionLost(_))
                    | Error::Backend(BackendError::ConnectionLost(_))
            );
            let stopped = self.cold.is_cancelled() || self.alone.is_cancelled();
            if !passes || stopped {
                tracing::error!(id, error = &error as &dyn std::error::Error, "could not {what}");
                return Err(if stopped { Undone::Stopped } else { Undone::Failed(error) });
            }
            tracing::warn!(id, error = &error as &dyn std::error::Error, retry_in = ?pause, "could not {what} yet");
            let next = sleep(pause);
            tokio::pin!(next);
            loop {
                tokio::select! {
                    () = &mut next => break,
                    () = self.cold.cancelled() => break,
                    () = self.alone.cancelled() => break,
                    taken = self.slots.take(), if slot.is_none() => slot = Some(taken),
                }
            }
            pause = (pause * 2).min(Duration::from_secs(10));
        }
    }
}
