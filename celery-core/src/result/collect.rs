//! What followed from a task, and from that: its children, theirs, and so on.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use super::{AsyncResult, Graph, look::Look, wait::Wait};
use crate::{app::Celery, error::Error, tree::ResultTree, value::Value};

impl<T> AsyncResult<T> {
    /// The results of the tasks that this one published, as far as it is known by now; of a group its members.
    ///
    /// What is published after the result was stored, such as the tasks of a `link`, is in it too: its ids are made before.
    ///
    /// # Errors
    /// [`Error::Backend`] when the result backend cannot be asked, or there is none; [`Error::Call`] when what is stored are no results.
    pub async fn children(&self) -> Result<Vec<AsyncResult<Value>>, Error> {
        let trees = children(self.tree(), &Look::at(self.app(), [self.tree()]).await?)?;
        Ok(trees.into_iter().map(|tree| AsyncResult::from_tree(self.app(), tree)).collect())
    }

    /// The value of this task, then those of its children, then those of theirs, and so on, each when it is there.
    ///
    /// ```no_run
    /// # async fn example(app: celery_core::app::Celery) -> Result<(), celery_core::error::Error> {
    /// use celery_core::result::AsyncResult;
    ///
    /// let mut values = AsyncResult::<()>::new(&app, "d9078da5").collect();
    /// while let Some(next) = values.next().await {
    ///     let (result, value) = next?;
    ///     println!("{}: {value}", result.id());
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use = "nothing is waited for before `next`"]
    pub fn collect(&self) -> Collect {
        let first = self.clone().typed();
        Collect {
            app: self.app().clone(),
            seen: HashSet::from([self.id().to_owned()]),
            wait: Wait::new(self.app(), [first.member()], self.tree().parent.as_deref()),
            level: vec![first],
            place: 0,
            early: HashMap::new(),
        }
    }

    /// This task, those that it published, and those that they did.
    ///
    /// # Errors
    /// [`Error::IncompleteStream`] when one of them is not done, so that it is not known what it will publish; else as for
    /// [`children`](Self::children).
    pub async fn graph(&self) -> Result<Graph, Error> {
        self.build_graph(Some).await
    }

    /// The same as far as it is known by now: [`graph`](Self::graph) with `intermediate=True`.
    ///
    /// # Errors
    /// As for [`children`](Self::children).
    pub async fn graph_so_far(&self) -> Result<Graph, Error> {
        self.build_graph(|_| None).await
    }

    async fn build_graph(
        &self,
        unready: impl Fn(String) -> Option<String>,
    ) -> Result<Graph, Error> {
        let mut graph = Graph::default();
        graph.add(self.id());
        let mut level = vec![self.tree().clone()];
        let mut seen = HashSet::from([self.id().to_owned()]);
        while !level.is_empty() {
            let look = Look::at(self.app(), &level).await?;
            let mut next = Vec::new();
            for node in level {
                if !look.ready(&node) {
                    if let Some(task_id) = unready(node.id) {
                        return Err(Error::IncompleteStream { task_id });
                    }
                    continue;
                }
                let place = graph.add(&node.id);
                for child in children(&node, &look)? {
                    graph.add_edge(place, &child.id);
                    if seen.insert(child.id.clone()) {
                        next.push(child);
                    }
                }
            }
            level = next;
        }
        Ok(graph)
    }
}

/// What a task published, or the members of a group.
fn children(node: &ResultTree, look: &Look) -> Result<Vec<ResultTree>, Error> {
    match &node.members {
        Some(members) => Ok(members.clone()),
        None => {
            Ok(look.children(&node.id).map(ResultTree::from_value).collect::<Result<_, _>>()?)
        }
    }
}

/// The values of a task, its children and theirs; see [`AsyncResult::collect`].
pub struct Collect {
    app: Celery,
    /// Results that have the same distance from the first.
    level: Vec<AsyncResult<Value>>,
    /// Which of them is next.
    place: usize,
    wait: Wait,
    /// What came before it was its turn.
    early: HashMap<usize, Result<Value, Error>>,
    /// What was in this level and those before: it is told of once.
    seen: HashSet<String>,
}

impl Collect {
    /// Waits for the next value. A failure is the last of it.
    ///
    /// # Errors
    /// As for [`AsyncResult::get`] and [`AsyncResult::children`].
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Result<(AsyncResult<Value>, Value), Error>> {
        if self.place == self.level.len()
            && let Err(error) = self.descend().await
        {
            self.end();
            return Some(Err(error));
        }
        let result = self.level.get(self.place)?.clone();
        while !self.early.contains_key(&self.place) {
            let (index, value) = self.wait.next().await?;
            self.early.insert(index, value);
        }
        let value = self.early.remove(&self.place)?;
        self.place += 1;
        match value {
            Ok(value) => Some(Ok((result, value))),
            Err(error) => {
                self.end();
                Some(Err(error))
            }
        }
    }

    /// Goes on with the children of what was told of.
    async fn descend(&mut self) -> Result<(), Error> {
        let look = Look::at(&self.app, self.level.iter().map(AsyncResult::tree)).await?;
        let mut next = Vec::new();
        for node in &self.level {
            for child in children(node.tree(), &look)? {
                if self.seen.insert(child.id.clone()) {
                    next.push(AsyncResult::from_tree(&self.app, child));
                }
            }
        }
        self.wait = Wait::new(&self.app, next.iter().map(AsyncResult::member), None);
        (self.level, self.place) = (next, 0);
        Ok(())
    }

    fn end(&mut self) {
        self.level.clear();
        self.place = 0;
    }
}

impl fmt::Debug for Collect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collect").field("level", &self.level).finish_non_exhaustive()
    }
}
