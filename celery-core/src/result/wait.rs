//! Waiting for many results at once.
//!
//! All of them are looked at in one step; who is not ready is then waited for, which a backend does for all of them together. Each that
//! comes is dealt with once, so that a group of *n* costs *n*.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
};

use futures_util::{StreamExt, stream::FuturesUnordered};

use super::look::{ancestors, assembled, get_many, raised};
use crate::{
    app::Celery,
    error::Error,
    state::{State, TaskMeta},
    tree::ResultTree,
    value::Value,
};

type Told = (String, Result<TaskMeta, Error>);

/// Results that are waited for, and what they followed, whose failure is theirs.
pub(super) struct Wait {
    app: Celery,
    members: Vec<Member>,
    /// What all of them followed, the first in front.
    parents: Vec<String>,
    /// Which members each task is part of.
    parts: HashMap<String, Vec<usize>>,
    /// Which members each task came before; `None` is all of them.
    before: HashMap<String, Vec<Option<usize>>>,
    /// Those of the tasks that came before which did not fail.
    fine: HashSet<String>,
    /// Failures of which it has to be found out whether something before them had failed.
    suspects: VecDeque<Suspect>,
    /// What one of `parents` failed with; `None` inside when it is known that none did.
    verdict: Option<Option<Error>>,
    arrived: VecDeque<(usize, Result<Value, Error>)>,
    /// How many have not arrived.
    left: usize,
    /// Those that have to be looked at first.
    unseen: Vec<String>,
    waiting: FuturesUnordered<Pin<Box<dyn Future<Output = Told> + Send>>>,
}

struct Member {
    tree: Arc<ResultTree>,
    /// How many of its tasks have not returned.
    missing: usize,
    /// What those of a group returned.
    values: HashMap<String, Value>,
    /// Whether it has arrived, or is a suspect.
    done: bool,
}

enum Suspect {
    /// A member failed with that.
    Failed(usize, Error),
    /// Something failed that came before that member.
    Followed(usize),
    /// Something failed that came before all of them.
    AllFollowed,
}

impl Wait {
    /// For these results, which all followed `parent`. Of those that are ignored nothing is stored, and they are there at once.
    pub(super) fn new(
        app: &Celery,
        members: impl IntoIterator<Item = (Arc<ResultTree>, bool)>,
        parent: Option<&ResultTree>,
    ) -> Self {
        let mut wait = Self {
            app: app.clone(),
            members: Vec::new(),
            parents: Vec::new(),
            parts: HashMap::new(),
            before: HashMap::new(),
            fine: HashSet::new(),
            suspects: VecDeque::new(),
            verdict: None,
            arrived: VecDeque::new(),
            left: 0,
            unseen: Vec::new(),
            waiting: FuturesUnordered::new(),
        };
        if let Some(parent) = parent {
            let ids = ancestors(parent).into_iter().chain(parent.leaves());
            wait.parents = ids.map(str::to_owned).collect();
            for id in wait.parents.clone() {
                wait.precedes(id, None);
            }
        }
        for (tree, ignored) in members {
            wait.add(tree, ignored);
        }
        wait
    }

    fn add(&mut self, tree: Arc<ResultTree>, ignored: bool) {
        let index = self.members.len();
        let leaves = tree.leaves();
        let missing = if ignored { 0 } else { leaves.len() };
        self.left += 1;
        if missing == 0 {
            let value = if ignored { Value::Null } else { Value::Array(Vec::new()) };
            self.arrived.push_back((index, Ok(value)));
        } else {
            for id in ancestors(&tree) {
                self.precedes(id.to_owned(), Some(index));
            }
            for id in leaves {
                let parts = self.parts.entry(id.to_owned()).or_default();
                if parts.is_empty() && !self.before.contains_key(id) {
                    self.unseen.push(id.to_owned());
                }
                parts.push(index);
            }
        }
        self.members.push(Member { tree, missing, values: HashMap::new(), done: missing == 0 });
    }

    fn precedes(&mut self, id: String, member: Option<usize>) {
        let before = self.before.entry(id.clone()).or_default();
        if before.is_empty() && !self.parts.contains_key(&id) {
            self.unseen.push(id);
        }
        before.push(member);
    }

