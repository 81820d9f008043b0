//! The queues of the settings, and those that are made up as they are used.

use std::{borrow::Cow, time::Duration};

use super::{RouteError, did_you_mean, name, shape, text};
use crate::{
    config::TaskConfig,
    queue::{Exchange, ExchangeKind, Queue},
    value::{Map, Value},
};

/// The queues that are known by name: the setting `task_queues`, or else the default queue alone.
#[derive(Clone, Debug)]
pub struct Queues {
    /// In the order of the setting.
    queues: Vec<Queue>,
    defaults: QueueDefaults,
}

/// What a queue has that is not told otherwise: the `task_default_…` settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueDefaults {
    /// The name of the default queue.
    pub queue: String,
    /// The exchange of queues that are given none.
    pub exchange: Exchange,
    /// The routing key of the default queue.
    pub routing_key: String,
    /// Whether a queue that is not known is made up.
    pub create_missing: bool,
}

/// A queue that is not among those of the settings, which are not to be added to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue `{name}` is not in `task_queues`, and `task_create_missing_queues` is off{}",
    .meant.as_ref().map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default())]
pub struct UnknownQueue {
    /// The name that was asked for.
    pub name: String,
    /// One that is known and much like it.
    pub meant: Option<String>,
}

impl Queues {
    /// Reads the settings.
    ///
    /// # Errors
    ///
    /// [`RouteError`] names the queue and what is wrong with it.
    pub fn new(config: &TaskConfig) -> Result<Self, RouteError> {
        let defaults = QueueDefaults {
            queue: config.default_queue.clone(),
            exchange: Exchange::direct(config.default_exchange()),
            routing_key: config.default_routing_key().to_owned(),
            create_missing: config.create_missing_queues,
        };
        Self::parse(config.queues.as_ref().unwrap_or(&Value::Null), defaults)
    }

    /// Reads `task_queues`: null, a list of names and of dictionaries with a `name`, or a dictionary from names to
    /// options.
    ///
    /// A name alone is a queue on an exchange of its own. The options are `exchange`, `exchange_type`, `routing_key` (or
    /// `binding_key`) and `expires`, in seconds. As in Celery, without an `exchange` the queue is on the default one, and
    /// without a `routing_key` it is bound by its name. What matters to RabbitMQ alone is passed over.
    ///
    /// # Errors
    ///
    /// [`RouteError`] names the queue and what is wrong with it.
    pub fn parse(setting: &Value, defaults: QueueDefaults) -> Result<Self, RouteError> {
        const EXPECTED: &str = "a list of queues (each a name, or a dictionary with a `name`), or a dictionary from names to options";
        let mut queues = Self { queues: Vec::new(), defaults };
        match setting {
            Value::Null => {}
            Value::Array(list) => {
                for queue in list {
                    match queue {
                        Value::String(name) => queues.add(queues.made_up(name)),
                        Value::Object(options) => match options.get("name") {
                            Some(Value::String(name)) => queues.add(queues.read(name, options)?),
                            _ => return Err(shape("a queue with a `name`", queue)),
                        },
                        other => {
                            return Err(shape(
                                "a queue: its name, or a dictionary with a `name`",
                                other,
                            ));
                        }
                    }
                }
            }
            Value::Object(map) => {
                for (name, options) in map {
                    match options {
                        Value::Null => queues.add(queues.read(name, &Map::new())?),
                        Value::Object(options) => queues.add(queues.read(name, options)?),
                        other => return Err(shape("a dictionary of the queue's options", other)),
                    }
                }
            }
            other => return Err(shape(EXPECTED, other)),
        }
        if let Some(nameless) = queues.queues.iter().find(|queue| queue.name.is_empty()) {
            let reason = "has no name".to_owned();
            return Err(RouteError::Queue { queue: nameless.name.clone(), reason });
        }
        if queues.queues.is_empty() {
            queues.add(queues.made_up(&queues.defaults.queue));
        }
        Ok(queues)
    }

