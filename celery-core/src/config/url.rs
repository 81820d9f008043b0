//! Addresses and passwords that never show themselves by accident.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// What stands for a password, as kombu writes it.
const MASK: &str = "**";

/// The URL of a broker or result backend; shows itself without its password.
///
/// A list of servers in one text (`sentinel://a;sentinel://b`) is kept as it is. The name of a
/// result backend alone (`redis`) is a `ServerUrl` too, whose scheme is that name.
///
/// # Examples
/// ```
/// use celery_core::config::ServerUrl;
///
/// let url = ServerUrl::parse("redis://user:s3cret@example.org:6379/0").unwrap();
/// assert_eq!(url.to_string(), "redis://user:**@example.org:6379/0");
/// assert_eq!(url.expose(), "redis://user:s3cret@example.org:6379/0");
/// assert_eq!(url.scheme(), "redis");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ServerUrl(String);

/// The text is no address of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{masked}` is no URL of a server: expected something like `redis://localhost:6379/0`")]
pub struct InvalidServerUrl {
    masked: String,
}

impl ServerUrl {
    /// Takes the URL of a server, or the bare name of a result backend.
    ///
    /// The rest of the URL is the driver's to read.
    ///
    /// # Errors
    /// When the text is empty, or begins with no scheme. The error shows the text without its password.
    pub fn parse(text: &str) -> Result<Self, InvalidServerUrl> {
        let text = text.trim();
        let scheme = text.split_once("://").map_or(text, |(scheme, _)| scheme);
        if is_scheme(scheme) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidServerUrl { masked: mask(text) })
        }
    }

    /// The whole text, password included: for the driver that connects.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The servers of a list, each by itself. One that has no scheme of its own has that of the one before it.
    pub fn servers(&self) -> Vec<Self> {
        let mut scheme = self.scheme().to_owned();
        let whole = split_list(&self.0).into_iter().filter(|text| !text.trim().is_empty());
        let whole = whole.map(|text| {
            let text = text.trim();
            match text.split_once("://") {
                Some((own, _)) => {
                    own.clone_into(&mut scheme);
                    Self(text.to_owned())
                }
                None => Self(format!("{scheme}://{text}")),
            }
        });
        whole.collect()
    }

    /// What stands before `://`: the name under which a driver registers itself.
    pub fn scheme(&self) -> &str {
        self.0.split_once("://").map_or(&*self.0, |(scheme, _)| scheme)
    }
}

impl FromStr for ServerUrl {
    type Err = InvalidServerUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask(&self.0))
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerUrl({self})")
    }
}

/// Serializes masked: a configuration is serialized to be shown.
impl Serialize for ServerUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A password; shows itself as `**`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text from being shown.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: for the driver that connects.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({MASK})")
    }
}

/// Serializes masked: a configuration is serialized to be shown.
impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

/// The text of a URL, or of a `;`-separated list of them, without passwords.
///
/// Fails closed: where it is unclear what is the password, more is hidden rather than less.
pub(super) fn mask(text: &str) -> String {
    split_list(text).iter().map(|part| mask_one(part)).collect::<Vec<_>>().join(";")
}

/// Splits a failover list at each `;` which cannot be part of a password: in front of a new scheme, or after the
/// last `@` before the next one.
pub(super) fn split_list(text: &str) -> Vec<String> {
    let pieces: Vec<&str> = text.split(';').collect();
    let mut parts = Vec::new();
    let mut next = 0;
    while next < pieces.len() {
        let anew = pieces[next + 1..].iter().position(|piece| begins_with_scheme(piece));
        let end = anew.map_or(pieces.len(), |at| next + 1 + at);
        let with_user =
            pieces[next..end].iter().rposition(|piece| piece.contains('@')).unwrap_or(0);
        parts.push(pieces[next..=next + with_user].join(";"));
        parts.extend(pieces[next + with_user + 1..end].iter().map(|piece| (*piece).to_owned()));
        next = end;
    }
    parts
}

fn begins_with_scheme(text: &str) -> bool {
    text.trim_start().split_once("://").is_some_and(|(scheme, _)| is_scheme(scheme))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-._".contains(c))
}

