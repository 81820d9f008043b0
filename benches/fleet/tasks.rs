//! The tasks, and what a worker notes of them.

use std::{
    sync::{
        LazyLock, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use celery::{core::clock, prelude::*};
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
    pub(crate) cpu: Duration,
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

/// Waits, as for something else that answers.
#[shared_task(name = "bench.sleep")]
pub(crate) async fn sleep() {
    RUN.began();
    tokio::time::sleep(SLEEP).await;
    RUN.ended();
}

/// Computes.
#[shared_task(name = "bench.burn")]
pub(crate) fn burn() {
    RUN.began();
    compute();
    RUN.ended();
}

/// Tells how late it is.
#[shared_task(name = "bench.due")]
pub(crate) async fn due(seconds: f64) {
    RUN.began();
    RUN.late((clock::now().as_duration().as_secs_f64() - seconds) * 1e3);
    RUN.ended();
}

/// What [`Sleep`] takes.
pub(crate) const SLEEP: Duration = Duration::from_millis(50);

/// About ten milliseconds of a core.
pub(crate) fn compute() {
    let mut x = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..6_000_000 {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    std::hint::black_box(x);
}
