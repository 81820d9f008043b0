//! Encryption: the options of TLS, and the certificates that they name.

use celery_core::{
    config::{CertReqs, SslOptions},
    value::Map,
};
use deadpool_redis::redis::{Client, ClientTlsConfig, ConnectionInfo, TlsCertificates};
use serde_json::json;

use crate::error::BadOption;

/// Takes the options of TLS out of a query.
pub(crate) fn ssl_from(query: &mut Map) -> Result<Option<SslOptions>, String> {
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

/// Puts the certificates into the address.
pub(super) fn with_certificates(
    info: ConnectionInfo,
    ssl: &SslOptions,
) -> Result<ConnectionInfo, BadOption> {
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