fn mask_one(text: &str) -> String {
    let (scheme, rest) = match text.find("://") {
        Some(at) => text.split_at(at + 3),
        None => ("", text),
    };
    // Connection strings of cloud stores hold their keys as `Name=value`, not in front of an `@`.
    if scheme == "azureblockblob://" {
        return format!("{scheme}{MASK}");
    }
    let (server, query) = match rest.split_once('?') {
        Some((server, query)) => (server, Some(query)),
        None => (rest, None),
    };
    let server = match server.rsplit_once('@') {
        None => server.to_owned(),
        Some((user, host)) => match user.split_once(':') {
            Some((user, _)) => format!("{user}:{MASK}@{host}"),
            None if scheme.is_empty() => format!("{MASK}@{host}"),
            None => format!("{user}@{host}"),
        },
    };
    match query {
        None => format!("{scheme}{server}"),
        // A password with a `?` in it: what looks like the query is its second half.
        Some(query) if query.contains('@') => {
            let head = rest.split(':').next().unwrap_or_default();
            format!("{scheme}{head}:{MASK}@{}", query.rsplit('@').next().unwrap_or_default())
        }
        Some(query) => format!("{scheme}{server}?{}", mask_query(query)),
    }
}

fn mask_query(query: &str) -> String {
    let parameters = query.split('&').map(|parameter| match parameter.split_once('=') {
        Some((name, _)) if is_secret_parameter(name) => format!("{name}={MASK}"),
        _ => parameter.to_owned(),
    });
    parameters.collect::<Vec<_>>().join("&")
}

fn is_secret_parameter(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "secret", "token", "credential", "apikey", "api_key", "access_key"]
        .iter()
        .any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, masked: &str) {
        assert_eq!(mask(text), masked);
    }

    #[test]
    fn a_password_is_masked_and_the_rest_is_readable() {
        check("redis://localhost:6379/0", "redis://localhost:6379/0");
        check("redis://user:pw@host:6379/0", "redis://user:**@host:6379/0");
        check("redis://:pw@host/0?ssl_cert_reqs=none", "redis://:**@host/0?ssl_cert_reqs=none");
        check("redis://user@host", "redis://user@host");
        check("redis://host/0?password=pw&db=1", "redis://host/0?password=**&db=1");
    }

    #[test]
    fn lists_of_servers_stay_readable() {
        check(
            "sentinel://:a@one:1;sentinel://:b@two:2/0",
            "sentinel://:**@one:1;sentinel://:**@two:2/0",
        );
        check("sentinel://:a@one:1;two:2/0", "sentinel://:**@one:1;two:2/0");
    }

    #[test]
    fn a_list_is_taken_apart_and_each_server_has_a_scheme() {
        let url = ServerUrl::parse("sentinel://:a@one:1; two:2/0;sentinel://three").unwrap();
        let servers = url.servers();
        let exposed: Vec<_> = servers.iter().map(ServerUrl::expose).collect();
        assert_eq!(exposed, ["sentinel://:a@one:1", "sentinel://two:2/0", "sentinel://three"]);
        let url = ServerUrl::parse("redis://u:p;w@h/0").unwrap();
        assert_eq!(url.servers(), [url]);
    }

    #[test]
    fn a_password_that_breaks_the_syntax_is_hidden_all_the_same() {
        for text in [
            "redis://u:p;w;w@h/0",
            "redis://u:p;w@h/0",
            "redis://u:p/w@h/0",
            "redis://u:p@w@h/0",
            "redis://u:p?w@h/0",
            "u:p#w@h",
        ] {
            assert!(!mask(text).contains(['p', 'w']), "{text} became {}", mask(text));
        }
    }

    #[test]
    fn an_invalid_url_is_reported_without_its_password() {
        let error = ServerUrl::parse("//:s3cret@host").unwrap_err();
        assert!(!error.to_string().contains("s3cret"));
        assert!(error.to_string().contains("//:**@host"), "{error}");
        assert!(ServerUrl::parse("").is_err());
    }
}
