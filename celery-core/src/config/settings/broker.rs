//! The `broker_` settings.

use super::{Setting, refused, refused_except, settings, used};

const AMQP: &str = "it belongs to AMQP brokers, and this version has none";

pub(super) const BROKER: &[Setting] = settings! {
    broker_url, upper, Urls = "null",
        used("URL of the broker; several, as a list or separated by `;`, are tried in turn, also when one is lost");
    broker_read_url, upper, Urls = "null",
        used("URL for consuming; null means `broker_url`");
    broker_write_url, upper, Urls = "null",
        used("URL for publishing, for remote control's client and for `purge`; null means `broker_url`");
    broker_transport, upper, Text = "null",
        used("scheme of the broker when its URL has none");
    broker_transport_options, upper, Dict = "{}",
        used("options of the broker, each honoured or refused by its driver");
    broker_connection_timeout, upper, Float = "4",
        used("seconds for establishing a connection, and the least for which a message is tried to be published; null or 0 leaves the first to \
              the driver and the second to `task_publish_retry_policy`");
    broker_connection_retry, upper, Bool = "true",
        used("a lost connection is established again");
    broker_connection_retry_on_startup, upper, Bool = "null",
        used("the first connection is tried again too; null means `broker_connection_retry`");
    broker_connection_max_retries, upper, Int = "100",
        used("tries before the worker gives up; null or 0 means that it never does");
    broker_channel_error_retry, upper, Bool = "false", refused(AMQP);
    broker_failover_strategy, upper, Text = "null",
        used("which of several brokers is next when one cannot be reached: `round-robin`, which null means, or `shuffle`");
    broker_heartbeat, upper, Int = "120", refused_except(&["null", "0"], AMQP);
    broker_heartbeat_checkrate, upper, Float = "3.0", refused(AMQP);
    broker_login_method, upper, Text = "null", refused(AMQP);
    broker_native_delayed_delivery_queue_type, upper, Text = r#""quorum""#, refused(AMQP);
    broker_pool_limit, upper, Int = "10",
        used("connections kept for publishing at most; one is kept, and shared, so it cannot be null or 0");
    broker_pool_acquire_timeout, upper, Float = "null",
        refused("this version has no time limit of its own for taking a connection from the pool");
    broker_use_ssl, upper, Any = "false",
        used("true, or a dictionary of ssl options (`cert_reqs`, `ca_certs`, `certfile`, `keyfile`): encrypt connections");
    broker_host, upper, Text = "null",
        used("host, where `broker_url` gives none");
    broker_port, upper, Int = "null",
        used("port, where `broker_url` gives none");
    broker_user, upper, Text = "null",
        used("user name, where `broker_url` gives none");
    broker_password, upper, Text = "null",
        used("password, where `broker_url` gives none");
    broker_vhost, upper, Text = "null",
        used("virtual host (on Redis: number of the database), where `broker_url` gives none");
};
