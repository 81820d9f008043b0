//! Saved groups.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;

use super::super::{Instances, lock};
use crate::{
    backend::{BackendError, Groups},
    clock,
    tree::ResultTree,
};

static GROUPS: Instances<Mutex<Saved>> = Instances::new();

/// The groups of the backend of some name.
#[derive(Clone, Debug)]
pub(super) struct MemoryGroups {
    saved: Arc<Mutex<Saved>>,
    lifetime: Option<Duration>,
}

#[derive(Debug, Default)]
struct Saved {
    groups: HashMap<String, (ResultTree, Option<Timestamp>)>,
    /// When groups expire, so that sweeping looks at those alone.
    expiries: BTreeSet<(Timestamp, String)>,
}

impl MemoryGroups {
    pub(super) fn named(name: &str, lifetime: Option<Duration>) -> Self {
        Self { saved: GROUPS.get(name), lifetime }
    }
}

impl Saved {
    fn delete(&mut self, group_id: &str) {
        if let Some((_, Some(at))) = self.groups.remove(group_id) {
            self.expiries.remove(&(at, group_id.to_owned()));
        }
    }
}

#[async_trait]
impl Groups for MemoryGroups {
    async fn save(&self, group: &ResultTree) -> Result<(), BackendError> {
        let now = clock::now();
        let expires = self.lifetime.and_then(|lifetime| now.checked_add(lifetime).ok());
        let mut saved = lock(&self.saved);
        while saved.expiries.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, id)) = saved.expiries.pop_first() {
                saved.groups.remove(&id);
            }
        }
        saved.delete(&group.id);
        if let Some(at) = expires {
            saved.expiries.insert((at, group.id.clone()));
        }
        saved.groups.insert(group.id.clone(), (group.clone(), expires));
        Ok(())
    }

    async fn restore(&self, group_id: &str) -> Result<Option<ResultTree>, BackendError> {
        let saved = lock(&self.saved);
        let found = saved.groups.get(group_id);
        let alive = found.filter(|(_, expires)| expires.is_none_or(|at| at > clock::now()));
        Ok(alive.map(|(group, _)| group.clone()))
    }

    async fn delete(&self, group_id: &str) -> Result<(), BackendError> {
        lock(&self.saved).delete(group_id);
        Ok(())
    }
}
