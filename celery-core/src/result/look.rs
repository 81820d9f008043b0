//! What is stored of many tasks now, and what that says of a result that is made of them.

use std::collections::HashMap;

use crate::{
    app::Celery,
    error::Error,
    exception::Exception,
    state::{State, TaskMeta},
    tree::ResultTree,
    value::Value,
};

/// What is stored of some tasks.
#[derive(Debug, Default)]
pub(super) struct Look(HashMap<String, TaskMeta>);

impl Look {
    /// Asks for all tasks of these trees at once; not for what they followed.
    pub(super) async fn at<'a>(
        app: &Celery,
        trees: impl IntoIterator<Item = &'a ResultTree> + Send,
    ) -> Result<Self, Error> {
        let ids: Vec<&str> = trees.into_iter().flat_map(ResultTree::leaves).collect();
        let metas = get_many(app, &ids).await?;
        let found = ids.into_iter().zip(metas);
        Ok(Self(found.filter_map(|(id, meta)| Some((id.to_owned(), meta?))).collect()))
    }

    /// Whether nothing is stored of any of them.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn state(&self, id: &str) -> &State {
        self.0.get(id).map_or(&State::Pending, |meta| &meta.state)
    }

    /// Whether it is done, all of it.
    pub(super) fn ready(&self, tree: &ResultTree) -> bool {
        tree.leaves().into_iter().all(|id| self.state(id).is_ready())
    }

    /// Whether all of it returned.
    pub(super) fn successful(&self, tree: &ResultTree) -> bool {
        tree.leaves().into_iter().all(|id| *self.state(id) == State::Success)
    }

    /// Whether some of it failed.
    pub(super) fn failed(&self, tree: &ResultTree) -> bool {
        tree.leaves().into_iter().any(|id| *self.state(id) == State::Failure)
    }

    /// What the first of it failed with, if one did, or was revoked.
    pub(super) fn raised(&self, tree: &ResultTree) -> Option<Error> {
        let mut metas = tree.leaves().into_iter().filter_map(|id| self.0.get(id));
        metas.find(|meta| meta.state.is_propagated()).cloned().map(raised)
    }

    /// What the task published, as tuples.
    pub(super) fn children(&self, id: &str) -> impl Iterator<Item = &Value> {
        self.0.get(id).and_then(|meta| meta.children.as_ref()).into_iter().flatten()
    }

    /// What is stored of it. Of a group nothing is: it is as its members are, and its result the list of theirs.
    pub(super) fn meta(mut self, tree: &ResultTree) -> TaskMeta {
        let Some(members) = &tree.members else {
            return self.0.remove(&tree.id).unwrap_or_else(|| TaskMeta::pending(&tree.id));
        };
        let propagated = tree.leaves().into_iter().filter_map(|id| self.0.get(id));
        let (state, result, traceback) =
            match propagated.clone().find(|meta| meta.state.is_propagated()) {
                Some(meta) => (meta.state.clone(), meta.result.clone(), meta.traceback.clone()),
                None if self.successful(tree) => {
                    let values = |id: &str| self.0.get(id).map(|meta| meta.result.clone());
                    (State::Success, assembled(tree, &values), None)
                }
                None => (State::Pending, Value::Null, None),
            };
        let children = Some(members.iter().map(ResultTree::to_value).collect());
        TaskMeta { traceback, children, ..TaskMeta::new(&tree.id, state, result) }
    }
}

/// What is stored of each of these tasks.
pub(super) async fn get_many(app: &Celery, ids: &[&str]) -> Result<Vec<Option<TaskMeta>>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    app.insist(|| async { Ok(app.backend().await?.get_many(ids).await?) }).await
}

/// The value of a tree: that of a task as it is, that of a group a list.
pub(super) fn assembled(tree: &ResultTree, value: &impl Fn(&str) -> Option<Value>) -> Value {
    match &tree.members {
        None => value(&tree.id).unwrap_or_default(),
        Some(members) => members.iter().map(|member| assembled(member, value)).collect(),
    }
}

/// The ids of all that this followed, members of groups among them, the first of them in front.
pub(super) fn ancestors(tree: &ResultTree) -> Vec<&str> {
    let mut nodes = Vec::new();
    let mut node = tree;
    while let Some(parent) = &node.parent {
        nodes.push(&**parent);
        node = parent;
    }
    nodes.into_iter().rev().flat_map(ResultTree::leaves).collect()
}

/// The ids of all tasks that a tree tells of.
pub(super) fn everything(tree: &ResultTree) -> Vec<&str> {
    let followed = tree.parent.as_deref().map(everything).unwrap_or_default();
    let own = match &tree.members {
        Some(members) => members.iter().flat_map(everything).collect(),
        None => vec![tree.id.as_str()],
    };
    [own, followed].concat()
}

/// What a task failed with.
pub(super) fn raised(meta: TaskMeta) -> Error {
    let exception =
        meta.exception().unwrap_or_else(|| Exception::new("Exception", "builtins", Value::Null));
    Error::Task {
        task_id: meta.task_id,
        state: meta.state,
        exception: Box::new(exception),
        traceback: meta.traceback,
    }
}
