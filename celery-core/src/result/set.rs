//! Results that are looked at and waited for together.

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use serde::de::DeserializeOwned;

use super::{Arrivals, AsyncResult, look::Look, tuple::read, wait::Wait};
use crate::{error::Error, tree::ResultTree, value::Value};

/// Results that are looked at and waited for together, whichever calls they are of.
///
/// Whatever is asked of them is asked of all in one step, and they are waited for over one subscription, so that ten thousand of them
/// are no burden.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use celery_core::{app::Celery, result::{AsyncResult, ResultSet}};
///
/// let app = Celery::builder("mysite").broker("memory://").backend("memory://").build()?;
/// let results: ResultSet = ["a", "b"].map(|id| AsyncResult::new(&app, id)).into_iter().collect();
/// assert_eq!(results.len(), 2);
/// assert!(results.waiting().await?);
/// # Ok::<_, celery_core::error::Error>(()) }).unwrap();
/// ```
pub struct ResultSet<T = Value> {
    results: Vec<AsyncResult<T>>,
    /// What all of it followed: of a group alone.
    parent: Option<Arc<ResultTree>>,
}

impl<T> ResultSet<T> {
    /// A set of these results.
    pub fn new(results: impl IntoIterator<Item = AsyncResult<T>>) -> Self {
        let mut set = Self::of_group(Vec::new(), None);
        set.update(results);
        set
    }

    pub(super) fn of_group(results: Vec<AsyncResult<T>>, parent: Option<Arc<ResultTree>>) -> Self {
        Self { results, parent }
    }

    pub(super) fn followed(&self) -> Option<&Arc<ResultTree>> {
        self.parent.as_ref()
    }

    /// The members, in their order.
    pub fn results(&self) -> &[AsyncResult<T>] {
        &self.results
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.results.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.results.is_empty()
    }

    /// Adds a result, unless it is in the set already.
    pub fn add(&mut self, result: AsyncResult<T>) {
        if !self.results.contains(&result) {
            self.results.push(result);
        }
    }

    /// Adds those results that are not in the set already.
    pub fn update(&mut self, results: impl IntoIterator<Item = AsyncResult<T>>) {
        let mut known: HashSet<String> =
            self.results.iter().map(|result| result.id().to_owned()).collect();
        let new = results.into_iter().filter(|result| known.insert(result.id().to_owned()));
        self.results.extend(new);
    }

    /// Takes the result with that id out of the set, if it is there.
    #[doc(alias = "discard")]
    pub fn remove(&mut self, id: &str) -> Option<AsyncResult<T>> {
        let place = self.results.iter().position(|result| result.id() == id)?;
        Some(self.results.remove(place))
    }

    /// Takes all results out of the set.
    pub fn clear(&mut self) {
        self.results.clear();
    }

    /// Whether all are done, however they ended.
    ///
    /// # Errors
    /// [`Error::Backend`] when the result backend cannot be asked, or there is none.
    pub async fn ready(&self) -> Result<bool, Error> {
        let look = self.look().await?;
        Ok(self.results.iter().all(|result| look.ready(result.tree())))
    }

    /// Whether some are not done.
    ///
    /// # Errors
    /// As for [`ready`](Self::ready).
    pub async fn waiting(&self) -> Result<bool, Error> {
        Ok(!self.ready().await?)
    }

    /// Whether all returned.
    ///
    /// # Errors
    /// As for [`ready`](Self::ready).
    pub async fn successful(&self) -> Result<bool, Error> {
        let look = self.look().await?;
        Ok(self.results.iter().all(|result| look.successful(result.tree())))
    }

    /// Whether one failed.
    ///
    /// # Errors
    /// As for [`ready`](Self::ready).
    pub async fn failed(&self) -> Result<bool, Error> {
        let look = self.look().await?;
        Ok(self.results.iter().any(|result| look.failed(result.tree())))
    }

    /// How many returned.
    ///
    /// # Errors
    /// As for [`ready`](Self::ready).
    pub async fn completed_count(&self) -> Result<usize, Error> {
        let look = self.look().await?;
        Ok(self.results.iter().filter(|result| look.successful(result.tree())).count())
    }

