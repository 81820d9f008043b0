//! Where the servers are and how to get in: from URLs and the settings beside them.

pub(crate) mod at;
mod tls;

use celery_core::{
    config::{CertReqs, Config, ServerUrl, SslOptions},
    value::Map,
};
use deadpool_redis::redis::{ConnectionAddr, ProtocolVersion, RedisConnectionInfo};
use percent_encoding::percent_decode_str;
use url::Url;

pub(crate) use self::tls::ssl_from;
use self::tls::with_certificates;
use crate::{connection::Server, error::BadOption, options::from_text};

/// The servers of one broker or result backend.
pub(crate) struct Addresses {
    /// At least one.
    pub(crate) servers: Vec<Server>,
    /// Whether they are sentinels, who know where the server is.
    pub(crate) are_sentinels: bool,
    /// The database, which is the same on all of them.
    pub(crate) db: i64,
    /// What the URLs say behind the `?` that is not about reaching a server.
    pub(crate) query: Map,
}

/// A server, and what its URL says behind the `?` that is not about reaching it.
struct Address {
    server: Server,
    db: i64,
    query: Map,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Broker,
    Backend,
}

impl Addresses {
    /// The broker. `rediss://` without `ssl_cert_reqs` is not verified, as in kombu.
    pub(crate) fn broker(urls: &[ServerUrl], config: &Config) -> Result<Self, BadOption> {
        Self::read(urls, Role::Broker, config)
    }

    /// The result backend. `rediss://` must say what it wants of certificates, as in Celery.
    pub(crate) fn backend(url: &ServerUrl, config: &Config) -> Result<Self, BadOption> {
        Self::read(&url.servers(), Role::Backend, config)
    }

    /// The servers as messages show them.
    pub(crate) fn shown(&self) -> String {
        let shown = self.servers.iter().map(|server| server.shown.as_str());
        shown.collect::<Vec<_>>().join(";")
    }

    fn read(urls: &[ServerUrl], role: Role, config: &Config) -> Result<Self, BadOption> {
        let Some(first) = urls.first() else {
            return Err(BadOption("there is no URL of a Redis server".to_owned()));
        };
        let are_sentinels = first.scheme() == "sentinel";
        let mut all: Option<Self> = None;
        for url in urls {
            if (url.scheme() == "sentinel") != are_sentinels {
                return Err(BadOption(format!(
                    "`{url}` stands beside `{first}`: a list has either sentinels or servers"
                )));
            }
            let Address { server, db, query } = Address::read(url, role, config)?;
            let all = all.get_or_insert_with(|| Self {
                servers: Vec::new(),
                are_sentinels,
                db,
                query: Map::new(),
            });
            if db != all.db {
                return Err(BadOption(format!(
                    "`{url}` names database {db} and `{first}` database {}: name the same one in all URLs of a list",
                    all.db
                )));
            }
            for (name, value) in query {
                if all.query.get(&name).is_some_and(|before| *before != value) {
                    return Err(BadOption(format!(
                        "`{name}` differs among the URLs of a list, and all servers of it are used alike: say it once"
                    )));
                }
                all.query.insert(name, value);
            }
            all.servers.push(server);
        }
        all.ok_or_else(|| BadOption("there is no URL of a Redis server".to_owned()))
    }
}

