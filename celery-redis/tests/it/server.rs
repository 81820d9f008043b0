//! The server that the tests run against, and namespaces in it.

use std::{env, future::Future, sync::Arc, time::Duration};

use celery_core::{
    backend::Backend,
    broker::{Broker, Consumer, Delivery, Exchange, Publication, Queue},
    config::{Config, ConfigLoader, ServerUrl},
    message::Message,
    transport,
    value::Value,
};
use celery_redis as _;
use deadpool_redis::redis::{self, FromRedisValue, aio::MultiplexedConnection};
use serde_json::json;
use uuid::Uuid;

/// How long a test waits for what must happen.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// The value of a variable that the test command sets.
pub(crate) fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run `cargo xtask test`, which starts the servers")
    })
}

pub(crate) fn url() -> ServerUrl {
    ServerUrl::parse(&variable("CELERY_TEST_REDIS_URL")).unwrap()
}

/// Waits for the future, and fails the test when it takes too long.
pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(LIMIT, future)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within {LIMIT:?}"))
}

pub(crate) fn prefix() -> String {
    format!("test-{}:", Uuid::new_v4())
}

pub(crate) fn config(options: &Value) -> Config {
    ConfigLoader::new()
        .change("broker_transport_options", options.clone())
        .change(
            "result_backend_transport_options",
            json!({ "global_keyprefix": options["global_keyprefix"] }),
        )
        .load()
        .unwrap()
}

pub(crate) async fn broker() -> Arc<dyn Broker> {
    broker_with(json!({ "global_keyprefix": prefix() })).await
}

/// One whose deliveries are recorded in that registry.
pub(crate) async fn broker_of(registry: &str) -> Arc<dyn Broker> {
    broker_with(json!({ "global_keyprefix": prefix(), "delivery_registry": registry })).await
}

pub(crate) async fn broker_with(options: Value) -> Arc<dyn Broker> {
    transport::connect_broker(&url(), &config(&options)).await.unwrap()
}

pub(crate) async fn backend() -> Arc<dyn Backend> {
    transport::connect_backend(Some(&url()), &config(&json!({ "global_keyprefix": prefix() })))
        .await
        .unwrap()
}

/// One that leaves a join to who completes it for a second.
pub(crate) async fn backend_for_joins() -> Arc<dyn Backend> {
    let config = ConfigLoader::new()
        .change("result_backend_transport_options", json!({ "global_keyprefix": prefix() }))
        .change("result_chord_join_timeout", 0.5);
    transport::connect_backend(Some(&url()), &config.load().unwrap()).await.unwrap()
}

/// Makes two tests of each function, which are given the registry that deliveries are recorded in.
macro_rules! in_both_registries {
    ($($test:ident)*) => {
        mod pending {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test("pending").await;
                }
            )*
        }

        mod unacked {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test("unacked").await;
                }
            )*
        }
    };
}

/// A namespace, a broker in it, and a connection that looks at its keys.
pub(crate) struct Space {
    pub(crate) prefix: String,
    options: Value,
    pub(crate) broker: Arc<dyn Broker>,
    raw: MultiplexedConnection,
}

impl Space {
    pub(crate) async fn new() -> Self {
        Self::with(json!({})).await
    }

    /// One whose deliveries are recorded in that registry.
    pub(crate) async fn of(registry: &str, mut options: Value) -> Self {
        options["delivery_registry"] = registry.into();
        Self::with(options).await
    }

    pub(crate) async fn with(options: Value) -> Self {
        let prefix = prefix();
        let broker = Self::another(&prefix, options.clone()).await;
        Self { options, ..Self::at(&prefix, broker).await }
    }

    /// A namespace that is there already.
    pub(crate) async fn at(prefix: &str, broker: Arc<dyn Broker>) -> Self {
        let client = redis::Client::open(url().expose()).unwrap();
        let raw = client.get_multiplexed_async_connection().await.unwrap();
        Self { prefix: prefix.to_owned(), options: json!({}), broker, raw }
    }

