//! Which driver serves which URL scheme.
//!
//! A driver submits a [`BrokerTransport`] and a [`BackendTransport`] with `inventory`; nothing else knows it. Only
//! crates that are linked are seen, and rustc links only crates that are named, so an unknown scheme is an error
//! that says which `use … as _;` or feature is missing.

use std::{pin::Pin, sync::Arc};

use crate::{
    backend::{Backend, BackendError, DisabledBackend},
    broker::{Broker, BrokerError},
    config::{Config, ServerUrl},
};

/// A boxed future that can be sent between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A driver that is being connected.
pub type Connecting<Driver, Error> = BoxFuture<'static, Result<Arc<Driver>, Error>>;

/// A driver for brokers.
#[derive(Clone, Copy, Debug)]
pub struct BrokerTransport {
    /// The URL schemes that it serves.
    pub schemes: &'static [&'static str],
    /// Connects to the first of the servers that can be reached. A driver that is given several MUST go on to the next
    /// one by itself, also later, when the one that it is connected to is gone.
    pub connect: fn(&[ServerUrl], &Config) -> Connecting<dyn Broker, BrokerError>,
}

/// A driver for result backends.
#[derive(Clone, Copy, Debug)]
pub struct BackendTransport {
    /// The URL schemes that it serves.
    pub schemes: &'static [&'static str],
    /// Connects.
    pub connect: fn(&ServerUrl, &Config) -> Connecting<dyn Backend, BackendError>,
}

inventory::collect!(BrokerTransport);
inventory::collect!(BackendTransport);

/// Connects to the broker at the URL.
pub async fn connect_broker(
    url: &ServerUrl,
    config: &Config,
) -> Result<Arc<dyn Broker>, BrokerError> {
    connect_brokers(std::slice::from_ref(url), config).await
}

/// Connects to the first of several brokers that can be reached. Those that stand together in the list and have the same
/// driver are given to it together.
pub async fn connect_brokers(
    urls: &[ServerUrl],
    config: &Config,
) -> Result<Arc<dyn Broker>, BrokerError> {
    let serves =
        |transport: &&BrokerTransport, url: &ServerUrl| transport.schemes.contains(&url.scheme());
    let mut left = urls;
    let mut last = BrokerError::refused("no broker URL is configured; set `broker_url`");
    while let Some(url) = left.first() {
        let found = inventory::iter::<BrokerTransport>().find(|transport| serves(transport, url));
        let Some(transport) = found else {
            let schemes = inventory::iter::<BrokerTransport>().flat_map(|t| t.schemes);
            return Err(BrokerError::refused(UnknownScheme::new("broker", url.scheme(), schemes)));
        };
        let together = left.iter().take_while(|url| serves(&transport, url)).count();
        let (own, others) = left.split_at(together);
        match (transport.connect)(own, config).await {
            Ok(broker) => return Ok(broker),
            Err(error) => {
                // The last one is for the caller to tell.
                if !others.is_empty() {
                    tracing::warn!(broker = %url, error = &error as &dyn std::error::Error, "could not connect; trying the next broker");
                }
                last = error;
            }
        }
        left = others;
    }
    Err(last)
}

/// Connects to the result backend at the URL; without one, to the [`DisabledBackend`].
pub async fn connect_backend(
    url: Option<&ServerUrl>,
    config: &Config,
) -> Result<Arc<dyn Backend>, BackendError> {
    let Some(url) = url else { return Ok(Arc::new(DisabledBackend)) };
    let schemes = || inventory::iter::<BackendTransport>().flat_map(|t| t.schemes);
    match inventory::iter::<BackendTransport>().find(|t| t.schemes.contains(&url.scheme())) {
        Some(transport) => (transport.connect)(url, config).await,
        None => {
            Err(BackendError::other(UnknownScheme::new("result backend", url.scheme(), schemes())))
        }
    }
}

/// No linked driver serves the scheme.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "no {role} driver for `{scheme}://` is linked into this program (linked: {known}); enable the feature of `celery` for it, or add `use celery_… as _;` for the crate that has it"
)]
pub struct UnknownScheme {
    role: &'static str,
    scheme: String,
    known: String,
}

impl UnknownScheme {
    fn new<'a>(
        role: &'static str,
        scheme: &str,
        known: impl Iterator<Item = &'a &'static str>,
    ) -> Self {
        let mut known: Vec<_> = known.map(|scheme| format!("{scheme}://")).collect();
        known.sort();
        Self { role, scheme: scheme.to_owned(), known: known.join(", ") }
    }
}