    /// The next result that is there, by the place of its member: its value, or what it or one that it followed failed with.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn next(&mut self) -> Option<(usize, Result<Value, Error>)> {
        loop {
            if !self.suspects.is_empty() {
                self.judge().await;
                continue;
            }
            if let Some(arrived) = self.arrived.pop_front() {
                self.left -= 1;
                return Some(arrived);
            }
            if self.left == 0 {
                return None;
            }
            if !self.unseen.is_empty() {
                if let Err(error) = self.look().await {
                    self.end_all(&error);
                }
                continue;
            }
            match self.waiting.next().await? {
                (id, Ok(meta)) => self.take(&id, &meta),
                (_, Err(error)) => self.end_all(&error),
            }
        }
    }

    /// All values in their order, or the first failure that there is.
    ///
    /// # Cancel safety
    /// Cancel safe: what has come is kept in `values`.
    pub(super) async fn all(&mut self, values: &mut Vec<Option<Value>>) -> Result<(), Error> {
        values.resize(self.members.len(), None);
        while let Some((index, value)) = self.next().await {
            values[index] = Some(value?);
        }
        Ok(())
    }

    /// The first task that is still waited for.
    pub(super) fn missing(&self) -> Option<&str> {
        let open = self.members.iter().filter(|member| !member.done);
        let mut leaves = open.flat_map(|member| member.tree.leaves());
        leaves.find(|id| self.parts.contains_key(*id))
    }

    /// Takes what is there already, and waits for the rest from then on.
    async fn look(&mut self) -> Result<(), Error> {
        // A wait looks first, so that one alone need not be looked at before.
        if self.unseen.len() > 1 {
            let ids: Vec<&str> = self.unseen.iter().map(String::as_str).collect();
            let metas = get_many(&self.app, &ids).await?;
            for (id, meta) in std::mem::take(&mut self.unseen).into_iter().zip(metas) {
                match meta.filter(|meta| meta.state.is_ready()) {
                    Some(meta) => self.take(&id, &meta),
                    None => self.wait_for(id),
                }
            }
        } else {
            std::mem::take(&mut self.unseen).into_iter().for_each(|id| self.wait_for(id));
        }
        Ok(())
    }

    fn wait_for(&self, id: String) {
        let app = self.app.clone();
        self.waiting.push(Box::pin(async move {
            let wait = || async { Ok(app.backend().await?.wait(&id).await?) };
            let meta = app.insist(wait).await;
            (id, meta)
        }));
    }

    fn take(&mut self, id: &str, meta: &TaskMeta) {
        let failed = meta.state.is_propagated();
        let before = self.before.remove(id).unwrap_or_default();
        if failed {
            let followed =
                |member: Option<usize>| member.map_or(Suspect::AllFollowed, Suspect::Followed);
            self.suspects.extend(before.into_iter().map(followed));
        } else if meta.state == State::Success {
            self.fine.insert(id.to_owned());
        }
        for index in self.parts.remove(id).unwrap_or_default() {
            let member = &mut self.members[index];
            if member.done {
                continue;
            }
            if failed {
                member.done = true;
                self.suspects.push_back(Suspect::Failed(index, raised(meta.clone())));
                continue;
            }
            member.missing -= 1;
            member.done = member.missing == 0;
            if member.tree.members.is_none() {
                self.arrived.push_back((index, Ok(meta.result.clone())));
                continue;
            }
            member.values.insert(id.to_owned(), meta.result.clone());
            if member.done {
                let values = std::mem::take(&mut member.values);
                let value = assembled(&member.tree, &|id| values.get(id).cloned());
                self.arrived.push_back((index, Ok(value)));
            }
        }
    }

    /// Finds out with what the first suspect ends, which is what the first task failed with of those that came before it.
    ///
    /// # Cancel safety
    /// Cancel safe: it is the first then still.
    async fn judge(&mut self) {
        let Some(first) = self.suspects.front() else { return };
        let member = match first {
            Suspect::Failed(index, _) | Suspect::Followed(index) => Some(*index),
            Suspect::AllFollowed => None,
        };
        if self.verdict.is_none() || member.is_none() {
            let parents = self.parents.iter().map(String::as_str);
            self.verdict = Some(failure_among(&self.app, parents, &self.fine).await);
        }
        let mut found = self.verdict.clone().flatten();
        if let (None, Some(index)) = (&found, member) {
            let tree = &self.members[index].tree;
            found = failure_among(&self.app, ancestors(tree), &self.fine).await;
        }
        match (self.suspects.pop_front(), found) {
            (Some(Suspect::Failed(index, own)), found) => {
                self.arrived.push_back((index, Err(found.unwrap_or(own))));
            }
            (Some(Suspect::Followed(index)), Some(error)) => self.end(index, &error),
            (Some(Suspect::AllFollowed), Some(error)) => self.end_all(&error),
            // It was stored anew meanwhile.
            (_, None) | (None, _) => {}
        }
    }

    fn end(&mut self, index: usize, error: &Error) {
        if !std::mem::replace(&mut self.members[index].done, true) {
            self.arrived.push_back((index, Err(error.clone())));
        }
    }

    /// Ends all that have not arrived.
    fn end_all(&mut self, error: &Error) {
        (0..self.members.len()).for_each(|index| self.end(index, error));
    }
}

/// What the first of these tasks failed with that did, or why that cannot be known.
async fn failure_among<'a>(
    app: &Celery,
    ids: impl IntoIterator<Item = &'a str> + Send,
    fine: &HashSet<String>,
) -> Option<Error> {
    let ids: Vec<&str> = ids.into_iter().filter(|id| !fine.contains(*id)).collect();
    match get_many(app, &ids).await {
        Ok(metas) => {
            metas.into_iter().flatten().find(|meta| meta.state.is_propagated()).map(raised)
        }
        Err(error) => Some(error),
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").field("left", &self.left).finish_non_exhaustive()
    }
}
