//! The options of the transport: `broker_transport_options`, and what a URL says behind its `?`.
//!
//! Every option that kombu's Redis transport has is here: honoured, or known to have no meaning for this driver, or
//! refused with a sentence. What is none of them is refused with the name that was probably meant.

mod read;

use std::time::Duration;

use celery_core::{
    config::{Config, FailoverStrategy},
    envelope::BodyEncoding,
    value::{Map, Value},
};

use self::read::Reader;
use crate::{
    error::BadOption,
    keys::Keys,
    servers::{AppKeys, SentinelOptions},
};

/// What `broker_transport_options` says.
#[derive(Clone, Debug)]
pub(crate) struct BrokerOptions {
    pub(crate) keys: Keys,
    pub(crate) visibility_timeout: Duration,
    pub(crate) restore_interval: Duration,
    pub(crate) restore_limit: Option<u64>,
    /// After how long a silence a worker is dead, in whole seconds: those are what the server's books count.
    pub(crate) worker_timeout: u32,
    pub(crate) registry: Registry,
    pub(crate) order: QueueOrder,
    pub(crate) deadletter_queue: Option<String>,
    pub(crate) body_encoding: BodyEncoding,
    /// For how many seconds the names are kept of what is published once.
    pub(crate) names_kept: u64,
    pub(crate) link: LinkOptions,
}

/// Where a message is recorded when it is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Registry {
    /// In batches of the process, and among kombu's when it is held for more than a moment.
    Pending,
    /// Among kombu's at once.
    Unacked,
}

/// In which order queues are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueOrder {
    /// The queue just served moves to the end.
    RoundRobin,
    /// In the order given.
    Priority,
    /// By name.
    Sorted,
}

/// How connections are made and watched.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LinkOptions {
    pub(crate) connect_timeout: Duration,
    pub(crate) response_timeout: Duration,
    pub(crate) health_check_interval: Duration,
    pub(crate) keepalive: Option<Keepalive>,
    pub(crate) client_name: Option<String>,
    /// Which of several servers is next.
    pub(crate) failover: FailoverStrategy,
    pub(crate) sentinel: SentinelOptions,
    pub(crate) keys: AppKeys,
}

/// When TCP probes a silent peer; what is `None` is left to the system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Keepalive {
    pub(crate) idle: Option<Duration>,
    pub(crate) interval: Option<Duration>,
    pub(crate) retries: Option<u32>,
}

/// How long a command may take that is given no limit: a server that is silent for so long is gone.
const PATIENCE: Duration = Duration::from_secs(25);
/// How long connecting may take that is given no limit.
const CONNECT: Duration = Duration::from_secs(4);

/// What has a meaning in Python only, with the reason.
const WITHOUT_MEANING: &[(&str, &str)] = &[
    ("unacked_mutex_key", "putting messages back is atomic and takes no lock"),
    ("unacked_mutex_expire", "putting messages back is atomic and takes no lock"),
    ("unacked_restore_throttle", "every look at what is overdue is one cheap command"),
    ("polling_interval", "the server tells of new messages, nothing is polled"),
    ("retry_on_timeout", "commands that can be repeated safely are, the others never"),
    ("max_connections", "one connection is shared, and only who waits has one more"),
    ("reauth_check_interval", "there are no streamed credentials"),
    ("max_retries", "the worker's `broker_connection_…` settings say how often"),
    ("interval_start", "the worker's `broker_connection_…` settings say how often"),
    ("interval_step", "the worker's `broker_connection_…` settings say how often"),
    ("interval_max", "the worker's `broker_connection_…` settings say how often"),
    ("connect_retries_timeout", "the worker's `broker_connection_…` settings say how often"),
];

/// What we cannot do, with the remedy.
const REFUSED: &[(&str, &str)] = &[(
    "credential_provider",
    "this driver takes no credential provider; put user and password into the URL",
)];

