//! The `worker_` settings as fields.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::masked::seconds;
use super::read::{Parsed, Reader, boolean, integer, optional, positive};

/// How a worker behaves.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct WorkerConfig {
    /// Tasks that run at once; `None` means the number of CPUs.
    pub concurrency: Option<usize>,
    /// Messages that the worker holds, as a multiple of its concurrency; 0 means no limit.
    pub prefetch_multiplier: u32,
    /// What running tasks get between the warm and the cold shutdown; zero means no soft shutdown.
    #[serde(serialize_with = "seconds")]
    pub soft_shutdown_timeout: Duration,
    /// Whether the worker answers control commands.
    pub enable_remote_control: bool,
    /// Whether a redelivered `acks_late` task whose result is SUCCESS already is skipped.
    pub deduplicate_successful_tasks: bool,
    /// Whether the command line sets up logging, rather than your program.
    pub hijack_root_logger: bool,
    /// Whether log lines are coloured; `None` means on a terminal only.
    pub log_color: Option<bool>,
    /// How tasks run.
    pub pool: WorkerPool,
    /// Whether task events are sent from the start.
    pub send_task_events: bool,
}

/// How a worker runs its tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum WorkerPool {
    /// Async tasks on the runtime, blocking ones on its blocking threads: `async`.
    ///
    /// Celery's default, `prefork`, is read as this one: it asks for no particular pool, and nothing of ours
    /// forks.
    #[default]
    Async,
    /// One task at a time, for debugging: `solo`.
    Solo,
}

impl WorkerPool {
    /// Reads the pool's name, as the setting and the command line give it.
    ///
    /// # Examples
    /// ```
    /// use celery_core::config::WorkerPool;
    ///
    /// assert_eq!(WorkerPool::parse("prefork"), Some(WorkerPool::Async));
    /// assert_eq!(WorkerPool::parse("gevent"), None);
    /// ```
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "async" | "prefork" => Some(Self::Async),
            "solo" => Some(Self::Solo),
            _ => None,
        }
    }
}

impl WorkerConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            concurrency: reader
                .read("worker_concurrency", positive::<u32>)
                .and_then(|tasks| usize::try_from(tasks).ok()),
            prefetch_multiplier: reader.read("worker_prefetch_multiplier", integer),
            soft_shutdown_timeout: reader
                .read("worker_soft_shutdown_timeout", super::read::seconds),
            enable_remote_control: reader.read("worker_enable_remote_control", boolean),
            deduplicate_successful_tasks: reader
                .read("worker_deduplicate_successful_tasks", boolean),
            hijack_root_logger: reader.read("worker_hijack_root_logger", boolean),
            log_color: reader.read("worker_log_color", optional(boolean)),
            pool: reader.read("worker_pool", pool),
            send_task_events: reader.read("worker_send_task_events", boolean),
        }
    }
}

fn pool(value: &Value) -> Parsed<WorkerPool> {
    value.as_str().and_then(WorkerPool::parse).ok_or_else(|| {
        "`async` or `solo` (`prefork` is read as `async`, in which tasks that are no `async fn` run on threads; there is no `threads`, `gevent` or `eventlet` here)".to_owned()
    })
}
