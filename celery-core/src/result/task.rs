//! The result of one call.

use std::{collections::HashSet, fmt, marker::PhantomData, sync::Arc, time::Duration};

use serde::de::DeserializeOwned;

use super::{
    GroupResult,
    look::{Look, everything},
    tuple::read,
    wait::Wait,
};
use crate::{
    app::Celery,
    error::Error,
    state::{State, TaskMeta},
    tree::ResultTree,
    value::{Value, from_value},
};

/// The result of a call, now or in another process.
///
/// A cheap handle: the id, that of what it followed, and the app. `T` is what [`get`](Self::get) returns. Two are equal when their
/// ids are.
///
/// Where the result of a signature may be that of a group, as that of one without types may, the handle stands for the group: its value
/// is the list of its members' values, and it is ready, successful or failed as they are. [`as_group`](Self::as_group) gives the group.
///
/// A result is written as Celery's tuple: a task may return one, and may take one as an argument. What is read belongs to the
/// current app.
pub struct AsyncResult<T = Value> {
    tree: Arc<ResultTree>,
    app: Celery,
    /// Whether nothing will be stored of it, as far as its caller knows.
    ignored: bool,
    output: PhantomData<fn() -> T>,
}

impl<T> AsyncResult<T> {
    /// The result of the task with that id, as kept by the app's result backend.
    pub fn new(app: &Celery, id: impl Into<String>) -> Self {
        Self::from_tree(app, ResultTree::task(id))
    }

    /// The result that a tree tells of, with what it followed.
    pub fn from_tree(app: &Celery, tree: ResultTree) -> Self {
        Self::of_tree(app, Arc::new(tree), false)
    }

    /// The result that a tuple tells of, as [`as_tuple`](Self::as_tuple) and Python write it.
    ///
    /// # Errors
    /// [`Error::Call`] when it is no tuple.
    #[doc(alias = "result_from_tuple")]
    pub fn from_tuple(app: &Celery, tuple: &Value) -> Result<Self, Error> {
        Ok(Self::from_tree(app, ResultTree::from_value(tuple)?))
    }

    /// The result of a call, which may have asked for none to be kept.
    pub(crate) fn of_tree(app: &Celery, tree: Arc<ResultTree>, ignored: bool) -> Self {
        Self { tree, app: app.clone(), ignored, output: PhantomData }
    }

    pub(crate) fn app(&self) -> &Celery {
        &self.app
    }

    /// The id of the task.
    pub fn id(&self) -> &str {
        &self.tree.id
    }

    /// What the result is made of: its id, and what it followed.
    pub fn tree(&self) -> &ResultTree {
        &self.tree
    }

    /// Celery's tuple: `[[id, parent], null]`.
    pub fn as_tuple(&self) -> Value {
        self.tree.to_value()
    }

    /// The ids of all tasks that it tells of: its own, and those of what it followed.
    pub fn as_list(&self) -> Vec<&str> {
        everything(&self.tree)
    }

    /// What it followed: the task before it in a chain, or the group of a chord.
    pub fn parent(&self) -> Option<AsyncResult<Value>> {
        let parent = self.tree.parent.as_deref()?.clone();
        Some(AsyncResult::from_tree(&self.app, parent))
    }

    /// The group that it is the result of; of a task `None`.
    pub fn as_group<U>(&self) -> Option<GroupResult<U>> {
        GroupResult::from_tree(&self.app, (*self.tree).clone()).ok()
    }

    pub(super) fn member(&self) -> (Arc<ResultTree>, bool) {
        (Arc::clone(&self.tree), self.ignored)
    }

    /// What is stored of the task; of one of which nothing is known, a document in state `PENDING`.
    ///
    /// # Errors
    /// [`Error::Backend`] when the result backend cannot be asked, or there is none.
    pub async fn meta(&self) -> Result<TaskMeta, Error> {
        Ok(self.look().await?.meta(&self.tree))
    }

    async fn look(&self) -> Result<Look, Error> {
        Look::at(&self.app, [&*self.tree]).await
    }

    /// Whether something is stored of the task: one that was never called, or whose result has expired, is `PENDING` as well as one
    /// that waits.
    ///
    /// # Errors
    /// As for [`meta`](Self::meta).
    pub async fn exists(&self) -> Result<bool, Error> {
        Ok(!self.look().await?.is_empty())
    }

