//! The `task_` settings.

use super::{Setting, refused, refused_except, settings, used};

const EAGER: &str = "this version does not run tasks in the caller: in a test, call the task's function itself, or run a \
    worker on `memory://`";
const AMQP_QUEUES: &str =
    "types and arguments of queues belong to AMQP brokers, and this version has none";

pub(super) const TASK: &[Setting] = settings! {
    task_acks_late, "CELERY_ACKS_LATE", Bool = "false",
        used("a message is acknowledged after its task ran, not before, so that a crash does not lose it");
    task_acks_on_failure_or_timeout, "CELERY_ACKS_ON_FAILURE_OR_TIMEOUT", Bool = "true",
        used("late acknowledgement also when the task failed or timed out; old form of the next two");
    task_acks_on_failure, "CELERY_ACKS_ON_FAILURE", Bool = "null",
        used("late acknowledgement also when the task failed; null means `task_acks_on_failure_or_timeout`");
    task_acks_on_timeout, "CELERY_ACKS_ON_TIMEOUT", Bool = "null",
        used("late acknowledgement also upon the hard time limit; null means `task_acks_on_failure_or_timeout`, \
              false puts the message back");
    task_always_eager, "CELERY_ALWAYS_EAGER", Bool = "false", refused(EAGER);
    task_annotations, "CELERY_ANNOTATIONS", Any = "null",
        used("options of tasks over what the tasks say: a dictionary from a name, a pattern or `*` to a dictionary of options, \
              or a list of such dictionaries");
    task_compression, "CELERY_MESSAGE_COMPRESSION", Text = "null",
        used("compression of message bodies");
    task_create_missing_queues, "CELERY_CREATE_MISSING_QUEUES", Bool = "true",
        used("a queue that `task_queues` does not name is made up when it is used");
    task_create_missing_queue_type, "CELERY_CREATE_MISSING_QUEUE_TYPE", Text = r#""classic""#, refused(AMQP_QUEUES);
    task_create_missing_queue_exchange_type, "CELERY_CREATE_MISSING_QUEUE_EXCHANGE_TYPE", Text = "null",
        refused_except(&[r#""direct""#], "this version makes direct exchanges only");
    task_inherit_parent_priority, "CELERY_INHERIT_PARENT_PRIORITY", Bool = "false",
        used("a task sent from inside a task takes its priority");
    task_default_delivery_mode, "CELERY_DEFAULT_DELIVERY_MODE", Any = "2",
        used("2 or `persistent`: messages survive a restart of the broker; 1 or `transient`: they need not");
    task_default_queue, "CELERY_DEFAULT_QUEUE", Text = r#""celery""#,
        used("queue of tasks that are routed nowhere else");
    task_default_queue_type, "CELERY_DEFAULT_QUEUE_TYPE", Text = r#""classic""#, refused(AMQP_QUEUES);
    task_default_exchange, "CELERY_DEFAULT_EXCHANGE", Text = "null",
        used("exchange of the default queue; null means the queue's name");
    task_default_exchange_type, "CELERY_DEFAULT_EXCHANGE_TYPE", Text = r#""direct""#,
        refused("this version publishes to direct exchanges only");
    task_default_routing_key, "CELERY_DEFAULT_ROUTING_KEY", Text = "null",
        used("routing key of the default queue; null means the queue's name");
    task_default_rate_limit, "CELERY_DEFAULT_RATE_LIMIT", Text = "null",
        used("how often a task may begin on each worker that says nothing itself: `10/s`, `10/m`, `10/h`");
    task_default_priority, "CELERY_DEFAULT_PRIORITY", Int = "null",
        used("priority of messages that are given none");
    task_eager_propagates, "CELERY_EAGER_PROPAGATES_EXCEPTIONS", Bool = "false", refused(EAGER);
    task_ignore_result, "CELERY_IGNORE_RESULT", Bool = "false",
        used("no result is stored unless the task says so");
    task_store_eager_result, "CELERY_STORE_EAGER_RESULT", Bool = "false", refused(EAGER);
    task_protocol, "CELERY_TASK_PROTOCOL", Int = "2",
        refused("messages of protocol 1 are read but not written; every Celery since 4.0 reads protocol 2");
    task_publish_retry, "CELERY_TASK_PUBLISH_RETRY", Bool = "true",
        used("publishing is tried again upon connection errors");
    task_publish_retry_policy, "CELERY_TASK_PUBLISH_RETRY_POLICY", Dict =
        r#"{"max_retries": 3, "interval_start": 0, "interval_max": 1, "interval_step": 0.2}"#,
        used("how often and how soon publishing is tried again: `max_retries`, `interval_start`, `interval_step`, \
              `interval_max`");
    task_queues, "CELERY_QUEUES", Any = "null",
        used("queues to consume and to route to, as a list or a dictionary; null means the default queue");
    task_queue_max_priority, "CELERY_QUEUE_MAX_PRIORITY", Int = "null",
        refused("the highest priority is an argument of AMQP queues, and this version has no AMQP broker; on Redis \
                 priorities work without it");
    task_reject_on_worker_lost, "CELERY_REJECT_ON_WORKER_LOST", Bool = "null",
        used("a late acknowledged message goes back to its queue when the child process of its task died; when the \
              worker itself dies it always does");
    task_retry_on_worker_lost, "CELERY_RETRY_ON_WORKER_LOST", Bool = "false",
        used("a task is retried when its child process died, at most `max_retries` times");
    task_remote_tracebacks, "CELERY_REMOTE_TRACEBACKS", Bool = "false",
        refused("it makes Python raise errors with a foreign traceback; here the error of a task holds the traceback as \
                 text");
    task_repr_maxlevels, "CELERY_REPR_MAXLEVELS", Int = "3",
        used("nesting depth of the `argsrepr` and `kwargsrepr` headers");
    task_routes, "CELERY_ROUTES", Any = "null",
        used("where tasks go, by their name: a dictionary or a list of pairs or dictionaries");
    task_send_sent_event, "CELERY_SEND_TASK_SENT_EVENT", Bool = "false",
        used("an event, `task-sent`, tells of each task that is sent");
    task_serializer, "CELERY_TASK_SERIALIZER", Text = r#""json""#,
        used("serializer of message bodies");
    task_soft_time_limit, "CELERYD_TASK_SOFT_TIME_LIMIT", Float = "null",
        used("seconds until a task is asked to stop; null or 0 means never");
    task_time_limit, "CELERYD_TASK_TIME_LIMIT", Float = "null",
        used("seconds until a task is stopped; null or 0 means never");
    task_store_errors_even_if_ignored, "CELERY_STORE_ERRORS_EVEN_IF_IGNORED", Bool = "false",
        used("failures are stored although results are ignored");
    task_track_started, "CELERY_TRACK_STARTED", Bool = "false",
        used("the state STARTED is stored when a task begins");
    task_allow_error_cb_on_chord_header, "CELERY_ALLOW_ERROR_CB_ON_CHORD_HEADER", Bool = "false",
        used("an error callback that is linked to a chord is linked to each task of its header, too");
};
