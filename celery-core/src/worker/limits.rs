//! The time limits that remote control has set, by task, in place of the tasks' own.

use std::{
    collections::HashMap,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// The limits that were set.
#[derive(Debug, Default)]
pub(super) struct LimitOverrides {
    /// Whether any has ever been set.
    any: AtomicBool,
    set: RwLock<HashMap<&'static str, Override>>,
}

/// What stands in place of a task's own limits: `None` leaves it to the worker's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Override {
    /// Until the task is stopped.
    pub(super) hard: Option<Duration>,
    /// Until the task is told to stop.
    pub(super) soft: Option<Duration>,
}

impl LimitOverrides {
    /// Sets those of a task.
    pub(super) fn set(&self, task: &'static str, limits: Override) {
        self.any.store(true, Ordering::Release);
        self.set.write().unwrap_or_else(PoisonError::into_inner).insert(task, limits);
    }

    /// Those of a task, or the task's own where none are set.
    pub(super) fn get(&self, task: &str, own: Override) -> Override {
        if !self.any.load(Ordering::Acquire) {
            return own;
        }
        let set = self.set.read().unwrap_or_else(PoisonError::into_inner);
        set.get(task).copied().unwrap_or(own)
    }
}
