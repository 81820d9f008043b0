//! Places: where a server is, and the same way in to another place.

use celery_core::config::{CertReqs, SslOptions};
use deadpool_redis::redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use super::tls::with_certificates;
use crate::{connection::Server, error::BadOption};

/// Host and port.
pub(crate) fn place(info: &ConnectionInfo) -> (String, u16) {
    match info.addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            (host.clone(), *port)
        }
        // What is reached by a path is on this machine.
        _ => ("127.0.0.1".to_owned(), 6379),
    }
}

/// The server at that place that is reached like this one: same log-in, same encryption.
pub(crate) fn another(like: &Server, host: &str, port: u16) -> Server {
    let (host, shown) = (host.to_owned(), format!("redis://{host}:{port}"));
    let addr = match like.info.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host, port),
    };
    Server { info: like.info.clone().set_addr(addr), shown }
}

/// The way to a place.
pub(crate) fn reach(
    host: String,
    port: u16,
    ssl: Option<&SslOptions>,
) -> Result<ConnectionInfo, BadOption> {
    let Some(ssl) = ssl else { return info(ConnectionAddr::Tcp(host, port)) };
    let insecure = ssl.cert_reqs == CertReqs::None;
    with_certificates(info(ConnectionAddr::TcpTls { host, port, insecure, tls_params: None })?, ssl)
}

pub(super) fn info(addr: ConnectionAddr) -> Result<ConnectionInfo, BadOption> {
    addr.into_connection_info().map_err(|error| BadOption(error.to_string()))
}