    /// Raises what the task failed with, if it has failed by now. It does not wait.
    ///
    /// # Errors
    /// [`Error::Task`] when it failed or was revoked; else as for [`meta`](Self::meta).
    pub async fn maybe_throw(&self) -> Result<(), Error> {
        self.look().await?.raised(&self.tree).map_or(Ok(()), Err)
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

    /// Deletes what is stored of the task, and of what it followed.
    ///
    /// # Errors
    /// As for [`meta`](Self::meta).
    pub async fn forget(self) -> Result<(), Error> {
        Self::forget_trees(&self.app, [&*self.tree]).await
    }

    pub(super) async fn forget_trees<'a>(
        app: &Celery,
        trees: impl IntoIterator<Item = &'a ResultTree> + Send,
    ) -> Result<(), Error> {
        let ids: HashSet<&str> = trees.into_iter().flat_map(everything).collect();
        let ids: Vec<&str> = ids.into_iter().collect();
        app.insist(|| async { Ok(app.backend().await?.forget_many(&ids).await?) }).await
    }

    /// Waits until the task is done, however it ended, and returns what is stored of it. What it followed is not looked at.
    ///
    /// It waits for ever: set a limit with `tokio::time::timeout`, or use [`get_within`](Self::get_within).
    ///
    /// # Errors
    /// As for [`meta`](Self::meta).
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn wait(&self) -> Result<TaskMeta, Error> {
        if self.tree.members.is_none() {
            let wait = || async { Ok(self.app.backend().await?.wait(self.id()).await?) };
            return self.app.insist(wait).await;
        }
        let leaf = |id| (Arc::new(ResultTree::task(id)), false);
        let mut wait = Wait::new(&self.app, self.tree.leaves().into_iter().map(leaf), None);
        while let Some((_, outcome)) = wait.next().await {
            if let Err(error) = outcome
                && error.exception().is_none()
            {
                return Err(error);
            }
        }
        self.meta().await
    }

    /// The same result with another type.
    pub fn typed<U>(self) -> AsyncResult<U> {
        AsyncResult::of_tree(&self.app, self.tree, self.ignored)
    }
}

impl<T: DeserializeOwned> AsyncResult<T> {
    /// Waits for the return value of the task.
    ///
    /// When something that it followed failed or was revoked, it does not wait any longer, and returns that: the first step of a chain that
    /// failed is what the chain failed with. [`wait`](Self::wait) looks at this task alone.
    ///
    /// It waits for ever: use [`get_within`](Self::get_within) to set a limit. In a task it keeps the task's slot meanwhile, so that workers
    /// whose tasks all wait for others run none of those: let what is to follow be a callback or a chord instead. The handle of a call
    /// with `ignore_result` does not wait: it returns what `null` is as a `T`, for example `()` or `None`.
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
                    self.id()
                ))
            });
        }
        let mut wait = Wait::new(&self.app, [self.member()], None);
        match wait.next().await {
            Some((_, value)) => read(&self.app, value?),
            None => Ok(from_value(Value::Null)?),
        }
    }

    /// Waits for the return value of the task, no longer than `limit`.
    ///
    /// # Errors
    /// [`Error::Timeout`] when it did not come in time; else as for [`get`](Self::get).
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn get_within(&self, limit: Duration) -> Result<T, Error> {
        let timeout =
            |_| Error::Timeout { task_id: self.id().to_owned(), seconds: limit.as_secs_f64() };
        tokio::time::timeout(limit, self.get()).await.map_err(timeout)?
    }
}

impl<T> Clone for AsyncResult<T> {
    fn clone(&self) -> Self {
        Self::of_tree(&self.app, Arc::clone(&self.tree), self.ignored)
    }
}

impl<T> fmt::Debug for AsyncResult<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AsyncResult({})", self.id())
    }
}

impl<T, U> PartialEq<AsyncResult<U>> for AsyncResult<T> {
    fn eq(&self, other: &AsyncResult<U>) -> bool {
        self.id() == other.id()
    }
}

impl<T> Eq for AsyncResult<T> {}
