//! Environment variables: the four that beat everything, and those of a namespace.
//!
//! The real environment is never read here: the caller hands in its pairs.

use serde_json::{Map, Value};

use crate::config::settings;

/// The variables that Celery itself puts above every other source, with their settings.
const OVERRIDING: [(&str, &str); 4] = [
    ("CELERY_BROKER_URL", "broker_url"),
    ("CELERY_BROKER_READ_URL", "broker_read_url"),
    ("CELERY_BROKER_WRITE_URL", "broker_write_url"),
    ("CELERY_RESULT_BACKEND", "result_backend"),
];

/// Variables with a meaning of their own for Celery, without their `CELERY_`.
const OTHER_MEANING: &[&str] = &[
    "APP",
    "BROKER",
    "CONFIG_MODULE",
    "CUSTOM_WORKER_POOL",
    "LOADER",
    "LOG_FILE",
    "LOG_LEVEL",
    "LOG_REDIRECT",
    "LOG_REDIRECT_LEVEL",
    "NO_COLOR",
    "SKIP_CHECKS",
    "WORKER_REVOKES_MAX",
    "WORKER_REVOKE_EXPIRES",
    "WORKER_SUCCESSFUL_EXPIRES",
    "WORKER_SUCCESSFUL_MAX",
];

/// The options of Celery's commands, which read their defaults from `CELERY_<COMMAND>_<OPTION>`.
const COMMAND_OPTIONS: &[(&str, &str)] = &[
    (
        "BEAT",
        "DETACH SCHEDULE SCHEDULER MAX_INTERVAL REMOTE_CONTROL HOSTNAME LOGLEVEL LOGFILE PIDFILE UID \
              GID UMASK EXECUTABLE",
    ),
    ("CALL", "ARGS KWARGS ETA COUNTDOWN EXPIRES SERIALIZER QUEUE EXCHANGE ROUTING_KEY"),
    ("CONTROL", "LIST TIMEOUT DESTINATION JSON"),
    (
        "EVENTS",
        "DUMP CAMERA DETACH FREQUENCY MAXRATE LOGLEVEL LOGFILE PIDFILE UID GID UMASK EXECUTABLE",
    ),
    ("INSPECT", "LIST TIMEOUT DESTINATION JSON"),
    ("MIGRATE", "LIMIT TIMEOUT ACK_MESSAGES TASKS QUEUES FOREVER"),
    ("PURGE", "FORCE QUEUES EXCLUDE_QUEUES"),
    ("RESULT", "TASK TRACEBACK"),
    ("SHELL", "IPYTHON BPYTHON PYTHON WITHOUT_TASKS EVENTLET GEVENT"),
    ("STATUS", "TIMEOUT DESTINATION JSON"),
    ("UPGRADE", "SETTINGS_DJANGO SETTINGS_COMPAT SETTINGS_NO_BACKUP"),
    (
        "WORKER",
        "HOSTNAME DETACH STATEDB LOGLEVEL OPTIMIZATION PREFETCH_MULTIPLIER DISABLE_PREFETCH CONCURRENCY \
                POOL TASK_EVENTS TIME_LIMIT SOFT_TIME_LIMIT MAX_TASKS_PER_CHILD POOL_START_METHOD \
                MAX_MEMORY_PER_CHILD PURGE QUEUES EXCLUDE_QUEUES INCLUDE WITHOUT_GOSSIP WITHOUT_MINGLE \
                WITHOUT_HEARTBEAT HEARTBEAT_INTERVAL AUTOSCALE BEAT SCHEDULE_FILENAME SCHEDULER LOGFILE PIDFILE \
                UID GID UMASK EXECUTABLE",
    ),
];

/// The settings for which one of the four variables speaks: the variable, the setting, its text.
pub(in crate::config) fn overriding(
    variables: &[(String, String)],
) -> impl Iterator<Item = (&'static str, &'static str, &str)> {
    OVERRIDING.into_iter().filter_map(|(variable, setting)| {
        let (_, text) =
            variables.iter().find(|(name, text)| name == variable && !text.is_empty())?;
        Some((variable, setting, text.as_str()))
    })
}

/// The variables of a namespace that are settings, or that are meant to be.
pub(super) fn within(
    prefix: &str,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Map<String, Value> {
    variables
        .into_iter()
        .filter(|(name, text)| {
            let bare = name.strip_prefix(prefix);
            // Without a namespace, every variable of the system would be a setting.
            prefix != "_"
                && !text.is_empty()
                && bare.is_some_and(|bare| !means_something_else(bare))
        })
        .map(|(name, text)| (name, Value::String(text)))
        .collect()
}

fn means_something_else(bare: &str) -> bool {
    let bare = bare.to_ascii_uppercase();
    // Celery's own reading of this one is a file name, of the setting a dictionary.
    if bare == "BEAT_SCHEDULE" {
        return true;
    }
    // `CELERY_WORKER_CONCURRENCY` is an option and a setting, and means the same by both.
    let is_setting = settings::find(&bare.to_ascii_lowercase()).is_some();
    !is_setting && (OTHER_MEANING.contains(&bare.as_str()) || is_command_option(&bare))
}

fn is_command_option(bare: &str) -> bool {
    COMMAND_OPTIONS.iter().any(|(command, options)| {
        let option = bare.strip_prefix(command).and_then(|rest| rest.strip_prefix('_'));
        option.is_some_and(|option| options.split_whitespace().any(|known| known == option))
    })
}
