//! The `worker_` settings as fields.

use std::{path::PathBuf, time::Duration};

use serde::Serialize;
use serde_json::Value;

use super::masked::seconds;
use super::read::{Parsed, Reader, boolean, integer, name, optional, positive};

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
    /// Whether late tasks are stopped when the connection to the broker is lost.
    pub cancel_long_running_tasks_on_connection_loss: bool,
    /// Whether that time passes also when nothing runs.
    pub enable_soft_shutdown_on_idle: bool,
    /// Whether rate limits of tasks are ignored.
    pub disable_rate_limits: bool,
    /// A file for what is revoked, over restarts.
    pub state_db: Option<PathBuf>,
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
    /// Whether the command `pool_restart` is obeyed.
    pub pool_restarts: bool,
    /// How long a child process may take to start.
    #[serde(serialize_with = "seconds")]
    pub proc_alive_timeout: Duration,
    /// After how many tasks a child process is replaced; `None` means any number.
    pub max_tasks_per_child: Option<u64>,
    /// With how many KiB of resident memory a child process is replaced; `None` means any number.
    pub max_memory_per_child: Option<u64>,
}

/// How a worker runs its tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum WorkerPool {
    /// Async tasks on the runtime, blocking ones on its blocking threads: `async`, or `threads`.
    #[default]
    Async,
    /// Each task in one of several child processes: `prefork`.
    ///
    /// It is Celery's default, but not ours: only who names it has it.
    Prefork,
    /// One task at a time, for debugging: `solo`.
    Solo,
}

impl WorkerPool {
    /// The pool's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Async => "async",
            Self::Prefork => "prefork",
            Self::Solo => "solo",
        }
    }

    /// Reads the pool's name, as the setting and the command line give it.
    ///
    /// # Examples
    /// ```
    /// use celery_core::config::WorkerPool;
    ///
    /// assert_eq!(WorkerPool::parse("prefork"), Some(WorkerPool::Prefork));
    /// assert_eq!(WorkerPool::parse("gevent"), None);
    /// ```
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "async" | "threads" => Some(Self::Async),
            "prefork" => Some(Self::Prefork),
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
            cancel_long_running_tasks_on_connection_loss: reader
                .read("worker_cancel_long_running_tasks_on_connection_loss", boolean),
            enable_soft_shutdown_on_idle: reader
                .read("worker_enable_soft_shutdown_on_idle", boolean),
            disable_rate_limits: reader.read("worker_disable_rate_limits", boolean),
            state_db: reader.read("worker_state_db", optional(name)).map(PathBuf::from),
            enable_remote_control: reader.read("worker_enable_remote_control", boolean),
            deduplicate_successful_tasks: reader
                .read("worker_deduplicate_successful_tasks", boolean),
            hijack_root_logger: reader.read("worker_hijack_root_logger", boolean),
            log_color: reader.read("worker_log_color", optional(boolean)),
            send_task_events: reader.read("worker_send_task_events", boolean),
            // What nobody named is not Celery's default.
            pool: if reader.is_given("worker_pool") {
                reader.read("worker_pool", pool)
            } else {
                WorkerPool::default()
            },
            pool_restarts: reader.read("worker_pool_restarts", boolean),
            proc_alive_timeout: reader.read("worker_proc_alive_timeout", super::read::seconds),
            max_tasks_per_child: reader.read("worker_max_tasks_per_child", positive::<u64>),
            max_memory_per_child: reader.read("worker_max_memory_per_child", positive::<u64>),
        }
    }
}

fn pool(value: &Value) -> Parsed<WorkerPool> {
    value.as_str().and_then(WorkerPool::parse).ok_or_else(|| {
        "`async` (in which tasks that are no `async fn` run on threads), `prefork`, `solo` or `threads`; there is no `gevent` or `eventlet` here".to_owned()
    })
}
