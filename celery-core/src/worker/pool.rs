//! Where tasks run: inside the worker, or in child processes; and how many at once.

#[cfg(unix)]
mod children;
#[cfg(not(unix))]
mod elsewhere;
#[cfg(unix)]
mod exit;
mod info;
#[cfg(unix)]
mod keeper;
#[cfg(unix)]
mod lease;
mod scale;
#[cfg(unix)]
pub(super) mod pipe;
#[cfg(unix)]
pub(super) mod spawner;

use std::{sync::Arc, time::Duration};

use tokio_util::sync::{CancellationToken, DropGuard};

#[cfg(not(unix))]
pub use self::elsewhere::ChildProcess;
#[cfg(not(unix))]
use self::elsewhere::{Children, Lease};
pub(super) use self::scale::{Autoscaler, MOST};
#[cfg(unix)]
use self::{children::Children, lease::Lease};
use super::{
    execute::Limits,
    node::Node,
    requests::Hold,
    slots::Slot,
    trace::{Traced, trace},
    verdict::{Cancellation, Outcome, WhenLost},
};
use crate::{
    config::{WorkerConfig, WorkerPool},
    context::Context,
    registry::{Registration, Registry},
};

/// The pool of a worker.
#[derive(Debug)]
pub(super) struct Pool {
    kind: WorkerPool,
    /// For all tasks, or for those with `isolate`.
    children: Arc<Children>,
    cold: CancellationToken,
}

/// What holds for each child.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChildRules {
    /// How long it may take to report in.
    alive_timeout: Duration,
    /// After how many tasks it is replaced.
    max_tasks: Option<u64>,
    /// With how many KiB it is replaced.
    max_memory: Option<u64>,
}

/// When children are started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// As many as there are slots, from the beginning.
    AtOnce,
    /// When a task needs one.
    OnDemand,
}

/// So many functions that are not `async` run at once on a runtime of tokio's that nobody has told otherwise.
const BLOCKING_THREADS: usize = 512;

/// Where a task runs, and the slot that it takes.
#[derive(Debug)]
pub(super) enum Place {
    /// In this process.
    Here(Arc<Slot>),
    /// In that child.
    Child(Lease),
}

/// There is no place, and there will be none: the worker stops.
#[derive(Debug)]
pub(super) struct NoPlace;

/// Says what keeps such a pool from being one on this system.
pub(super) fn check(kind: WorkerPool, registry: &Registry) -> Result<(), String> {
    let isolated = || registry.iter().find(|task| task.options.isolate).map(|task| task.name);
    let what = match (kind, isolated()) {
        _ if cfg!(unix) => return Ok(()),
        (WorkerPool::Prefork, _) => "the pool `prefork`".to_owned(),
        (_, Some(task)) => format!("the option `isolate` of task `{task}`"),
        (_, None) => return Ok(()),
    };
    Err(format!("{what} needs child processes, which a worker has on Unix only"))
}

impl Pool {
    pub(super) fn new(
        config: &WorkerConfig,
        hostname: &str,
        size: usize,
        cold: CancellationToken,
    ) -> Self {
        let rules = ChildRules {
            alive_timeout: config.proc_alive_timeout,
            max_tasks: config.max_tasks_per_child,
            max_memory: config.max_memory_per_child,
        };
        let start = match config.pool {
            WorkerPool::Prefork => Start::AtOnce,
            WorkerPool::Async | WorkerPool::Solo => Start::OnDemand,
        };
        let children = Children::new(hostname, size, rules, start, cold.clone());
        Self { kind: config.pool, children, cold }
    }

    /// Starts the children that are to be there from the beginning. All are killed when the guard is dropped; and when
    /// none can be started, the worker is asked to stop.
    pub(super) fn open(&self, size: usize, stop: CancellationToken) -> DropGuard {
        match self.kind {
            WorkerPool::Prefork => self.children.open(),
            WorkerPool::Async if size > BLOCKING_THREADS => tracing::warn!(
                concurrency = size,
                "tokio runs at most {BLOCKING_THREADS} functions that are not `async` at once, unless the runtime is built with more `max_blocking_threads`: others wait in their slots"
            ),
            WorkerPool::Async | WorkerPool::Solo => {}
        }
        let (failed, gone) = (self.children.failed().clone(), self.children.gone().clone());
        tokio::spawn(async move {
            if failed.run_until_cancelled(gone.cancelled()).await.is_none() {
                stop.cancel();
            }
        });
        self.children.gone().clone().drop_guard()
    }

    /// A place for the task, in the slot.
    ///
    /// # Errors
    /// When there is none, and there will be none.
    pub(super) async fn place(
        &self,
        task: &Registration,
        slot: Arc<Slot>,
    ) -> Result<Place, NoPlace> {
        if self.kind != WorkerPool::Prefork && !task.options.isolate {
            return Ok(Place::Here(slot));
        }
        // Boxed, since most tasks run here and are not to be made large by it.
        Box::pin(self.place_in_a_child(slot)).await
    }

    async fn place_in_a_child(&self, slot: Arc<Slot>) -> Result<Place, NoPlace> {
        tokio::select! {
            lease = Lease::take(&self.children, slot) => lease.map(Place::Child).map_err(|_| NoPlace),
            () = self.cold.cancelled() => Err(NoPlace),
        }
    }

    /// Follows the number of slots.
    pub(super) fn resize(&self, size: usize) {
        self.children.resize(size);
    }

    /// Replaces the children, each when its task is done. Inside the worker there is nothing to replace.
    pub(super) fn restart(&self) {
        self.children.restart();
    }

    /// Ends the children, and waits until they have ended.
    pub(super) async fn close(&self) {
        self.children.close().await;
    }

    /// Why no child process can be started, when that is so.
    pub(super) fn failure(&self) -> Option<String> {
        self.children.failure()
    }
}

impl Place {
    /// The process.
    pub(super) fn pid(&self) -> u32 {
        match self {
            Self::Here(_) => std::process::id(),
            Self::Child(lease) => lease.pid(),
        }
    }

    /// Runs the task of the context.
    pub(super) async fn run(
        self,
        node: &Node,
        task: &Registration,
        context: &Context,
        hold: &Hold,
        (limits, when_lost): (Limits, WhenLost),
    ) -> Traced {
        match self {
            Self::Here(slot) => trace(task, context, limits, slot, broken_off(node, hold)).await,
            Self::Child(lease) => {
                // Boxed as above.
                Box::pin(lease.run(task, context, hold, limits, when_lost)).await
            }
        }
    }
}

/// With which outcome a run is broken off, if it ever is.
async fn broken_off(node: &Node, hold: &Hold) -> Outcome {
    tokio::select! {
        () = node.cold.cancelled() => Outcome::Cancelled(Cancellation::Shutdown),
        () = hold.cancellation() => Outcome::Cancelled(Cancellation::ConnectionLost),
        signal = hold.termination() => Outcome::Terminated(signal),
    }
}
