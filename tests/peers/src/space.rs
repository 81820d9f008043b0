//! A namespace on the shared server, and what both sides are told of it.

use std::{env, time::Duration};

use celery::{Builder, Celery};
use deadpool_redis::redis::{
    AsyncConnectionConfig, Client, FromRedisValue, aio::MultiplexedConnection, cmd,
};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, interval, timeout};
use uuid::Uuid;

use crate::Proxy;

/// How long anything may take that is waited for: much longer than it takes.
pub const LIMIT: Duration = Duration::from_secs(40);

/// What a service variable of the test command says.
///
/// # Panics
///
/// When it is missing: a missing server is a failure, never a silent pass.
pub fn service(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `cargo xtask test`"))
}

/// A namespace of one test: keys, queues and settings that no other test has.
#[derive(Clone, Debug)]
pub struct Space {
    /// What its keys begin with.
    pub prefix: String,
    url: String,
    settings: Map<String, Value>,
}

impl Space {
    /// A fresh one.
    #[expect(clippy::new_without_default, reason = "each is a new one, which is no default")]
    pub fn new() -> Self {
        Self::at(&service("CELERY_TEST_REDIS_URL"), &format!("it-{}:", Uuid::new_v4().simple()))
    }

    /// The one that settings are of: for a program that the test has started with them.
    ///
    /// # Panics
    /// When they are not those of a namespace.
    pub fn of(settings: &Value) -> Self {
        let text = |value: &Value| value.as_str().expect("a test writes it").to_owned();
        Self {
            prefix: text(&settings["broker_transport_options"]["global_keyprefix"]),
            url: text(&settings["broker_url"]),
            settings: settings.as_object().expect("a test writes a map").clone(),
        }
    }

    /// That one: for a process that joins the test that started it.
    pub fn at(url: &str, prefix: &str) -> Self {
        let _ = tracing_subscriber::fmt()
            .with_env_filter("info,celery=debug,celery_core=debug,celery_redis=debug")
            .with_test_writer()
            .try_init();
        let space = Self { prefix: prefix.to_owned(), url: url.to_owned(), settings: Map::new() };
        space
            .with("broker_url", url)
            .with("result_backend", url)
            .with("broker_transport_options", json!({ "global_keyprefix": prefix }))
            .with("result_backend_transport_options", json!({ "global_keyprefix": prefix }))
            .with("broker_connection_retry_on_startup", true)
            .with("accept_content", json!(["json", "msgpack", "yaml"]))
            .with("result_accept_content", json!(["json", "msgpack", "yaml"]))
    }

    /// With that setting, on both sides.
    pub fn with(mut self, setting: &str, value: impl Into<Value>) -> Self {
        self.settings.insert(setting.to_owned(), value.into());
        self
    }

    /// With that option of the broker's transport, on both sides.
    pub fn with_transport_option(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.settings["broker_transport_options"][name] = value.into();
        self
    }

    /// The same, whose server is reached by way of the proxy.
    pub fn through(mut self, proxy: &Proxy) -> Self {
        self.url = proxy.url();
        let url = self.url.clone();
        self.with("broker_url", url.as_str()).with("result_backend", url.as_str())
    }

    /// The URL of the server, which says nothing of the namespace.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The settings, as JSON for the Python side.
    pub fn settings(&self) -> String {
        Value::Object(self.settings.clone()).to_string()
    }

    /// A Rust app of these settings, with a server for its tasks.
    pub fn app(&self) -> Celery {
        self.builder().build().expect("settings of which both sides know")
    }

    /// The same, to be given more.
    pub fn builder(&self) -> Builder {
        let set = |app: Builder, (name, value): (&String, &Value)| app.set(name, value.clone());
        let settings = self.settings.iter();
        settings.fold(Celery::builder("interop"), set).environment_from([]).state(self.clone())
    }

    /// A connection of its own, since some commands block it.
    pub async fn connect(&self) -> MultiplexedConnection {
        let client = Client::open(self.url.as_str()).expect("a URL of Redis");
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        client.get_multiplexed_async_connection_with_config(&config).await.expect("Redis answers")
    }

    /// Runs a command; `{}` in an argument stands for the namespace's prefix.
    pub async fn redis<T: FromRedisValue>(&self, command: &str, arguments: &[&str]) -> T {
        let mut command = cmd(command);
        for argument in arguments {
            command.arg(argument.replace("{}", &self.prefix));
        }
        command.query_async(&mut self.connect().await).await.expect("a command that Redis knows")
    }

    /// Waits until a worker has bound its queue to the exchange.
    pub async fn declares(&self, exchange: &str) {
        let waiting = async {
            while self.redis::<u64>("EXISTS", &[&format!("{{}}_kombu.binding.{exchange}")]).await
                == 0
            {}
        };
        timeout(LIMIT, waiting).await.unwrap_or_else(|_| panic!("nobody declares {exchange}"));
    }

    /// Lets the task pass that waits at the gate.
    pub async fn open(&self, gate: &str) {
        let _: u64 = self.redis("RPUSH", &[&format!("{{}}gate:{gate}"), "open"]).await;
    }

    /// Waits at the gate until it is opened.
    pub async fn pass(&self, gate: &str) {
        let opened: Option<(String, String)> =
            self.redis("BLPOP", &[&format!("{{}}gate:{gate}"), "20"]).await;
        assert!(opened.is_some(), "nobody opened the gate {gate}");
    }

    /// Says that a task stands at the gate.
    pub async fn enter(&self, gate: &str) {
        let _: u64 = self.redis("RPUSH", &[&format!("{{}}entered:{gate}"), "rust"]).await;
    }

    /// Waits until a task stands at the gate; returns what it says.
    pub async fn entered(&self, gate: &str) -> String {
        let entered: Option<(String, String)> =
            self.redis("BLPOP", &[&format!("{{}}entered:{gate}"), "40"]).await;
        entered.unwrap_or_else(|| panic!("no task came to the gate {gate}")).1
    }

    /// Waits until nothing is left in the list.
    ///
    /// # Panics
    /// When it becomes no shorter.
    pub async fn runs_out(&self, list: &str) {
        let mut connection = self.connect().await;
        let mut looks = interval(Duration::from_millis(20));
        let key = format!("{}{list}", self.prefix);
        let (mut shortest, mut since) = (u64::MAX, Instant::now());
        while shortest > 0 {
            looks.tick().await;
            let left: u64 =
                cmd("LLEN").arg(&key).query_async(&mut connection).await.expect("it is a list");
            if left < shortest {
                (shortest, since) = (left, Instant::now());
            }
            assert!(since.elapsed() < LIMIT, "{list} keeps {left} entries");
        }
    }

    /// Takes that many entries from the list, waiting for each.
    pub async fn take(&self, list: &str, count: usize) -> Vec<String> {
        let mut taken = Vec::new();
        while taken.len() < count {
            let next: Option<(String, String)> =
                self.redis("BLPOP", &[&format!("{{}}{list}"), "40"]).await;
            let Some((_, entry)) = next else {
                panic!("{list} has {} of {count} entries: {taken:?}", taken.len())
            };
            taken.push(entry);
        }
        taken
    }
}