impl BrokerOptions {
    /// Reads the options; what the URL says goes first.
    pub(crate) fn read(config: &Config, query: &Map, db: i64) -> Result<Self, BadOption> {
        let mut options = config.broker.transport_options.0.clone();
        options.extend(query.clone());
        const SETTING: &str = "broker_transport_options";
        let read = Reader::new(SETTING, &options);
        if read.boolean("ack_emulation", true)? {
            // Without it a message would be gone once it is popped, and a crash would lose it.
        } else {
            return Err(read.refuse(
                "ack_emulation",
                "messages are always kept until they are acknowledged; remove it",
            ));
        }
        let sep = read.text("sep")?.unwrap_or_else(|| "\u{6}\u{16}".to_owned());
        if sep.is_empty() {
            return Err(read.refuse(
                "sep",
                "it must not be empty, since it is what tells the parts of a key apart",
            ));
        }
        if read.boolean("sentinel_fanout_compat", false)? {
            let why = "this driver does not serve workers with kombu before 5.4 behind sentinels; upgrade those, and remove it";
            return Err(read.refuse("sentinel_fanout_compat", why));
        }
        let keys = Keys {
            prefix: read.text("global_keyprefix")?.unwrap_or_default(),
            sep,
            steps: read.steps()?,
            unacked: read.text("unacked_key")?.unwrap_or_else(|| "unacked".to_owned()),
            unacked_index: read
                .text("unacked_index_key")?
                .unwrap_or_else(|| "unacked_index".to_owned()),
            fanout_prefix: read.fanout_prefix(db)?,
            fanout_patterns: read.boolean("fanout_patterns", true)?,
        };
        let app_keys = AppKeys { prefix: keys.prefix.clone(), setting: SETTING };
        let this = Self {
            keys,
            visibility_timeout: read
                .seconds("visibility_timeout")?
                .unwrap_or(Duration::from_secs(3600)),
            restore_interval: read
                .seconds("unacked_restore_interval")?
                .unwrap_or(Duration::from_secs(10)),
            restore_limit: read.count("unacked_restore_limit")?,
            worker_timeout: read.worker_timeout()?,
            registry: read.registry()?,
            order: read.order()?,
            deadletter_queue: read.text("deadletter_queue")?,
            body_encoding: read.body_encoding()?,
            names_kept: names_kept(config),
            link: LinkOptions {
                connect_timeout: read
                    .seconds("socket_connect_timeout")?
                    .or(config.broker.connection_timeout)
                    .unwrap_or(CONNECT),
                response_timeout: read.seconds("socket_timeout")?.unwrap_or(PATIENCE),
                health_check_interval: read.seconds("health_check_interval")?.unwrap_or(PATIENCE),
                keepalive: read.keepalive()?,
                client_name: read.text("client_name")?,
                failover: config.broker.failover_strategy,
                sentinel: read.sentinel()?,
                keys: app_keys,
            },
        };
        read.finish(WITHOUT_MEANING, REFUSED)?;
        Ok(this)
    }
}

/// As long as what is published once may be published again: as long as the books of chords are kept, and an hour at least.
fn names_kept(config: &Config) -> u64 {
    const A_DAY: Duration = Duration::from_secs(86_400);
    let kept = config.result.expires.max(config.result.chord_lifetime());
    kept.unwrap_or(A_DAY).as_secs().max(3600)
}

/// What `result_backend_transport_options` and the `redis_…` settings say.
#[derive(Clone, Debug)]
pub(crate) struct BackendOptions {
    /// What stands in front of every key, with its `_`.
    pub(crate) prefix: String,
    /// Whether the parts of chords are in the order of their places, and not in that of their coming.
    pub(crate) chord_ordered: bool,
    pub(crate) link: LinkOptions,
}

impl BackendOptions {
    /// Reads the options; what the URL says goes first.
    pub(crate) fn read(config: &Config, query: &Map) -> Result<Self, BadOption> {
        const WITHOUT_MEANING: &[(&str, &str)] = &[
            ("visibility_timeout", "results are not leased"),
            ("retry_policy", "the `result_backend_…retr…` settings say how often"),
            ("retry_on_timeout", "commands that can be repeated safely are, the others never"),
            ("additional_connection_errors", "there are no exception classes here"),
        ];
        const SETTING: &str = "result_backend_transport_options";
        let redis = &config.redis;
        let read = Reader::new(SETTING, &config.result.backend_transport_options.0);
        let mut prefix = read.text("global_keyprefix")?.unwrap_or_default();
        if !prefix.is_empty() && !prefix.ends_with([':', '_', '-', '.']) {
            prefix.push('_');
        }
        let chord_ordered = read.boolean("result_chord_ordered", true)?;
        let sentinel = read.sentinel()?;
        read.finish(WITHOUT_MEANING, REFUSED)?;
        let read = Reader::new("the URL of the result backend", query);
        let most = read.count("max_connections")?.or(redis.max_connections.map(u64::from));
        if most == Some(1) {
            let why = "`redis_max_connections` must be 2 or more, since results are waited for on a connection of their own";
            return Err(BadOption(why.to_owned()));
        }
        let link = LinkOptions {
            connect_timeout: read
                .seconds("socket_connect_timeout")?
                .or(redis.socket_connect_timeout)
                .unwrap_or(CONNECT),
            response_timeout: read
                .seconds("socket_timeout")?
                .or(redis.socket_timeout)
                .unwrap_or(PATIENCE),
            health_check_interval: read
                .seconds("health_check_interval")?
                .or(redis.backend_health_check_interval)
                .unwrap_or(PATIENCE),
            keepalive: match read.keepalive()? {
                None if redis.socket_keepalive => Some(Keepalive::default()),
                keepalive => keepalive,
            },
            client_name: read.text("client_name")?.or_else(|| redis.client_name.clone()),
            failover: FailoverStrategy::RoundRobin,
            sentinel,
            keys: AppKeys { prefix: prefix.clone(), setting: SETTING },
        };
        read.finish(WITHOUT_MEANING, REFUSED)?;
        Ok(Self { prefix, chord_ordered, link })
    }
}

/// An option from a URL is text; this is what it would be in a settings file.
pub(crate) fn from_text(text: &str) -> Value {
    match text {
        "True" | "true" => true.into(),
        "False" | "false" => false.into(),
        "None" | "null" => Value::Null,
        text => match serde_json::from_str::<serde_json::Number>(text) {
            Ok(number) => Value::Number(number),
            Err(_) => text.into(),
        },
    }
}

#[cfg(test)]
mod tests;
