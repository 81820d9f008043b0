//! The `result_` settings.

use super::{Setting, refused, settings, used};

const RPC: &str = "it belongs to the `rpc://` result backend, which this version does not have";

pub(super) const RESULT: &[Setting] = settings! {
    result_backend, "CELERY_RESULT_BACKEND", Text = "null",
        used("URL of the result backend, or several, separated by `;`, that are tried in turn; null means that results are not kept");
    result_cache_max, "CELERY_MAX_CACHED_RESULTS", Int = "-1",
        refused("this version's client remembers no results: keep what `get` returned");
    result_compression, "CELERY_RESULT_COMPRESSION", Text = "null",
        used("compression of stored results");
    result_exchange, "CELERY_RESULT_EXCHANGE", Text = r#""celeryresults""#, refused(RPC);
    result_exchange_type, "CELERY_RESULT_EXCHANGE_TYPE", Text = r#""direct""#, refused(RPC);
    result_expires, "CELERY_TASK_RESULT_EXPIRES", Float = "86400.0",
        used("seconds that results are kept; null or 0 means for ever");
    result_chord_expires, "CELERY_RESULT_CHORD_EXPIRES", Float = "null",
        used("seconds that the parts of a chord are kept; null means `result_expires`, 0 means for ever");
    result_failure_expires, "CELERY_RESULT_FAILURE_EXPIRES", Float = "null",
        used("seconds that failures are kept; null means `result_expires`, 0 means for ever");
    result_persistent, "CELERY_RESULT_PERSISTENT", Bool = "null", refused(RPC);
    result_extended, "CELERY_RESULT_EXTENDED", Bool = "false",
        used("name, arguments, worker, retries and queue of the task are stored with its result");
    result_serializer, "CELERY_RESULT_SERIALIZER", Text = r#""json""#,
        used("serializer of results");
    result_backend_transport_options, "CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS", Dict = "{}",
        used("options of the result backend, each honoured or refused by its driver");
    result_chord_retry_interval, "CELERY_RESULT_CHORD_RETRY_INTERVAL", Float = "1.0",
        used("seconds until it is looked again whether all parts of a chord are done, where the result backend does not count them");
    result_chord_join_timeout, "CELERY_RESULT_CHORD_JOIN_TIMEOUT", Float = "3.0",
        used("half the seconds that a worker has for sending the body of a chord, before another one does; null means 5");
    result_backend_max_sleep_between_retries_ms, "CELERY_RESULT_BACKEND_MAX_SLEEP_BETWEEN_RETRIES_MS", Int = "10000",
        used("with `result_backend_always_retry`: longest pause between two tries, in milliseconds");
    result_backend_max_retries, "CELERY_RESULT_BACKEND_MAX_RETRIES", Float = r#""inf""#,
        used("with `result_backend_always_retry`: tries after the first; null or `inf` means no limit");
    result_backend_base_sleep_between_retries_ms, "CELERY_RESULT_BACKEND_BASE_SLEEP_BETWEEN_RETRIES_MS", Int = "10",
        used("with `result_backend_always_retry`: first pause between two tries, in milliseconds");
    result_backend_always_retry, "CELERY_RESULT_BACKEND_ALWAYS_RETRY", Bool = "false",
        used("who asks for a result, or stores a state, tries again when the connection is lost; a worker that stores how a \
              task ended always does");
};
