//! How a command fails: what it says, and with which exit status.

use std::{io::Write, process::ExitCode};

use celery_core::{backend::BackendError, broker::BrokerError, exception::with_sources};

/// The status of a command line that cannot be read.
pub(super) const USAGE: u8 = 2;
/// `EX_UNAVAILABLE` of sysexits.h: a server, or every worker, cannot be reached.
pub(super) const UNAVAILABLE: u8 = 69;
/// `EX_CANTCREAT` of sysexits.h: the pid file is there already.
pub(super) const CANNOT_CREATE: u8 = 73;

/// A command that failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// What is said. An empty one has been said already.
    pub(super) message: String,
    /// The exit status.
    pub(super) code: u8,
}

impl Failure {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1 }
    }

    pub(super) fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// A failure to speak to the workers, in Celery's words.
    pub(super) fn of_remote_command(command: &str, error: &celery_core::error::Error) -> Self {
        let reason = with_sources(error);
        let message = match error {
            celery_core::error::Error::Broker(BrokerError::ConnectionLost(_)) => format!(
                "Could not connect to the message broker. Please make sure your broker (e.g., RabbitMQ or Redis) is running and the connection settings are correct. Reason: {reason}"
            ),
            _ => format!("Unable to run the `{command}` command. Reason: {reason}"),
        };
        Self::new(message).code(UNAVAILABLE)
    }

    /// Says what failed, and returns the exit status.
    pub(super) fn report(&self) -> ExitCode {
        if !self.message.is_empty() {
            // Where standard error is closed, the exit status says it all.
            let _unwritten = writeln!(std::io::stderr(), "Error: {}", self.message);
        }
        ExitCode::from(self.code)
    }
}

impl From<celery_core::error::Error> for Failure {
    fn from(error: celery_core::error::Error) -> Self {
        use celery_core::error::Error::{Backend, Broker};
        let is_unreachable = matches!(
            error,
            Broker(BrokerError::ConnectionLost(_)) | Backend(BackendError::ConnectionLost(_))
        );
        Self::new(with_sources(&error)).code(if is_unreachable { UNAVAILABLE } else { 1 })
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(error.to_string())
    }
}
