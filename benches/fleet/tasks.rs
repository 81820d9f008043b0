//! The tasks, and what a worker notes of them.

use std::sync::{
    LazyLock, Mutex, OnceLock, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use celery::prelude::*;
use tokio::{sync::Notify, time::Instant};

use crate::process;

/// What the worker of this process has run.
pub(crate) static RUN: LazyLock<Run> = LazyLock::new(Run::default);

/// How many tasks have run, and since when.
#[derive(Debug, Default)]
pub(crate) struct Run {
    tasks: AtomicUsize,
    expected: OnceLock<usize>,
    first: OnceLock<Usage>,
    pub(crate) all: Notify,
    /// By how many milliseconds each was late that told when it was due.
    pub(crate) lateness: Mutex<Vec<f64>>,
}

/// A moment, and what this process had used of the processors by then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) at: Instant,
    pub(crate) cpu: std::time::Duration,
}

impl Usage {
    pub(crate) fn now() -> Self {
        Self { at: Instant::now(), cpu: process::cpu(std::process::id()).unwrap_or_default() }
    }
}

impl Run {
    /// Tells when that many have run.
    pub(crate) fn expect(&self, tasks: usize) {
        self.expected.get_or_init(|| tasks);
    }

    /// When the first began.
    pub(crate) fn first(&self) -> Option<Usage> {
        self.first.get().copied()
    }

    pub(crate) fn tasks(&self) -> usize {
        self.tasks.load(Ordering::Acquire)
    }

    fn began(&self) {
        self.first.get_or_init(Usage::now);
    }

    fn ended(&self) {
        let tasks = self.tasks.fetch_add(1, Ordering::AcqRel) + 1;
        if Some(&tasks) == self.expected.get() {
            self.all.notify_one();
        }
    }

    fn late(&self, milliseconds: f64) {
        self.lateness.lock().unwrap_or_else(PoisonError::into_inner).push(milliseconds);
    }
}

#[shared_task(name = "bench.noop")]
pub(crate) async fn noop() {
    RUN.began();
    RUN.ended();
}
