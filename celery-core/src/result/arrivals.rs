//! Results in the order in which they come.

use std::fmt;

use serde::de::DeserializeOwned;

use super::{AsyncResult, tuple::read, wait::Wait};
use crate::error::Error;

/// The members of a set of results, each when it is there.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use celery_core::{app::Celery, result::{AsyncResult, ResultSet}};
///
/// let app = Celery::builder("mysite").broker("memory://").backend("memory://").build()?;
/// let results: ResultSet<i64> = ResultSet::new([]);
/// let mut arrivals = results.iter();
/// while let Some((result, value)) = arrivals.next().await {
///     println!("{}: {}", result.id(), value?);
/// }
/// # Ok::<_, celery_core::error::Error>(()) }).unwrap();
/// ```
#[must_use = "nothing is waited for before `next`"]
pub struct Arrivals<T> {
    results: Vec<AsyncResult<T>>,
    wait: Option<Wait>,
}

impl<T> Arrivals<T> {
    pub(super) fn new(results: Vec<AsyncResult<T>>, wait: Option<Wait>) -> Self {
        Self { results, wait }
    }
}

impl<T: DeserializeOwned> Arrivals<T> {
    /// Waits for the next of them: the member, and its value or what it failed with. `None` when all were there.
    ///
    /// A member that is waited for more often than once comes as often. When the result backend cannot be asked, all that are left come
    /// with that error.
    ///
    /// # Cancel safety
    /// Cancel safe: who is not returned comes next.
    pub async fn next(&mut self) -> Option<(AsyncResult<T>, Result<T, Error>)> {
        let (index, value) = self.wait.as_mut()?.next().await?;
        let result = self.results[index].clone();
        let value = value.and_then(|value| read(result.app(), value));
        Some((result, value))
    }
}

impl<T> fmt::Debug for Arrivals<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrivals").field("wait", &self.wait).finish_non_exhaustive()
    }
}
