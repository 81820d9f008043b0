//! The result of a group.

use std::{fmt, ops::Deref, sync::Arc};

use super::{AsyncResult, ResultSet};
use crate::{
    app::Celery,
    backend::{Backend, Groups},
    error::Error,
    tree::ResultTree,
    value::Value,
};

/// The result of a group: its members' results, under an id.
///
/// It is a [`ResultSet`] whose members do not change, and has all that a set has: `join`, `iter`, `completed_count` and so on. A member
/// that is a group itself is an [`AsyncResult`] whose value is the list of its members' values.
///
/// Only those who know the members know the group, unless it is [saved](Self::save).
///
/// ```no_run
/// # async fn example(app: celery_core::app::Celery) -> Result<(), celery_core::error::Error> {
/// use celery_core::result::GroupResult;
///
/// let group: GroupResult<i64> = GroupResult::restore(&app, "c8a2").await?.expect("it was saved");
/// println!("{} of {} are done", group.completed_count().await?, group.len());
/// let values = group.join().await?;
/// # Ok(()) }
/// ```
pub struct GroupResult<T = Value> {
    id: String,
    app: Celery,
    set: ResultSet<T>,
}

impl<T> GroupResult<T> {
    /// The result of a group with that id and these members.
    pub fn new(
        app: &Celery,
        id: impl Into<String>,
        results: impl IntoIterator<Item = AsyncResult<T>>,
    ) -> Self {
        Self::of(app, id.into(), results.into_iter().collect(), None)
    }

    fn of(
        app: &Celery,
        id: String,
        results: Vec<AsyncResult<T>>,
        parent: Option<Arc<ResultTree>>,
    ) -> Self {
        let set = ResultSet::of_group(results, parent);
        Self { id, app: app.clone(), set }
    }

    /// The result that a tree tells of.
    ///
    /// # Errors
    /// [`Error::Call`] when it is the result of one task.
    pub fn from_tree(app: &Celery, tree: ResultTree) -> Result<Self, Error> {
        let ResultTree { id, parent, members } = tree;
        let Some(members) = members else {
            return Err(Error::Call(format!(
                "{id} is the result of a task and not of a group; make an `AsyncResult` of it"
            )));
        };
        let members = members.into_iter().map(|member| AsyncResult::from_tree(app, member));
        Ok(Self::of(app, id, members.collect(), parent.map(Arc::from)))
    }

    /// The result that a tuple tells of, as [`as_tuple`](Self::as_tuple) and Python write it.
    ///
    /// # Errors
    /// [`Error::Call`] when it is no tuple, or the result of one task.
    #[doc(alias = "result_from_tuple")]
    pub fn from_tuple(app: &Celery, tuple: &Value) -> Result<Self, Error> {
        Self::from_tree(app, ResultTree::from_value(tuple)?)
    }

    /// The group that was [saved](Self::save) under that id, here or by Python, and has not expired.
    ///
    /// # Errors
    /// [`Error::Backend`] when the result backend cannot be asked, or keeps no groups.
    pub async fn restore(app: &Celery, id: &str) -> Result<Option<Self>, Error> {
        let restore = || async { Ok(groups(&**app.backend().await?)?.restore(id).await?) };
        let tree = app.insist(restore).await?;
        tree.map(|tree| Self::from_tree(app, tree)).transpose()
    }

    /// Keeps the ids of the members under that of the group, for [`restore`](Self::restore), as long as results are kept.
    ///
    /// # Errors
    /// As for [`restore`](Self::restore).
    pub async fn save(&self) -> Result<(), Error> {
        let tree = self.tree();
        let save = || async { Ok(groups(&**self.app.backend().await?)?.save(&tree).await?) };
        self.app.insist(save).await
    }

    /// Deletes what was kept by [`save`](Self::save). The results of the members are left.
    ///
    /// # Errors
    /// As for [`restore`](Self::restore).
    pub async fn delete(&self) -> Result<(), Error> {
        let delete = || async { Ok(groups(&**self.app.backend().await?)?.delete(&self.id).await?) };
        self.app.insist(delete).await
    }

    /// The id of the group.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What the group followed.
    pub fn parent(&self) -> Option<AsyncResult<Value>> {
        let tree = Arc::clone(self.set.followed()?);
        Some(AsyncResult::of_tree(&self.app, tree, false))
    }

    /// What the result is made of.
    pub fn tree(&self) -> ResultTree {
        let members = self.results().iter().map(|result| result.tree().clone());
        ResultTree {
            parent: self.set.followed().map(|parent| Box::new((**parent).clone())),
            ..ResultTree::group(&self.id, members.collect())
        }
    }

    /// Celery's tuple: `[[id, parent], members]`.
    pub fn as_tuple(&self) -> Value {
        self.tree().to_value()
    }

    /// The same result with another type of values.
    pub fn typed<U>(self) -> GroupResult<U> {
        let parent = self.set.followed().cloned();
        let results = self.results().iter().cloned().map(AsyncResult::typed);
        GroupResult::of(&self.app, self.id.clone(), results.collect(), parent)
    }
}

fn groups(backend: &dyn Backend) -> Result<&dyn Groups, Error> {
    backend.groups().ok_or_else(|| {
        Error::Call(
            "the result backend keeps no groups, so that none can be saved or restored; keep its tuple (`as_tuple`) instead, or set \
             `result_backend` to one that does, such as Redis"
                .to_owned(),
        )
    })
}

/// A group is a set of results that stays as it is.
impl<T> Deref for GroupResult<T> {
    type Target = ResultSet<T>;

    fn deref(&self) -> &ResultSet<T> {
        &self.set
    }
}

impl<T> From<GroupResult<T>> for AsyncResult<Vec<T>> {
    /// The group as one result, whose value is the list of its members' values.
    fn from(group: GroupResult<T>) -> Self {
        Self::from_tree(&group.app, group.tree())
    }
}

impl<T> Clone for GroupResult<T> {
    fn clone(&self) -> Self {
        Self { id: self.id.clone(), app: self.app.clone(), set: self.set.clone() }
    }
}

impl<T> fmt::Debug for GroupResult<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GroupResult({}, {:?})", self.id, self.set)
    }
}
