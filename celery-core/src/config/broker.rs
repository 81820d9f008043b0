//! The `broker_` settings as fields.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::Value;

use super::masked::{TransportOptions, seconds};
use super::read::{self, Parsed, Reader, boolean, integer, limit, name, optional, positive, text};
use super::ssl::SslOptions;
use super::url::{ServerUrl, split_list};

/// Which broker, and how it is reached. Its `Debug` and its serialized form show no passwords.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BrokerConfig {
    /// The brokers, to be tried in this order; empty when none is set.
    ///
    /// Pieces from `broker_host`, `broker_port`, `broker_user`, `broker_password`, `broker_vhost` and `broker_transport`
    /// are already in them.
    pub url: Vec<ServerUrl>,
    /// The brokers to consume from; empty means [`url`](Self::url). See [`read_urls`](Self::read_urls).
    pub read_url: Vec<ServerUrl>,
    /// The brokers to publish to; empty means [`url`](Self::url). See [`write_urls`](Self::write_urls).
    pub write_url: Vec<ServerUrl>,
    /// Options which the driver honours or refuses, each for itself.
    pub transport_options: TransportOptions,
    /// Limit for establishing a connection; `None` leaves it to the driver.
    #[serde(serialize_with = "seconds")]
    pub connection_timeout: Option<Duration>,
    /// Which of several brokers is next when one cannot be reached.
    pub failover_strategy: FailoverStrategy,
    /// Whether a lost connection is established again.
    pub connection_retry: bool,
    /// Whether the first connection is tried again; `None` means as `connection_retry`.
    pub connection_retry_on_startup: Option<bool>,
    /// Tries before the worker gives up; `None` means that it never does.
    pub connection_max_retries: Option<u32>,
    /// Connections kept for publishing at most. One is kept, whatever the limit.
    pub pool_limit: u32,
    /// TLS; `None` leaves it to the URL's scheme.
    pub use_ssl: Option<SslOptions>,
}

impl BrokerConfig {
    /// The brokers to consume from: `broker_read_url`, or else `broker_url`.
    pub fn read_urls(&self) -> &[ServerUrl] {
        if self.read_url.is_empty() { &self.url } else { &self.read_url }
    }

    /// The brokers to publish to: `broker_write_url`, or else `broker_url`.
    pub fn write_urls(&self) -> &[ServerUrl] {
        if self.write_url.is_empty() { &self.url } else { &self.write_url }
    }

    /// Whether the first connection is tried again: `broker_connection_retry_on_startup`, or else
    /// `broker_connection_retry`.
    pub fn retries_on_startup(&self) -> bool {
        self.connection_retry_on_startup.unwrap_or(self.connection_retry)
    }

    pub(super) fn read(reader: &mut Reader) -> Self {
        let pieces = Pieces {
            transport: reader.read("broker_transport", optional(name)),
            host: reader.read("broker_host", optional(name)),
            port: reader.read("broker_port", positive),
            user: reader.read("broker_user", optional(text)),
            password: reader.read("broker_password", optional(text)),
            vhost: reader.read("broker_vhost", optional(vhost)),
        };
        let complete = |value: &Value| urls(value, &pieces);
        let mut url = reader.read("broker_url", complete);
        if let (true, Some(host)) = (url.is_empty(), &pieces.host) {
            url = urls(&Value::from(host.as_str()), &pieces).unwrap_or_else(|expected| {
                reader.refuse("broker_host", expected);
                Vec::new()
            });
        }
        Self {
            url,
            read_url: reader.read("broker_read_url", complete),
            write_url: reader.read("broker_write_url", complete),
            transport_options: reader
                .read("broker_transport_options", TransportOptions::from_value),
            connection_timeout: reader.read("broker_connection_timeout", limit),
            failover_strategy: reader
                .read("broker_failover_strategy", FailoverStrategy::from_value),
            connection_retry: reader.read("broker_connection_retry", boolean),
            connection_retry_on_startup: reader
                .read("broker_connection_retry_on_startup", optional(boolean)),
            connection_max_retries: reader.read("broker_connection_max_retries", positive),
            pool_limit: reader.read("broker_pool_limit", pool_limit),
            use_ssl: reader.read("broker_use_ssl", SslOptions::from_value),
        }
    }
}

/// Which of several brokers is next when one cannot be reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailoverStrategy {
    /// The one that is named behind it.
    #[default]
    RoundRobin,
    /// Any of the others.
    Shuffle,
}

