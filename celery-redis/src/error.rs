//! What went wrong with Redis, told apart by what the caller can do about it.

mod table;

use std::time::Duration;

use celery_core::{backend::BackendError, broker::BrokerError};
use deadpool_redis::redis;
use redis::{ErrorKind, RedisError};

pub(crate) use self::table::Step;
use self::table::{Row, look_up};

/// A fault of the connection or the server, without any password.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{server}: {reason}")]
pub(crate) struct Fault {
    step: Step,
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
        let (reason, row) = read(error);
        let reason = match row.remedy {
            Some(remedy) => format!("{reason} ({remedy})"),
            None => reason,
        };
        Self { step: row.step, server: server.to_owned(), reason }
    }

    /// A fault of the connection that the library has no error for.
    pub(crate) fn connection(server: &str, reason: impl Into<String>) -> Self {
        Self::with(Step::Reconnect, server, reason)
    }

    /// What the server cannot do.
    pub(crate) fn refused(server: &str, reason: impl Into<String>) -> Self {
        Self::with(Step::Refuse, server, reason)
    }

    /// What came back is not what was asked for.
    pub(crate) fn other(server: &str, reason: impl Into<String>) -> Self {
        Self::with(Step::Tell, server, reason)
    }

    pub(crate) fn with(step: Step, server: &str, reason: impl Into<String>) -> Self {
        Self { step, server: server.to_owned(), reason: reason.into() }
    }

    /// The same, when so many attempts in that time have ended in it.
    pub(crate) fn after(self, waited: Duration, attempts: u32) -> Self {
        let waited = waited.as_secs_f64();
        let reason =
            format!("{} (given up after {waited:.1} seconds, {attempts} attempts)", self.reason);
        Self { reason, ..self }
    }

    /// What several servers have said, one after the other: worth another attempt when any of it is.
    pub(crate) fn of_all(mut faults: Vec<Self>) -> Self {
        let Some(last) = faults.pop() else {
            return Self::connection("", "there is no server to connect to");
        };
        if faults.is_empty() {
            return last;
        }
        faults.push(last);
        let decides = faults.iter().find(|fault| fault.is_connection()).unwrap_or(&faults[0]);
        let (step, server) = (decides.step, faults[0].server.clone());
        let others = faults[1..].iter().map(Self::to_string).collect::<Vec<_>>().join("; ");
        Self { step, server, reason: format!("{}; {others}", faults[0].reason) }
    }

    /// What is to be done about it.
    pub(crate) fn step(&self) -> Step {
        self.step
    }

    pub(crate) fn kind(&self) -> FaultKind {
        match self.step {
            Step::Reconnect | Step::Move | Step::Wait => FaultKind::Connection,
            Step::Refuse => FaultKind::Refused,
            Step::Tell => FaultKind::Other,
        }
    }

    /// Whether the same may be done later: over a fresh connection, at another server, or when this one can.
    pub(crate) fn is_connection(&self) -> bool {
        self.kind() == FaultKind::Connection
    }
}

/// The server's own words, or the library's, and what they mean.
fn read(error: &RedisError) -> (String, Row) {
    // Of several commands that were sent together, the first one that failed speaks for all.
    let answers = error.clone().into_server_errors();
    if let Some((_, answer)) = answers.as_deref().and_then(<[_]>::first) {
        let (code, words) = (answer.code(), answer.details().unwrap_or_default());
        return (format!("{code} {words}").trim_end().to_owned(), look_up(code, words));
    }
    let reason = error.to_string();
    let row = |step, remedy| Row { step, remedy };
    // A certificate that is not trusted comes as an I/O error, and comes again each time.
    if reason.to_ascii_lowercase().contains("certificate") {
        return (reason, row(Step::Refuse, None));
    }
    if reason.contains("InvalidContentType") {
        let remedy = "the server speaks no TLS at this port: use `redis://`, or its TLS port";
        return (reason, row(Step::Refuse, Some(remedy)));
    }
    let row = match error.kind() {
        ErrorKind::Io | ErrorKind::Parse => row(Step::Reconnect, None),
        ErrorKind::AuthenticationFailed => look_up("WRONGPASS", ""),
        ErrorKind::RESP3NotSupported => look_up("NOPROTO", ""),
        ErrorKind::InvalidClientConfig => row(Step::Refuse, None),
        // The library's own words around the server's, such as those about `SELECT`.
        _ => match error.code() {
            Some(code) => look_up(code, &reason),
            None => look_up("", &reason),
        },
    };
    (reason, row)
}

impl From<Fault> for BrokerError {
    fn from(fault: Fault) -> Self {
        match fault.kind() {
            FaultKind::Connection => Self::connection_lost(fault),
            FaultKind::Refused => Self::refused(fault),
            FaultKind::Other => Self::other(fault),
        }
    }
}

impl From<Fault> for BackendError {
    fn from(fault: Fault) -> Self {
        match fault.kind() {
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
