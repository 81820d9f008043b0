//! How it is found out what became of a pipeline whose answer was lost.
//!
//! A pipeline that pushes is a transaction, or a script where it pushes one message alone, in which the number of the pipeline is written too: each lane has one pipeline under
//! way at a time, and a key of its own for the number of the last. Where the answer is lost the lane is given up, and its key
//! tells whoever publishes the same messages again whether they were pushed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use celery_core::{broker::Publication, ids};
use deadpool_redis::redis::{Cmd, cmd};
use uuid::Uuid;

use crate::{keys::Keys, scripts::PUSH};

/// For how many seconds the number of a lane's last pipeline is kept.
const KEPT: u64 = 3600;

/// How many messages are remembered of which it is not known whether they were pushed.
const MOST_UNSURE: usize = 100_000;

/// A pipeline, by its lane's key and its number there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mark {
    pub(crate) key: String,
    pub(crate) number: u64,
}

/// Where a batch notes the pipeline that it went with.
pub(crate) type MarkOf = Arc<OnceLock<Mark>>;

/// The lanes of a broker of this process.
#[derive(Debug)]
pub(crate) struct Lanes {
    prefix: String,
    /// Those in which nothing is under way, with their last pipelines.
    free: Mutex<Vec<Mark>>,
    /// The pipelines of messages that may have been pushed, by what they are known by.
    unsure: Mutex<HashMap<Uuid, Mark>>,
}

impl Lanes {
    pub(crate) fn new(keys: &Keys) -> Self {
        Self { prefix: keys.published(), free: Mutex::default(), unsure: Mutex::default() }
    }

    /// The next pipeline of a lane, which is taken until it is [given back](Self::give_back).
    pub(super) fn take(&self) -> Mark {
        let free = lock(&self.free).pop();
        let Mark { key, number } = free
            .unwrap_or_else(|| Mark { key: format!("{}{}", self.prefix, ids::text()), number: 0 });
        Mark { key, number: number + 1 }
    }

    /// The pipeline was answered.
    pub(super) fn give_back(&self, mark: Mark) {
        lock(&self.free).push(mark);
    }

    /// It is not known whether these were pushed.
    pub(super) fn remember(&self, unsure: impl IntoIterator<Item = (Uuid, Mark)>) {
        let mut known = lock(&self.unsure);
        if known.len() > MOST_UNSURE {
            known.clear();
        }
        known.extend(unsure);
    }

    /// Those of the messages that may have been pushed, with their pipelines.
    pub(super) fn recall(&self, batch: &[Publication]) -> Vec<(Uuid, Mark)> {
        let mut unsure = lock(&self.unsure);
        if unsure.is_empty() {
            return Vec::new();
        }
        let known = batch.iter().filter_map(|it| it.message.once);
        known.filter_map(|once| unsure.remove_entry(&once)).collect()
    }
}

impl Mark {
    /// Pushes the message onto the list and writes the number, in one command.
    pub(super) fn push(&self, list: &str, item: &[u8]) -> Cmd {
        let mut command = PUSH.call(&[list, &self.key]);
        command.arg(self.number).arg(KEPT).arg(item);
        command
    }

    /// Writes the number, for the transaction.
    pub(super) fn write(&self) -> Cmd {
        cmd("SET").arg(&self.key).arg(self.number).arg("EX").arg(KEPT).to_owned()
    }

    /// Reads the number of the last pipeline that was carried out.
    pub(super) fn read(&self) -> Cmd {
        cmd("GET").arg(&self.key).to_owned()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_has_one_pipeline_under_way() {
        let lanes =
            Lanes { prefix: "p.".to_owned(), free: Mutex::default(), unsure: Mutex::default() };
        let (first, other) = (lanes.take(), lanes.take());
        assert_ne!(first.key, other.key);
        assert_eq!((first.number, other.number), (1, 1));
        lanes.give_back(first.clone());
        assert_eq!(lanes.take(), Mark { number: 2, ..first });
    }
}
