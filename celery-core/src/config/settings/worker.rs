//! The `worker_` settings.

use super::{Setting, refused, refused_except, settings, used};

const LOG_LINES: &str = "the layout of log lines is not a setting here: give your program a `tracing` subscriber of \
    your own, with `worker_hijack_root_logger` false";
const STDOUTS: &str =
    "what Rust tasks print always goes straight to the terminal, never to the log";

pub(super) const WORKER: &[Setting] = settings! {
    worker_agent, "CELERYD_AGENT", Text = "null", refused("it names a Python class");
    worker_autoscaler, "CELERYD_AUTOSCALER", Text = r#""celery.worker.autoscale:Autoscaler""#,
        refused("it names a Python class; `--autoscale` has one of ours");
    worker_cancel_long_running_tasks_on_connection_loss,
        "CELERYD_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS", Bool = "false",
        used("when the broker connection is lost, running `acks_late` tasks are stopped, and run again");
    worker_soft_shutdown_timeout, "CELERYD_SOFT_SHUTDOWN_TIMEOUT", Float = "0.0",
        used("seconds that running tasks get before a cold shutdown; 0 means none");
    worker_enable_soft_shutdown_on_idle, "CELERYD_ENABLE_SOFT_SHUTDOWN_ON_IDLE", Bool = "false",
        used("the soft shutdown takes its time also when no task runs");
    worker_concurrency, "CELERYD_CONCURRENCY", Int = "null",
        used("tasks that run at once; null or 0 means the number of CPUs");
    worker_consumer, "CELERYD_CONSUMER", Text = r#""celery.worker.consumer:Consumer""#,
        refused("it names a Python class");
    worker_direct, "CELERY_WORKER_DIRECT", Bool = "false",
        refused("this version gives a worker no queue of its own: name one with `task_queues`");
    worker_disable_rate_limits, "CELERY_DISABLE_RATE_LIMITS", Bool = "false",
        used("rate limits of tasks are ignored");
    worker_deduplicate_successful_tasks, "CELERYD_DEDUPLICATE_SUCCESSFUL_TASKS", Bool = "false",
        used("a redelivered `acks_late` task whose result is SUCCESS already is skipped");
    worker_enable_remote_control, "CELERY_ENABLE_REMOTE_CONTROL", Bool = "true",
        used("the worker answers control commands");
    worker_hijack_root_logger, "CELERYD_HIJACK_ROOT_LOGGER", Bool = "true",
        used("the command line sets up logging; false leaves it to your program");
    worker_log_color, "CELERYD_LOG_COLOR", Bool = "null",
        used("coloured log lines; null means on a terminal only");
    worker_log_datefmt, "CELERYD_LOG_DATEFMT", Text = "null", refused(LOG_LINES);
    worker_log_format, "CELERYD_LOG_FORMAT", Text =
        r#""[%(asctime)s: %(levelname)s/%(processName)s] %(message)s""#, refused(LOG_LINES);
    worker_lost_wait, "CELERYD_WORKER_LOST_WAIT", Float = "10.0",
        refused("what a child process said before it died is never late here, so there is nothing to wait for");
    worker_max_memory_per_child, "CELERYD_MAX_MEMORY_PER_CHILD", Int = "null",
        used("KiB of resident memory with which a child process is replaced after its task; null or 0 means any number");
    worker_max_tasks_per_child, "CELERYD_MAX_TASKS_PER_CHILD", Int = "null",
        used("tasks after which a child process is replaced; null or 0 means any number");
    worker_pool, "CELERYD_POOL", Text = r#""prefork""#,
        used("how tasks run: `async`, which is the default here, `prefork` in child processes, or `solo` one at a time; \
              `threads` is another name of `async`");
    worker_pool_putlocks, "CELERYD_POOL_PUTLOCKS", Bool = "true",
        refused("the pool never takes more tasks than its concurrency here");
    worker_pool_restarts, "CELERYD_POOL_RESTARTS", Bool = "false",
        used("the command `pool_restart` is obeyed: it replaces the child processes");
    worker_pool_start_method, "CELERYD_POOL_START_METHOD", Text = r#""fork""#, refused_except(&[r#""spawn""#],
        "child processes are always the program started anew, which is Python's `spawn`");
    worker_proc_alive_timeout, "CELERYD_PROC_ALIVE_TIMEOUT", Float = "4.0",
        used("seconds that a child process may take to start, `worker_process_init` included");
    worker_prefetch_multiplier, "CELERYD_PREFETCH_MULTIPLIER", Int = "4",
        used("messages that a worker holds, as a multiple of its concurrency; 0 means no limit");
    worker_eta_task_limit, "CELERYD_ETA_TASK_LIMIT", Int = "null",
        refused("this version has no limit for tasks with an ETA alone");
    worker_enable_prefetch_count_reduction, "CELERYD_ENABLE_PREFETCH_COUNT_REDUCTION", Bool = "true",
        refused("this version always counts tasks that still run after a reconnect");
    worker_disable_prefetch, "CELERYD_DISABLE_PREFETCH", Bool = "false",
        refused("set `worker_prefetch_multiplier` to 1 together with `task_acks_late` for nearly the same effect");
    worker_redirect_stdouts, "CELERY_REDIRECT_STDOUTS", Bool = "true", refused_except(&["false"], STDOUTS);
    worker_redirect_stdouts_level, "CELERY_REDIRECT_STDOUTS_LEVEL", Text = r#""WARNING""#, refused(STDOUTS);
    worker_send_task_events, "CELERY_SEND_EVENTS", Bool = "false",
        used("the worker sends task events from its start, as with `-E`");
    worker_state_db, "CELERYD_STATE_DB", Text = "null",
        used("a file for what is revoked, over restarts: JSON of this version's own, since Celery's can be read by Python alone");
    worker_task_log_datefmt, "CELERYD_TASK_LOG_DATEFMT", Text = "null", refused(LOG_LINES);
    worker_task_log_format, "CELERYD_TASK_LOG_FORMAT", Text =
        r#""[%(asctime)s: %(levelname)s/%(processName)s] %(task_name)s[%(task_id)s]: %(message)s""#,
        refused(LOG_LINES);
    worker_timer, "CELERYD_TIMER", Text = "null", refused("it names a Python class");
    worker_timer_precision, "CELERYD_TIMER_PRECISION", Float = "1.0",
        refused("timers have no polling interval here");
    worker_detect_quorum_queues, "CELERYD_DETECT_QUORUM_QUEUES", Bool = "true", refused_except(&["false"],
        "quorum queues belong to AMQP brokers, and this version has none");
};