    /// Raises what the first failed with that has failed by now. It does not wait.
    ///
    /// # Errors
    /// [`Error::Task`] when one failed or was revoked; else as for [`ready`](Self::ready).
    pub async fn maybe_throw(&self) -> Result<(), Error> {
        let look = self.look().await?;
        match self.results.iter().find_map(|result| look.raised(result.tree())) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Deletes what is stored of the members, and of what they followed.
    ///
    /// # Errors
    /// As for [`ready`](Self::ready).
    pub async fn forget(&self) -> Result<(), Error> {
        match self.results.first() {
            Some(first) => AsyncResult::<T>::forget_trees(first.app(), self.trees()).await,
            None => Ok(()),
        }
    }

    fn trees(&self) -> impl Iterator<Item = &ResultTree> {
        self.results.iter().map(AsyncResult::tree)
    }

    async fn look(&self) -> Result<Look, Error> {
        match self.results.first() {
            Some(first) => Look::at(first.app(), self.trees()).await,
            None => Ok(Look::default()),
        }
    }

    fn begin(&self) -> Option<Wait> {
        let app = self.results.first()?.app();
        let members = self.results.iter().map(AsyncResult::member);
        Some(Wait::new(app, members, self.parent.as_deref()))
    }
}

impl<T: DeserializeOwned> ResultSet<T> {
    /// Waits for the values of all, in their order. It returns with the first failure, without waiting for the rest.
    ///
    /// It waits for ever: use [`join_within`](Self::join_within) to set a limit. A member that is a group itself has the list of its
    /// members' values.
    ///
    /// # Errors
    /// [`Error::Task`] with the id of the task that failed and what it failed with; when a task that it followed had failed, that
    /// one. [`Error::Value`] when one returned something else than a `T`; [`Error::Backend`] when the result backend cannot be asked.
    ///
    /// # Cancel safety
    /// Cancel safe: the results can be asked for again.
    #[doc(alias = "join_native")]
    pub async fn join(&self) -> Result<Vec<T>, Error> {
        let Some(mut wait) = self.begin() else { return Ok(Vec::new()) };
        let mut values = Vec::new();
        wait.all(&mut values).await?;
        self.read(values)
    }

    /// Another word for [`join`](Self::join).
    ///
    /// # Errors
    /// As for `join`.
    ///
    /// # Cancel safety
    /// As for `join`.
    pub async fn get(&self) -> Result<Vec<T>, Error> {
        self.join().await
    }

    /// Waits for the values of all, no longer than `limit`.
    ///
    /// # Errors
    /// [`Error::Timeout`], with the id of the first that is missing, when they did not come in time; else as for
    /// [`join`](Self::join).
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn join_within(&self, limit: Duration) -> Result<Vec<T>, Error> {
        let Some(mut wait) = self.begin() else { return Ok(Vec::new()) };
        let mut values = Vec::new();
        match tokio::time::timeout(limit, wait.all(&mut values)).await {
            Ok(all) => all?,
            Err(_) => {
                let task_id = wait.missing().unwrap_or_default().to_owned();
                return Err(Error::Timeout { task_id, seconds: limit.as_secs_f64() });
            }
        }
        self.read(values)
    }

    /// Waits until all are done, and returns for each, in their order, its value or what it failed with: `join` with
    /// `propagate=False`.
    ///
    /// # Cancel safety
    /// Cancel safe: the results can be asked for again.
    pub async fn outcomes(&self) -> Vec<Result<T, Error>> {
        let mut arrivals = self.begin();
        let mut outcomes: Vec<Option<Result<T, Error>>> = Vec::new();
        outcomes.resize_with(self.results.len(), || None);
        while let Some(wait) = &mut arrivals
            && let Some((index, value)) = wait.next().await
        {
            outcomes[index] = Some(value.and_then(|value| read(self.results[index].app(), value)));
        }
        outcomes.into_iter().flatten().collect()
    }

    /// The members in the order in which they come, each with its value or what it failed with.
    #[doc(alias = "iter_native")]
    pub fn iter(&self) -> Arrivals<T> {
        Arrivals::new(self.results.clone(), self.begin())
    }

    fn read(&self, values: Vec<Option<Value>>) -> Result<Vec<T>, Error> {
        let values = self.results.iter().zip(values);
        values.map(|(result, value)| read(result.app(), value.unwrap_or_default())).collect()
    }
}

impl<T> FromIterator<AsyncResult<T>> for ResultSet<T> {
    fn from_iter<I: IntoIterator<Item = AsyncResult<T>>>(results: I) -> Self {
        Self::new(results)
    }
}

impl<T> Clone for ResultSet<T> {
    fn clone(&self) -> Self {
        Self { results: self.results.clone(), parent: self.parent.clone() }
    }
}

impl<T> fmt::Debug for ResultSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.results.iter().map(AsyncResult::id);
        f.write_str("ResultSet")?;
        f.debug_list().entries(ids).finish()
    }
}
