//! The settings without a group, and those that Celery reads without declaring them.

use super::{Setting, refused, refused_except, settings, used};

const IMPORTS: &str = "a Rust program cannot import modules while it runs: name the crates with your tasks in \
    Cargo.toml and link them with `celery::installed_apps!()`";

pub(super) const TOP: &[Setting] = settings! {
    accept_content, "CELERY_ACCEPT_CONTENT", List = r#"["json"]"#,
        used("serializer names or MIME types that a consumer decodes; any other message is refused");
    result_accept_content, upper, List = "null",
        used("the same for results; null means `accept_content`");
    enable_utc, upper, Bool = "true",
        used("published dates are in UTC when no `timezone` is set; false makes them local to the machine");
    imports, "CELERY_IMPORTS", List = "[]", refused(IMPORTS);
    include, "CELERY_INCLUDE", List = "[]", refused(IMPORTS);
    timezone, "CELERY_TIMEZONE", Text = "null",
        used("IANA name of the time zone of dates; null means UTC, or local time if `enable_utc` is false; \
              Django's `TIME_ZONE` is the fallback");
};

pub(super) const UNDECLARED: &[Setting] = settings! {
    redis_backend_health_check_interval, none, Float = "null",
        used("seconds of silence after which the connection that waits for results is checked; null or 0 leaves it to \
              the driver");
    redis_client_name, none, Text = "null",
        used("the name that connections of the result backend give themselves (CLIENT SETNAME)");
    redis_backend_credential_provider, none, Any = "null",
        refused("it names a Python class: give a user name and a password in the URL of `result_backend`");
    result_backend_thread_safe, none, Bool = "false", refused_except(&["true"],
        "the result backend is always shared by all threads here");
    override_backends, none, Dict = "null",
        refused("it names Python classes: a result backend is chosen by the scheme of `result_backend` here");
    db_reuse_max, "CELERY_DB_REUSE_MAX", Int = "null",
        refused("there are no Django database connections in a Rust worker that it could close");
};
