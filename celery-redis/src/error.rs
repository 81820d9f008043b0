//! What went wrong with Redis, told apart by what the caller can do about it.

use celery_core::{backend::BackendError, broker::BrokerError};
use deadpool_redis::{PoolError, redis};
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// A fault of the connection or the server, without any password.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{server}: {reason}")]
pub(crate) struct Fault {
    kind: FaultKind,
    server: String,
    reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// The connection is gone, or the server cannot serve at this moment.
    Connection,
    /// Trying again cannot help.
    Refused,
    /// The server does not do what was asked.
    Other,
}

impl Fault {
    /// Tells the error apart.
    pub(crate) fn new(server: &str, error: &RedisError) -> Self {
        let reason = error.to_string();
        Self { kind: kind_of(error, &reason), server: server.to_owned(), reason }
    }

    /// A fault of the connection that the library has no error for.
    pub(crate) fn connection(server: &str, reason: impl Into<String>) -> Self {
        Self { kind: FaultKind::Connection, server: server.to_owned(), reason: reason.into() }
    }

    /// What the server cannot do.
    pub(crate) fn refused(server: &str, reason: impl Into<String>) -> Self {
        Self { kind: FaultKind::Refused, server: server.to_owned(), reason: reason.into() }
    }

    /// What came back is not what was asked for.
    pub(crate) fn other(server: &str, reason: impl Into<String>) -> Self {
        Self { kind: FaultKind::Other, server: server.to_owned(), reason: reason.into() }
    }

    pub(crate) fn from_pool(server: &str, error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::new(server, &error),
            other => Self::connection(server, other.to_string()),
        }
    }

    pub(crate) fn kind(&self) -> FaultKind {
        self.kind
    }

    pub(crate) fn is_connection(&self) -> bool {
        self.kind == FaultKind::Connection
    }
}

fn kind_of(error: &RedisError, reason: &str) -> FaultKind {
    // A certificate that is not trusted comes as an I/O error, and comes again each time.
    if reason.contains("certificate") {
        return FaultKind::Refused;
    }
    match error.kind() {
        ErrorKind::Io | ErrorKind::Parse => FaultKind::Connection,
        ErrorKind::AuthenticationFailed
        | ErrorKind::InvalidClientConfig
        | ErrorKind::RESP3NotSupported
        | ErrorKind::Server(ServerErrorKind::NoPerm) => FaultKind::Refused,
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ReadOnly
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown,
        ) => FaultKind::Connection,
        _ if error.is_io_error() || error.is_connection_dropped() || error.is_timeout() => {
            FaultKind::Connection
        }
        _ if matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "DENIED")) => FaultKind::Refused,
        _ if ["DB index", "max number of clients", "invalid password"]
            .iter()
            .any(|it| reason.contains(it)) =>
        {
            if reason.contains("max number") {
                FaultKind::Connection
            } else {
                FaultKind::Refused
            }
        }
        _ => FaultKind::Other,
    }
}

impl From<Fault> for BrokerError {
    fn from(fault: Fault) -> Self {
        match fault.kind {
            FaultKind::Connection => Self::connection_lost(fault),
            FaultKind::Refused => Self::refused(fault),
            FaultKind::Other => Self::other(fault),
        }
    }
}

impl From<Fault> for BackendError {
    fn from(fault: Fault) -> Self {
        match fault.kind {
            FaultKind::Connection => Self::connection_lost(fault),
            FaultKind::Refused | FaultKind::Other => Self::other(fault),
        }
    }
}

/// A setting that this driver cannot use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadOption(pub(crate) String);

impl From<BadOption> for BrokerError {
    fn from(bad: BadOption) -> Self {
        Self::refused(bad)
    }
}

impl From<BadOption> for BackendError {
    fn from(bad: BadOption) -> Self {
        Self::other(bad)
    }
}
