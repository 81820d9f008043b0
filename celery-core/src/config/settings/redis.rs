//! The `redis_` settings: the Redis result backend.

use super::{Setting, refused_except, settings, used};

pub(super) const REDIS: &[Setting] = settings! {
    redis_backend_use_ssl, "CELERY_REDIS_BACKEND_USE_SSL", Any = "null",
        used("true, or a dictionary of ssl options as in `broker_use_ssl`: encrypt connections");
    redis_db, "CELERY_REDIS_DB", Int = "null",
        used("number of the database, where `result_backend` gives none");
    redis_host, "CELERY_REDIS_HOST", Text = "null",
        used("host, where `result_backend` gives none");
    redis_max_connections, "CELERY_REDIS_MAX_CONNECTIONS", Int = "null",
        used("connections of the result backend at most; it makes two, one of them for waiting, so 1 is refused; null or 0 \
              means no limit");
    redis_username, "CELERY_REDIS_USERNAME", Text = "null",
        used("user name, where `result_backend` gives none");
    redis_password, "CELERY_REDIS_PASSWORD", Text = "null",
        used("password, where `result_backend` gives none");
    redis_port, "CELERY_REDIS_PORT", Int = "null",
        used("port, where `result_backend` gives none");
    redis_socket_timeout, "CELERY_REDIS_SOCKET_TIMEOUT", Float = "120.0",
        used("seconds for one command; null or 0 leaves the limit to the driver");
    redis_socket_connect_timeout, "CELERY_REDIS_SOCKET_CONNECT_TIMEOUT", Float = "null",
        used("seconds for establishing a connection; null or 0 leaves the limit to the driver");
    redis_retry_on_timeout, "CELERY_REDIS_RETRY_ON_TIMEOUT", Bool = "false",
        refused_except(&["true"],
            "commands that can be repeated safely always are, and the others never");
    redis_socket_keepalive, "CELERY_REDIS_SOCKET_KEEPALIVE", Bool = "false",
        used("TCP keepalive on connections");
};