    /// Another process, as far as Redis can tell, in the namespace.
    pub(crate) async fn another(prefix: &str, mut options: Value) -> Arc<dyn Broker> {
        options["global_keyprefix"] = prefix.into();
        broker_with(options).await
    }

    /// Another process with the options of this one.
    pub(crate) async fn beside(&self) -> Arc<dyn Broker> {
        Self::another(&self.prefix, self.options.clone()).await
    }

    /// Waits until so many messages are in kombu's books: at once, or when they have been held for a moment.
    pub(crate) async fn recorded(&self, messages: u32) {
        let recorded = async || self.ask::<u32>("HLEN", "unacked", &[]).await == messages;
        self.until("kombu's books have what is held", recorded).await;
    }

    /// Waits until the server has been up for long enough that whoever is silent is so by himself.
    pub(crate) async fn is_up_for_long(&self) {
        let waiting = async {
            loop {
                let info: redis::InfoDict = self.raw(&["INFO", "server"]).await;
                if info.get::<u64>("uptime_in_seconds").unwrap() >= 10 {
                    break;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT * 2, waiting).await.unwrap();
    }

    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Sends a command, whose first argument is a key without the prefix.
    pub(crate) async fn ask<T: FromRedisValue>(
        &self,
        command: &str,
        key: &str,
        args: &[&str],
    ) -> T {
        let command = redis::cmd(command).arg(self.key(key)).arg(args).to_owned();
        command.query_async(&mut self.raw.clone()).await.unwrap()
    }

    pub(crate) async fn raw<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let command = redis::cmd(words[0]).arg(&words[1..]).to_owned();
        command.query_async(&mut self.raw.clone()).await.unwrap()
    }

    /// All keys of the namespace, without the prefix, sorted; but for those that have a publisher's last number, which expire.
    pub(crate) async fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.raw(&["KEYS", &format!("{}*", self.prefix)]).await;
        keys.sort();
        keys.retain(|key| !key.contains("celery-published."));
        keys.iter().map(|key| key.strip_prefix(&self.prefix).unwrap().to_owned()).collect()
    }

    /// Looks again and again until the condition holds.
    pub(crate) async fn until<F: Future<Output = bool> + Send>(
        &self,
        what: &str,
        condition: impl Fn() -> F + Send + Sync,
    ) {
        let looking = async {
            while !condition().await {
                tokio::task::yield_now().await;
            }
        };
        within(what, looking).await;
    }

    pub(crate) async fn publish(&self, queue: &str, body: &str) {
        self.publish_with(queue, body, None).await;
    }

    pub(crate) async fn publish_with(&self, queue: &str, body: &str, priority: Option<i64>) {
        let mut message = message(body);
        message.properties.priority = priority;
        self.broker.publish(&[to_queue(queue, message)]).await.unwrap();
    }

    pub(crate) async fn consume(&self, queue: &str) -> Box<dyn Consumer> {
        self.broker.consume(&[Queue::named(queue)], None).await.unwrap()
    }
}

pub(crate) fn message(body: &str) -> Message {
    Message {
        body: body.to_owned().into(),
        content_type: Some("text/plain".to_owned()),
        content_encoding: Some("utf-8".to_owned()),
        ..Message::default()
    }
}

pub(crate) fn to_queue(queue: &str, message: Message) -> Publication {
    Publication { exchange: Exchange::anonymous(), routing_key: queue.to_owned(), message }
}

pub(crate) fn body(delivery: &Delivery) -> String {
    String::from_utf8(delivery.message.as_ref().unwrap().body.to_vec()).unwrap()
}

/// Takes exactly one delivery.
pub(crate) async fn take_one(consumer: &mut Box<dyn Consumer>) -> Delivery {
    let mut deliveries = take(consumer, 1).await;
    deliveries.remove(0)
}

pub(crate) async fn take(consumer: &mut Box<dyn Consumer>, number: usize) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    while deliveries.len() < number {
        deliveries.extend(within("a delivery", consumer.next()).await.unwrap());
    }
    assert_eq!(deliveries.len(), number);
    deliveries
}
