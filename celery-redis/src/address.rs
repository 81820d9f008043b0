//! Where the server is and how to get in: from a URL and the settings beside it.

use celery_core::{
    config::{CertReqs, Config, ServerUrl, SslOptions},
    value::Map,
};
use deadpool_redis::redis;
use percent_encoding::percent_decode_str;
use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion,
    RedisConnectionInfo, TlsCertificates,
};
use serde_json::json;
use url::Url;

use crate::{error::BadOption, options::from_text};

/// A server, and what its URL says behind the `?` that is not about reaching it.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) info: ConnectionInfo,
    /// The server as messages show it.
    pub(crate) shown: String,
    pub(crate) db: i64,
    pub(crate) query: Map,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Broker,
    Backend,
}

impl Address {
    /// The broker. `rediss://` without `ssl_cert_reqs` is not verified, as in kombu.
    pub(crate) fn broker(url: &ServerUrl, config: &Config) -> Result<Self, BadOption> {
        Self::read(url, Role::Broker, config)
    }

    /// The result backend. `rediss://` must say what it wants of certificates, as in Celery.
    pub(crate) fn backend(url: &ServerUrl, config: &Config) -> Result<Self, BadOption> {
        Self::read(url, Role::Backend, config)
    }

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
            (_, Some(_), _) => {
                return Err(no_url("options that start with `ssl_` need `rediss://`".to_owned()));
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
            let port = parsed.port().or(fallback(role, config.redis.port)).unwrap_or(6379);
            match &tls {
                None => ConnectionAddr::Tcp(host, port),
                Some(ssl) => {
                    let insecure = ssl.cert_reqs == CertReqs::None;
                    ConnectionAddr::TcpTls { host, port, insecure, tls_params: None }
                }
            }
        };

        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let mut login =
            RedisConnectionInfo::default().set_db(db).set_protocol(ProtocolVersion::RESP3);
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
        let info = addr
            .into_connection_info()
            .map_err(|error| no_url(error.to_string()))?
            .set_redis_settings(login);
        let info = match &tls {
            Some(ssl) => with_certificates(info, ssl)?,
            None => info,
        };
        Ok(Self { info, shown, db, query })
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

fn ssl_from(query: &mut Map) -> Result<Option<SslOptions>, String> {
    let names: Vec<String> =
        query.keys().filter(|name| name.starts_with("ssl_")).cloned().collect();
    if names.is_empty() {
        return Ok(None);
    }
    let mut ssl = SslOptions::default();
    for name in names {
        let value = query.shift_remove(&name).unwrap_or_default();
        let path = || value.as_str().map(Into::into);
        match name.as_str() {
            "ssl_cert_reqs" => {
                ssl.cert_reqs =
                    CertReqs::parse(&if value.is_null() { json!("none") } else { value.clone() })
                        .ok_or_else(|| {
                        format!("`ssl_cert_reqs` is required, optional or none, not {value}")
                    })?;
            }
            "ssl_ca_certs" => ssl.ca_certs = path(),
            "ssl_certfile" => ssl.certfile = path(),
            "ssl_keyfile" => ssl.keyfile = path(),
            "ssl_check_hostname" => ssl.check_hostname = value.as_bool(),
            other => {
                let known =
                    "ssl_cert_reqs, ssl_ca_certs, ssl_certfile, ssl_keyfile and ssl_check_hostname";
                return Err(format!("there is no option `{other}`; there are {known}"));
            }
        }
    }
    Ok(Some(ssl))
}

fn with_certificates(info: ConnectionInfo, ssl: &SslOptions) -> Result<ConnectionInfo, BadOption> {
    // The redis crate takes the process's provider. Somebody else may install one at the same moment; any will do.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let read = |path: &std::path::Path| {
        std::fs::read(path).map_err(|error| {
            BadOption(format!("cannot read the certificate file {}: {error}", path.display()))
        })
    };
    let client_tls = match (&ssl.certfile, &ssl.keyfile) {
        (Some(cert), key) => Some(ClientTlsConfig {
            client_cert: read(cert)?,
            client_key: read(key.as_ref().unwrap_or(cert))?,
        }),
        (None, Some(key)) => {
            return Err(BadOption(format!(
                "`ssl_keyfile` {} needs `ssl_certfile` beside it",
                key.display()
            )));
        }
        (None, None) => None,
    };
    let root_cert = ssl
        .ca_certs
        .as_deref()
        .filter(|_| ssl.cert_reqs != CertReqs::None)
        .map(read)
        .transpose()?;
    let info = if client_tls.is_some() || root_cert.is_some() {
        let client = Client::build_with_tls(info, TlsCertificates { client_tls, root_cert })
            .map_err(|error| BadOption(format!("the certificates cannot be used: {error}")))?;
        client.get_connection_info().clone()
    } else {
        info
    };
    let mut addr = info.addr().clone();
    if ssl.check_hostname == Some(false) {
        addr.set_danger_accept_invalid_hostnames(true);
    }
    Ok(info.set_addr(addr))
}

#[cfg(test)]
mod tests;
