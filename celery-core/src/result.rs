//! Results: a handle of what a task returns, by the task's id.

use std::{fmt, marker::PhantomData, time::Duration};

use serde::de::DeserializeOwned;

use crate::{
    app::Celery,
    error::Error,
    exception::Exception,
    state::{State, TaskMeta},
    value::{Value, from_value},
};

/// The result of a task that was called, now or in another process.
///
/// A cheap handle: the id and the app. `T` is what [`get`](Self::get) returns.
pub struct AsyncResult<T = Value> {
    id: String,
    app: Celery,
    /// Whether nothing will be stored of it, as far as its caller knows.
    ignored: bool,
    output: PhantomData<fn() -> T>,
}

impl<T> AsyncResult<T> {
    /// The result of the task with that id, as kept by the app's result backend.
    pub fn new(app: &Celery, id: impl Into<String>) -> Self {
        Self { id: id.into(), app: app.clone(), ignored: false, output: PhantomData }
    }

    /// The result of a call, which may have asked for none to be kept.
    pub(crate) fn of_call(app: &Celery, id: String, ignored: bool) -> Self {
        Self { ignored, ..Self::new(app, id) }
    }

    pub(crate) fn app(&self) -> &Celery {
        &self.app
    }

    /// The id of the task.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What is stored of the task; of one of which nothing is known, a document in state `PENDING`.
    ///
    /// # Errors
    /// [`Error::Backend`] when the result backend cannot be asked, or there is none.
    pub async fn meta(&self) -> Result<TaskMeta, Error> {
        let get = || async { Ok(self.app.backend().await?.get(&self.id).await?) };
        let meta = self.app.insist(get).await?;
        Ok(meta.unwrap_or_else(|| TaskMeta::pending(&self.id)))
    }

    /// The state of the task. `PENDING` is said of any task of which nothing is known.
    ///
    /// # Errors
    /// As for [`meta`](Self::meta).
    pub async fn state(&self) -> Result<State, Error> {
        Ok(self.meta().await?.state)
    }

    /// What the state comes with: the return value, the exception in its stored form, or the meta of a custom state.
    ///
    /// # Errors
    /// As for [`meta`](Self::meta).
    pub async fn info(&self) -> Result<Value, Error> {
        Ok(self.meta().await?.result)
    }

    /// Whether the task is done: returned, failed, or revoked.
    ///
    /// # Errors
    /// As for [`meta`](Self::meta).
    pub async fn ready(&self) -> Result<bool, Error> {
        Ok(self.state().await?.is_ready())
    }

    /// Whether the task returned.
    ///
    /// # Errors
    /// As for [`meta`](Self::meta).
    pub async fn successful(&self) -> Result<bool, Error> {
        Ok(self.state().await? == State::Success)
    }

    /// Whether the task failed.
    ///
    /// # Errors
    /// As for [`meta`](Self::meta).
    pub async fn failed(&self) -> Result<bool, Error> {
        Ok(self.state().await? == State::Failure)
    }

    /// The traceback of a task that failed, or will be retried.
    ///
    /// # Errors
    /// As for [`meta`](Self::meta).
    pub async fn traceback(&self) -> Result<Option<String>, Error> {
        Ok(self.meta().await?.traceback)
    }

    /// Deletes what is stored of the task.
    ///
    /// # Errors
    /// As for [`meta`](Self::meta).
    pub async fn forget(self) -> Result<(), Error> {
        let forget = || async { Ok(self.app.backend().await?.forget(&self.id).await?) };
        self.app.insist(forget).await
    }

    /// Waits until the task is done, however it ended, and returns what is stored of it.
    ///
    /// It waits for ever: set a limit with `tokio::time::timeout`, or use [`get_within`](Self::get_within).
    ///
    /// # Errors
    /// As for [`meta`](Self::meta).
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn wait(&self) -> Result<TaskMeta, Error> {
        let wait = || async { Ok(self.app.backend().await?.wait(&self.id).await?) };
        self.app.insist(wait).await
    }

    /// The same result with another type.
    pub fn typed<U>(self) -> AsyncResult<U> {
        AsyncResult { id: self.id, app: self.app, ignored: self.ignored, output: PhantomData }
    }
}

impl<T: DeserializeOwned> AsyncResult<T> {
    /// Waits for the return value of the task.
    ///
    /// It waits for ever: use [`get_within`](Self::get_within) to set a limit. The handle of a call with `ignore_result`
    /// does not wait: it returns what `null` is as a `T`, for example `()` or `None`.
    ///
    /// # Errors
    /// [`Error::Task`] with what the task failed with, wherever it ran; [`Error::Value`] when it returned something else
    /// than a `T`; [`Error::Call`] when its result is ignored and `null` is no `T`; [`Error::Backend`] when the result
    /// backend cannot be asked.
    ///
    /// # Cancel safety
    /// Cancel safe: the result can be asked for again.
    pub async fn get(&self) -> Result<T, Error> {
        if self.ignored {
            return from_value(Value::Null).map_err(|_| {
                Error::Call(format!(
                    "the result of task {} is not kept, since it was called with `ignore_result`; call it without to get one",
                    self.id
                ))
            });
        }
        let meta = self.wait().await?;
        if meta.state.is_propagated() {
            let exception = meta
                .exception()
                .unwrap_or_else(|| Exception::new("Exception", "builtins", Value::Null));
            return Err(Error::Task {
                task_id: meta.task_id,
                state: meta.state,
                exception: Box::new(exception),
                traceback: meta.traceback,
            });
        }
        Ok(from_value(meta.result)?)
    }

    /// Waits for the return value of the task, no longer than `limit`.
    ///
    /// # Errors
    /// [`Error::Timeout`] when it did not come in time; else as for [`get`](Self::get).
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn get_within(&self, limit: Duration) -> Result<T, Error> {
        let timeout = |_| Error::Timeout { task_id: self.id.clone(), seconds: limit.as_secs_f64() };
        tokio::time::timeout(limit, self.get()).await.map_err(timeout)?
    }
}

impl<T> Clone for AsyncResult<T> {
    fn clone(&self) -> Self {
        Self::of_call(&self.app, self.id.clone(), self.ignored)
    }
}

impl<T> fmt::Debug for AsyncResult<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AsyncResult({})", self.id)
    }
}