    /// The queues of the settings in their order, which a worker consumes from unless told otherwise.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Queue> {
        self.queues.iter()
    }

    /// The queue of this name.
    pub fn get(&self, name: &str) -> Option<&Queue> {
        self.queues.iter().find(|queue| queue.name == name)
    }

    /// The queue of this name, made up if need be.
    ///
    /// # Errors
    ///
    /// [`UnknownQueue`] when it is not in the settings, and `task_create_missing_queues` is off.
    pub fn get_or_create(&self, name: &str) -> Result<Queue, UnknownQueue> {
        self.find(name).map(Cow::into_owned)
    }

    /// As [`get_or_create`](Self::get_or_create), without a copy of one that is there.
    ///
    /// # Errors
    ///
    /// As for `get_or_create`.
    pub(crate) fn find(&self, name: &str) -> Result<Cow<'_, Queue>, UnknownQueue> {
        match self.get(name) {
            Some(queue) => Ok(Cow::Borrowed(queue)),
            None if self.defaults.create_missing => Ok(Cow::Owned(self.made_up(name))),
            None => {
                let meant = did_you_mean(name, self.queues.iter().map(|queue| &*queue.name));
                Err(UnknownQueue { name: name.to_owned(), meant: meant.map(str::to_owned) })
            }
        }
    }

    /// The queue of tasks that are routed nowhere else, made up if the settings do not have it.
    pub fn default_queue(&self) -> Queue {
        self.find_default().into_owned()
    }

    /// As [`default_queue`](Self::default_queue), without a copy of one that is there.
    pub(crate) fn find_default(&self) -> Cow<'_, Queue> {
        let name = &self.defaults.queue;
        self.get(name).map_or_else(|| Cow::Owned(self.made_up(name)), Cow::Borrowed)
    }

    /// The exchange of this name, which is direct unless the settings have it otherwise.
    pub fn exchange(&self, name: &str) -> Exchange {
        let known =
            self.queues.iter().map(|queue| &queue.exchange).chain([&self.defaults.exchange]);
        known
            .into_iter()
            .find(|exchange| exchange.name == name)
            .cloned()
            .unwrap_or_else(|| Exchange::direct(name))
    }

    /// A queue of which the name alone is known.
    fn made_up(&self, name: &str) -> Queue {
        let QueueDefaults { queue, exchange, routing_key, .. } = &self.defaults;
        let made_up = Queue::named(name);
        if name == queue {
            Queue { exchange: exchange.clone(), routing_key: routing_key.clone(), ..made_up }
        } else {
            made_up
        }
    }

    /// Adds a queue, in place of one of the same name.
    fn add(&mut self, queue: Queue) {
        match self.queues.iter_mut().find(|known| known.name == queue.name) {
            Some(known) => *known = queue,
            None => self.queues.push(queue),
        }
    }

    fn read(&self, queue: &str, options: &Map) -> Result<Queue, RouteError> {
        let options = Options::read(options)
            .map_err(|reason| RouteError::Queue { queue: queue.to_owned(), reason })?;
        Ok(Queue {
            name: queue.to_owned(),
            exchange: match options.exchange.filter(|name| !name.is_empty()) {
                Some(name) => Exchange { name, kind: options.kind },
                None => self.defaults.exchange.clone(),
            },
            routing_key: options
                .routing_key
                .or(options.binding_key)
                .unwrap_or_else(|| queue.to_owned()),
            expires: options.expires,
        })
    }
}

struct Options {
    exchange: Option<String>,
    kind: ExchangeKind,
    routing_key: Option<String>,
    binding_key: Option<String>,
    expires: Option<Duration>,
}

impl Options {
    fn read(options: &Map) -> Result<Self, String> {
        let mut read = Self {
            exchange: None,
            kind: ExchangeKind::Direct,
            routing_key: None,
            binding_key: None,
            expires: None,
        };
        for (key, value) in options {
            match &**key {
                "name" => {}
                "exchange" => read.exchange = text(key, value)?,
                "exchange_type" => read.kind = kind(name(key, value)?.as_deref())?,
                "routing_key" => read.routing_key = text(key, value)?,
                "binding_key" => read.binding_key = text(key, value)?,
                "expires" => read.expires = expires(value)?,
                "bindings" | "alias" => {
                    return Err(format!(
                        "has the option `{key}`, which is not supported; use `exchange` and `routing_key`"
                    ));
                }
                key if RABBITMQ.contains(&key) => {}
                other => {
                    let known =
                        ["exchange", "exchange_type", "routing_key", "binding_key", "expires"];
                    let meant = did_you_mean(other, known).unwrap_or("exchange");
                    return Err(format!(
                        "has the option `{other}`, which there is not; did you mean `{meant}`?"
                    ));
                }
            }
        }
        Ok(read)
    }
}

/// Options of queues and exchanges that RabbitMQ acts on and no other broker.
const RABBITMQ: [&str; 18] = [
    "auto_delete",
    "binding_arguments",
    "consumer_arguments",
    "delivery_mode",
    "durable",
    "exchange_arguments",
    "exchange_auto_delete",
    "exchange_durable",
    "exclusive",
    "max_length",
    "max_length_bytes",
    "max_priority",
    "message_ttl",
    "no_ack",
    "no_declare",
    "queue_arguments",
    "queue_auto_delete",
    "queue_durable",
];

fn kind(name: Option<&str>) -> Result<ExchangeKind, String> {
    match name {
        None | Some("direct") => Ok(ExchangeKind::Direct),
        Some("topic") => Ok(ExchangeKind::Topic),
        Some("fanout") => Ok(ExchangeKind::Fanout),
        Some(other) => Err(format!(
            "has the `exchange_type` `{other}`, and it should be direct, topic or fanout"
        )),
    }
}

fn expires(value: &Value) -> Result<Option<Duration>, String> {
    let seconds = match value {
        Value::Null => return Ok(None),
        other => other.as_f64().filter(|seconds| *seconds > 0.0),
    };
    match seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        Some(expires) => Ok(Some(expires)),
        None => Err(format!(
            "has `expires` as `{value}`, and it should be a number of seconds above zero"
        )),
    }
}
