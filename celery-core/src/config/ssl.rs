//! TLS options, as `broker_use_ssl` and `redis_backend_use_ssl` give them.

use std::path::PathBuf;

use serde::{Serialize, Serializer};
use serde_json::Value;

/// How a connection is encrypted and whom it trusts.
///
/// Read from `true` (encrypt, and require a valid certificate), or from a dictionary with the keys
/// `cert_reqs`, `ca_certs`, `certfile`, `keyfile` and `check_hostname`, each with or without `ssl_` in front.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct SslOptions {
    /// Whether the server must show a certificate that can be verified.
    pub cert_reqs: CertReqs,
    /// File with the certificates of the authorities to trust, in place of the system's.
    #[serde(serialize_with = "lossy")]
    pub ca_certs: Option<PathBuf>,
    /// File with the certificate that this side shows.
    #[serde(serialize_with = "lossy")]
    pub certfile: Option<PathBuf>,
    /// File with the private key of `certfile`.
    #[serde(serialize_with = "lossy")]
    pub keyfile: Option<PathBuf>,
    /// Whether the certificate must name the host; `None` leaves it to the driver.
    pub check_hostname: Option<bool>,
}

/// What is asked of the server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CertReqs {
    /// A valid certificate: `required`, `CERT_REQUIRED` or 2.
    #[default]
    Required,
    /// A certificate may be missing, but not invalid: `optional`, `CERT_OPTIONAL` or 1.
    Optional,
    /// Nothing is verified: `none`, `CERT_NONE` or 0.
    None,
}

impl CertReqs {
    /// Reads any of Celery's spellings: `required`, `CERT_REQUIRED`, the number 2, and so on.
    pub fn parse(value: &Value) -> Option<Self> {
        let word = match value {
            Value::String(word) => word.to_ascii_lowercase(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        match word.trim_start_matches("ssl.").trim_start_matches("cert_") {
            "required" | "2" => Some(Self::Required),
            "optional" | "1" => Some(Self::Optional),
            "none" | "0" => Some(Self::None),
            _ => None,
        }
    }
}

impl SslOptions {
    /// Reads a setting's value; `None` when no TLS is asked for. The error says what was expected.
    pub(super) fn from_value(value: &Value) -> Result<Option<Self>, String> {
        let given = match value {
            Value::Null | Value::Bool(false) => return Ok(None),
            Value::Bool(true) => return Ok(Some(Self::default())),
            Value::Object(given) if given.is_empty() => return Ok(None),
            Value::Object(given) => given,
            _ => return Err("true, false or a dictionary of ssl options".to_owned()),
        };
        let mut options = Self::default();
        for (key, value) in given {
            match key.strip_prefix("ssl_").unwrap_or(key) {
                "cert_reqs" => {
                    options.cert_reqs = CertReqs::parse(value)
                        .ok_or_else(|| format!("`{key}` to be required, optional or none"))?;
                }
                "ca_certs" => options.ca_certs = path(key, value)?,
                "certfile" => options.certfile = path(key, value)?,
                "keyfile" => options.keyfile = path(key, value)?,
                "check_hostname" => match value {
                    Value::Null => options.check_hostname = None,
                    Value::Bool(check) => options.check_hostname = Some(*check),
                    _ => return Err(format!("`{key}` to be true or false")),
                },
                _ => {
                    return Err(format!(
                        "the ssl options cert_reqs, ca_certs, certfile, keyfile and check_hostname \
                         (with or without `ssl_` in front), not `{key}`"
                    ));
                }
            }
        }
        if options.keyfile.is_some() && options.certfile.is_none() {
            return Err("`certfile` beside `keyfile`".to_owned());
        }
        Ok(Some(options))
    }
}

fn path(key: &str, value: &Value) -> Result<Option<PathBuf>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(path) => Ok(Some(PathBuf::from(path))),
        _ => Err(format!("`{key}` to be the path of a file")),
    }
}

/// A path that is no UTF-8 is shown with replacement characters, so that showing a configuration cannot fail.
fn lossy<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_ref().map(|path| path.to_string_lossy()).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_spelling_of_cert_reqs_is_read() {
        for none in [json!("none"), json!("CERT_NONE"), json!("ssl.CERT_NONE"), json!(0)] {
            for key in ["cert_reqs", "ssl_cert_reqs"] {
                let options = SslOptions::from_value(&json!({ key: none })).unwrap().unwrap();
                assert_eq!(options.cert_reqs, CertReqs::None);
            }
        }
        assert!(SslOptions::from_value(&json!({ "cert_reqs": "maybe" })).is_err());
    }

    #[test]
    fn true_means_verified_tls_and_an_empty_dictionary_means_none() {
        assert_eq!(SslOptions::from_value(&json!(true)), Ok(Some(SslOptions::default())));
        assert_eq!(SslOptions::from_value(&json!({})), Ok(None));
        assert_eq!(SslOptions::from_value(&json!(false)), Ok(None));
    }

    #[test]
    fn an_option_we_do_not_know_is_refused_by_name() {
        let error = SslOptions::from_value(&json!({ "ssl_ciphers": "x" })).unwrap_err();
        assert!(error.contains("`ssl_ciphers`"), "{error}");
    }
}
