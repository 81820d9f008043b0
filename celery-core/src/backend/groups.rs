//! The results of groups, kept under the group's id.

use std::fmt;

use async_trait::async_trait;

use super::BackendError;
use crate::tree::ResultTree;

/// Keeps which results belong to a group, for whoever knows the group's id alone: Celery's `GroupResult.save`.
///
/// They live as long as results do.
#[async_trait]
pub trait Groups: fmt::Debug + Send + Sync {
    /// Keeps it under its id, in place of what was there.
    ///
    /// # Errors
    /// [`BackendError`] when it is not known whether it was kept. It may be repeated.
    async fn save(&self, group: &ResultTree) -> Result<(), BackendError>;

    /// What was kept under that id and has not expired.
    ///
    /// # Errors
    /// [`BackendError`] when the server cannot be asked, or what is there is no group.
    async fn restore(&self, group_id: &str) -> Result<Option<ResultTree>, BackendError>;

    /// Forgets it. The results of the members are left.
    ///
    /// # Errors
    /// [`BackendError`] when the server cannot be asked.
    async fn delete(&self, group_id: &str) -> Result<(), BackendError>;
}
