//! The `control_` and `event_` settings.

use super::{Setting, refused, settings, used};

const AMQP: &str = "only AMQP brokers know this of a queue, and this version has none";

pub(super) const CONTROL: &[Setting] = settings! {
    control_queue_ttl, upper, Float = "300.0", refused(AMQP);
    control_queue_expires, upper, Float = "10.0",
        used("seconds after which an unused control queue goes");
    control_queue_exclusive, upper, Bool = "true", refused(AMQP);
    control_queue_durable, upper, Bool = "false", refused(AMQP);
    control_exchange, upper, Text = r#""celery""#,
        used("stem of the names of the control exchanges: `<name>.pidbox` and `reply.<name>.pidbox`");
};

pub(super) const EVENT: &[Setting] = settings! {
    event_queue_expires, "CELERY_EVENT_QUEUE_EXPIRES", Float = "60.0",
        used("seconds after which the queue of an event receiver that is gone goes, too");
    event_queue_ttl, "CELERY_EVENT_QUEUE_TTL", Float = "5.0",
        used("seconds that an event waits for a receiver that is slow; 0 or null means for ever");
    event_queue_prefix, "CELERY_EVENT_QUEUE_PREFIX", Text = r#""celeryev""#,
        used("what the names of the queues of event receivers begin with");
    event_queue_exclusive, "CELERY_EVENT_QUEUE_EXCLUSIVE", Bool = "true", refused(AMQP);
    event_queue_durable, "CELERY_EVENT_QUEUE_DURABLE", Bool = "false", refused(AMQP);
    event_serializer, "CELERY_EVENT_SERIALIZER", Text = r#""json""#, used("serializer of events");
    event_exchange, "CELERY_EVENT_EXCHANGE", Text = r#""celeryev""#, used("exchange of events");
};