impl Address {
    fn read(url: &ServerUrl, role: Role, config: &Config) -> Result<Self, BadOption> {
        let shown = url.to_string();
        let no_url =
            |why: String| BadOption(format!("`{shown}` is no URL of a Redis server: {why}"));
        let parsed = parse(url.expose()).map_err(no_url)?;
        let mut query: Map = parsed
            .query_pairs()
            .map(|(name, value)| (name.into_owned(), from_text(&value)))
            .collect();

        let is_socket = url.scheme() == "redis+socket";
        let from_query = ssl_from(&mut query).map_err(no_url)?;
        let from_settings = match role {
            Role::Broker => config.broker.use_ssl.clone(),
            Role::Backend => config.redis.backend_use_ssl.clone(),
        };
        let tls = match (url.scheme(), from_query, from_settings) {
            ("rediss", Some(ssl), _) | ("rediss", None, Some(ssl)) => Some(ssl),
            ("rediss", None, None) if role == Role::Broker => {
                tracing::warn!(
                    "the certificate of {shown} is not verified; add `?ssl_cert_reqs=required` to the URL, or set `broker_use_ssl`"
                );
                Some(SslOptions { cert_reqs: CertReqs::None, ..SslOptions::default() })
            }
            ("rediss", None, None) => {
                let why = "a rediss:// result backend must say what it wants of certificates; add `?ssl_cert_reqs=required`";
                return Err(no_url(why.to_owned()));
            }
            (scheme, Some(_), _) => {
                let why = match (scheme, role) {
                    ("sentinel", Role::Broker) => {
                        "set `broker_use_ssl` to encrypt what goes to the master, and `sentinel_kwargs` for the sentinels"
                    }
                    ("sentinel", Role::Backend) => {
                        "set `redis_backend_use_ssl` to encrypt what goes to the master, and `sentinel_kwargs` for the sentinels"
                    }
                    _ => "options that start with `ssl_` need `rediss://`",
                };
                return Err(no_url(why.to_owned()));
            }
            (_, None, ssl) if !is_socket => ssl,
            _ => None,
        };

        let path = percent_decode_str(parsed.path()).decode_utf8_lossy().into_owned();
        let db = match (query.shift_remove("virtual_host"), is_socket) {
            (Some(host), _) => host.to_string(),
            (None, true) => String::new(),
            (None, false) => path.clone(),
        };
        let db =
            match db.trim_matches(['/', '"']) {
                "" => i64::from(fallback(role, config.redis.db).unwrap_or(0)),
                text => text.parse().ok().filter(|db| *db >= 0).ok_or_else(|| {
                    no_url(format!("the database is a number from 0, not `{text}`"))
                })?,
            };

        let addr = if is_socket {
            ConnectionAddr::Unix(path.into())
        } else {
            let host = parsed
                .host_str()
                .filter(|host| !host.is_empty())
                .map(|host| host.trim_matches(['[', ']']));
            let host = match host {
                Some(host) => host.to_owned(),
                None => fallback(role, config.redis.host.clone())
                    .unwrap_or_else(|| "127.0.0.1".to_owned()),
            };
            let port = parsed.port().or(fallback(role, config.redis.port));
            let port = port.unwrap_or(if url.scheme() == "sentinel" { 26379 } else { 6379 });
            match &tls {
                None => ConnectionAddr::Tcp(host, port),
                Some(ssl) => {
                    let insecure = ssl.cert_reqs == CertReqs::None;
                    ConnectionAddr::TcpTls { host, port, insecure, tls_params: None }
                }
            }
        };

        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let mut login = RedisConnectionInfo::default()
            .set_db(db)
            .set_protocol(ProtocolVersion::RESP3)
            // A user would need a right more for it, and nobody looks at it.
            .set_skip_set_lib_name();
        let username = Some(decode(parsed.username())).filter(|name| !name.is_empty());
        if let Some(username) = username.or_else(|| fallback(role, config.redis.username.clone())) {
            login = login.set_username(username);
        }
        let password = parsed.password().map(decode);
        let password = password.or_else(|| {
            fallback(role, config.redis.password.as_ref().map(|it| it.expose().to_owned()))
        });
        if let Some(password) = password {
            login = login.set_password(password);
        }
        let info = at::info(addr)?.set_redis_settings(login);
        let info = match &tls {
            Some(ssl) => with_certificates(info, ssl)?,
            None => info,
        };
        Ok(Self { server: Server { info, shown }, db, query })
    }
}

/// The `redis_…` settings stand in for what the URL of a backend does not say.
fn fallback<T>(role: Role, setting: Option<T>) -> Option<T> {
    setting.filter(|_| role == Role::Backend)
}

/// Python allows a URL without a host; the `url` crate does not when a port or user stands beside it.
fn parse(text: &str) -> Result<Url, String> {
    Url::parse(text).or_else(|error| {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| error.to_string())?;
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(at);
        let (login, host) =
            authority.rsplit_once('@').map_or(("", authority), |(login, host)| (login, host));
        if !host.is_empty() && !host.starts_with(':') {
            return Err(error.to_string());
        }
        let login = if login.is_empty() { String::new() } else { format!("{login}@") };
        Url::parse(&format!("{scheme}://{login}127.0.0.1{host}{tail}"))
            .map_err(|error| error.to_string())
    })
}

#[cfg(test)]
mod tests;
