//! The result backend seam: what every driver that keeps results implements.
//!
//! The seam may change in any minor release until 1.0.

mod groups;
mod joins;

pub use self::{
    groups::Groups,
    joins::{Callback, Counted, Joined, Joins, NewJoin, Part, Tally, Unfinished},
};

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use crate::{broker::BoxError, state::TaskMeta};

/// Keeps the state and result of tasks.
///
/// Every method may be called from any task at any time. How results are serialized and how long they live is in
/// the [`Config`](crate::config::Config) that the driver was made with.
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync + 'static {
    /// Stores the state of a task and wakes who waits for it.
    ///
    /// A stored success is final: whatever is stored after it is ignored. Any other state is overwritten.
    async fn store(&self, meta: &TaskMeta) -> Result<(), BackendError>;

    /// The last state stored, or `None` where nothing is known of the task (which Celery calls `PENDING`).
    async fn get(&self, task_id: &str) -> Result<Option<TaskMeta>, BackendError>;

    /// The last state stored of each of these tasks, in their order. A backend that can reads them in one step.
    async fn get_many(&self, task_ids: &[&str]) -> Result<Vec<Option<TaskMeta>>, BackendError> {
        let mut metas = Vec::with_capacity(task_ids.len());
        for task_id in task_ids {
            metas.push(self.get(task_id).await?);
        }
        Ok(metas)
    }

    /// Waits until the task is in a ready state (`SUCCESS`, `FAILURE`, `REVOKED`), and returns it.
    ///
    /// Woken by the store, not by polling, where the server can notify. It waits for ever: the caller sets the limit. Thousands wait at
    /// once, and MUST share what it takes to be woken.
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future ends the subscription.
    async fn wait(&self, task_id: &str) -> Result<TaskMeta, BackendError>;

    /// Deletes what is stored of the task.
    async fn forget(&self, task_id: &str) -> Result<(), BackendError>;

    /// Deletes what is stored of each of these tasks. A backend that can does so in one step.
    async fn forget_many(&self, task_ids: &[&str]) -> Result<(), BackendError> {
        for task_id in task_ids {
            self.forget(task_id).await?;
        }
        Ok(())
    }

    /// Where the results of groups are kept, if they are.
    fn groups(&self) -> Option<&dyn Groups> {
        None
    }

    /// Where the parts of chords are counted. A backend without it has its chords joined by a task that looks at the results
    /// of the parts again and again.
    fn joins(&self) -> Option<&dyn Joins> {
        None
    }

    /// Deletes what has expired: what `celery.backend_cleanup` asks for. There is nothing to do where the server does so itself.
    ///
    /// # Errors
    /// [`BackendError`] when the server cannot be asked.
    async fn clean_up(&self) -> Result<(), BackendError> {
        Ok(())
    }

    /// Whether anything is kept at all; `false` only for the disabled backend.
    fn is_enabled(&self) -> bool {
        true
    }

    /// Closes the connections.
    async fn close(&self) -> Result<(), BackendError>;
}

/// A failed backend operation. A variant is there because somebody branches on it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// The connection is gone; the operation may succeed when tried again.
    #[error("lost the connection to the result backend")]
    ConnectionLost(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// No result backend is configured.
    #[error(
        "no result backend is configured; set `result_backend`, for example to the URL of the broker"
    )]
    Disabled,
    /// What is stored cannot be read, or what should be stored cannot be serialized.
    #[error("could not read or write a result")]
    Codec(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// Anything else.
    #[error("the result backend operation failed")]
    Other(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

impl BackendError {
    /// A fault of the connection.
    pub fn connection_lost(source: impl Into<BoxError>) -> Self {
        Self::ConnectionLost(source.into().into())
    }

    /// What cannot be read or written.
    pub fn codec(source: impl Into<BoxError>) -> Self {
        Self::Codec(source.into().into())
    }

    /// Anything else.
    pub fn other(source: impl Into<BoxError>) -> Self {
        Self::Other(source.into().into())
    }
}

/// The backend of an app without one: keeps nothing, and says so to who asks.
#[derive(Clone, Copy, Debug)]
pub struct DisabledBackend;

#[async_trait]
impl Backend for DisabledBackend {
    async fn store(&self, _meta: &TaskMeta) -> Result<(), BackendError> {
        Ok(())
    }

    async fn get(&self, _task_id: &str) -> Result<Option<TaskMeta>, BackendError> {
        Err(BackendError::Disabled)
    }

    async fn wait(&self, _task_id: &str) -> Result<TaskMeta, BackendError> {
        Err(BackendError::Disabled)
    }

    async fn forget(&self, _task_id: &str) -> Result<(), BackendError> {
        Err(BackendError::Disabled)
    }

    fn is_enabled(&self) -> bool {
        false
    }

    async fn close(&self) -> Result<(), BackendError> {
        Ok(())
    }
}
