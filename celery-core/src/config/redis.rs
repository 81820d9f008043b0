//! The `redis_` settings as fields.

use std::time::Duration;

use serde::Serialize;

use super::masked::seconds;
use super::read::{Reader, boolean, integer, limit, name, optional, positive, text};
use super::ssl::SslOptions;
use super::url::Secret;

/// The connections of the Redis result backend. Its `Debug` and its serialized form show no passwords.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RedisConfig {
    /// TLS; `None` leaves it to the URL's scheme.
    pub backend_use_ssl: Option<SslOptions>,
    /// Number of the database, where the backend's URL gives none.
    pub db: Option<u32>,
    /// Host, where the backend's URL gives none.
    pub host: Option<String>,
    /// Most connections; `None` means no limit.
    pub max_connections: Option<u32>,
    /// User name, where the backend's URL gives none.
    pub username: Option<String>,
    /// Password, where the backend's URL gives none.
    pub password: Option<Secret>,
    /// Port, where the backend's URL gives none.
    pub port: Option<u16>,
    /// Limit for one command; `None` leaves it to the driver.
    #[serde(serialize_with = "seconds")]
    pub socket_timeout: Option<Duration>,
    /// Limit for establishing a connection; `None` leaves it to the driver.
    #[serde(serialize_with = "seconds")]
    pub socket_connect_timeout: Option<Duration>,
    /// Whether connections use TCP keepalive.
    pub socket_keepalive: bool,
    /// A connection that waits for results is checked after such a silence; `None` leaves it to the driver.
    #[serde(serialize_with = "seconds")]
    pub backend_health_check_interval: Option<Duration>,
    /// The name that connections give themselves.
    pub client_name: Option<String>,
}

impl RedisConfig {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            backend_use_ssl: reader.read("redis_backend_use_ssl", SslOptions::from_value),
            db: reader.read("redis_db", optional(integer)),
            host: reader.read("redis_host", optional(name)),
            max_connections: reader.read("redis_max_connections", positive),
            username: reader.read("redis_username", optional(text)),
            password: reader.read("redis_password", optional(text)).map(Secret::new),
            port: reader.read("redis_port", positive),
            socket_timeout: reader.read("redis_socket_timeout", limit),
            socket_connect_timeout: reader.read("redis_socket_connect_timeout", limit),
            socket_keepalive: reader.read("redis_socket_keepalive", boolean),
            backend_health_check_interval: reader
                .read("redis_backend_health_check_interval", limit),
            client_name: reader.read("redis_client_name", optional(name)),
        }
    }
}