impl FailoverStrategy {
    fn from_value(value: &Value) -> Parsed<Self> {
        match value {
            Value::Null => Ok(Self::RoundRobin),
            Value::String(text) if text == "round-robin" => Ok(Self::RoundRobin),
            Value::String(text) if text == "shuffle" => Ok(Self::Shuffle),
            _ => {
                Err("`round-robin` or `shuffle` (a function of Python cannot be called)".to_owned())
            }
        }
    }
}

/// What the old-style settings say, for URLs that lack it.
struct Pieces {
    transport: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    password: Option<String>,
    vhost: Option<String>,
}

/// A virtual host: on Redis it is a number, and may be given as one.
fn vhost(value: &Value) -> Parsed<String> {
    text(value)
        .or_else(|_| integer(value).map(|db: u32| db.to_string()))
        .map_err(|_| "a string, or the number of a database".to_owned())
}

/// A limit that leaves room for the one connection that there is.
fn pool_limit(value: &Value) -> Parsed<u32> {
    integer(value).ok().filter(|limit| *limit > 0).ok_or_else(|| {
        "a whole number from 1 (one connection is kept for publishing, and shared)".to_owned()
    })
}

/// One URL, several separated by `;`, or a list of them; null is none.
fn urls(value: &Value, pieces: &Pieces) -> Parsed<Vec<ServerUrl>> {
    const EXPECTED: &str = "a URL such as `redis://localhost:6379/0`, or a list of URLs";
    let texts = match value {
        Value::Null => Vec::new(),
        Value::String(text) => split_list(text),
        Value::Array(_) => read::texts(value).map_err(|_| EXPECTED.to_owned())?,
        _ => return Err(EXPECTED.to_owned()),
    };
    // A later server of a list may leave the scheme out: `sentinel://a:26379;b:26379`.
    let mut scheme = pieces.transport.as_deref().unwrap_or("amqp").to_owned();
    let mut urls = Vec::new();
    for text in texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
        let whole = match text.split_once("://") {
            Some((own, _)) => {
                own.clone_into(&mut scheme);
                text.to_owned()
            }
            // A bare host, or a path that was meant to be a URL.
            None if !text.starts_with(|c: char| c.is_alphanumeric() || c == '[') => {
                return Err(EXPECTED.to_owned());
            }
            None => format!("{scheme}://{text}"),
        };
        let url = ServerUrl::parse(&pieces.complete(&whole));
        urls.push(url.map_err(|_| EXPECTED.to_owned())?);
    }
    Ok(urls)
}

/// What must be escaped in a user name, a password or a virtual host.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

impl Pieces {
    /// Fills in what the URL does not say. What it says holds.
    fn complete(&self, url: &str) -> String {
        let nothing =
            (&self.port, &self.user, &self.password, &self.vhost) == (&None, &None, &None, &None);
        let Some((scheme, rest)) = url.split_once("://").filter(|_| !nothing) else {
            return url.to_owned();
        };
        let server_end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (server, tail) = rest.split_at(server_end);
        let (user, host) =
            server.rsplit_once('@').map_or((None, server), |(user, host)| (Some(user), host));
        let (user, password) = match user.map(|user| user.split_once(':').unwrap_or((user, ""))) {
            Some((user, password)) => (user.to_owned(), password.to_owned()),
            None => (String::new(), String::new()),
        };
        let escaped = |own: String, piece: &Option<String>| match piece {
            Some(piece) if own.is_empty() => utf8_percent_encode(piece, ESCAPED).to_string(),
            _ => own,
        };
        let (user, password) = (escaped(user, &self.user), escaped(password, &self.password));
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let port =
            self.port.filter(|_| !has_port).map(|port| format!(":{port}")).unwrap_or_default();
        let (path, query) = tail.find('?').map_or((tail, ""), |at| tail.split_at(at));
        let vhost = escaped(path.trim_start_matches('/').to_owned(), &self.vhost);
        let path = if vhost.is_empty() { path.to_owned() } else { format!("/{vhost}") };
        let credentials = match (user.is_empty(), password.is_empty()) {
            (true, true) => String::new(),
            (false, true) => format!("{user}@"),
            (_, false) => format!("{user}:{password}@"),
        };
        format!("{scheme}://{credentials}{host}{port}{path}{query}")
    }
}
