//! All that a worker tells of a request, on one page: what is logged, in Celery's own words.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::{node::Node, revoked::Revocation};
use crate::{
    clock,
    exception::Exception,
    protocol::TaskMessage,
    repr,
    task::{Failure, Reject},
    value::Value,
};

/// What happens to a request.
#[derive(Debug)]
pub(super) enum Moment<'a> {
    /// It has come, and its task is known.
    Received,
    /// It is not due: it waits in the broker.
    Deferred(Timestamp),
    /// It is not run, or was ended while it ran: it was not begun in time, or somebody revoked it.
    Revoked(&'a Revocation),
    /// It has succeeded before, and was delivered again.
    AlreadyDone,
    /// It has a slot, and begins.
    Started,
    /// Its task returned.
    Succeeded {
        /// What it returned.
        result: &'a Value,
        /// How long it ran.
        runtime: Duration,
    },
    /// Its task failed, or was stopped.
    Failed {
        /// With what.
        exception: &'a Exception,
        /// Where that arose.
        traceback: Option<&'a str>,
        /// Whether it is one that the task says it throws.
        expected: bool,
    },
    /// It is published anew.
    Retried {
        /// When it is to run.
        eta: Timestamp,
        /// What it failed with.
        cause: Option<&'a Failure>,
        /// Where that arose.
        traceback: Option<&'a str>,
    },
    /// Its task wants nothing recorded.
    Ignored,
    /// Its task rejected the message.
    Rejected(&'a Reject),
    /// It was stopped with the worker, for another one to run.
    Cancelled,
    /// No task of its name is registered here.
    Unregistered,
}

impl Node {
    /// Tells what happens to a request.
    pub(super) fn tell(&self, message: &TaskMessage, moment: &Moment<'_>) {
        let (name, id) = (name(message), &message.id);
        match moment {
            Moment::Received => {
                tracing::info!(target: "celery::worker", "Task {name}[{id}] received");
            }
            Moment::Deferred(eta) => {
                tracing::debug!(id, %eta, "the task waits in the broker until it is due");
            }
            Moment::Revoked(Revocation::Expired) => {
                tracing::info!(target: "celery::worker", "Discarding revoked task: {name}[{id}] (expired)");
            }
            Moment::Revoked(Revocation::ById) => {
                tracing::info!(target: "celery::worker", "Discarding revoked task: {name}[{id}]");
            }
            Moment::Revoked(Revocation::ByStamp { name: stamp, value }) => {
                let header = repr::python(&json!({ stamp.as_str(): value }));
                tracing::info!(target: "celery::worker", "Discarding revoked task: {name}[{id}] (revoked by header: {header})");
            }
            Moment::Revoked(Revocation::Terminated(signal)) => {
                tracing::info!(target: "celery::worker", "Task {name}[{id}] terminated with signal {signal}");
            }
            Moment::AlreadyDone => {
                tracing::info!(target: "celery::worker", "Task {name}[{id}] has succeeded before; it is not run again");
            }
            Moment::Started => {
                tracing::debug!(target: "celery::worker", "Task accepted: {name}[{id}]");
            }
            Moment::Succeeded { result, runtime } => {
                let shown = repr::value(result, &self.result_limits(message));
                tracing::info!(target: "celery::worker", "Task {name}[{id}] succeeded in {:.6}s: {shown}", runtime.as_secs_f64());
            }
            Moment::Failed { exception, expected: true, .. } => {
                tracing::info!(target: "celery::worker", "Task {name}[{id}] raised expected: {exception}");
            }
            Moment::Failed { exception, traceback, .. } => {
                tracing::error!(target: "celery::worker", "Task {name}[{id}] raised unexpected: {exception}\n{}", traceback.unwrap_or_default());
            }
            Moment::Retried { eta, cause, .. } => {
                let seconds = clock::until(*eta).as_secs_f64();
                let shown = cause.map(|cause| format!(": {}", cause.exception)).unwrap_or_default();
                tracing::info!(target: "celery::worker", "Task {name}[{id}] retry: retry in {seconds:.3}s{shown}");
            }
            Moment::Ignored => {
                tracing::info!(target: "celery::worker", "Task {name}[{id}] ignored");
            }
            Moment::Rejected(reject) => {
                tracing::info!(target: "celery::worker", "Task {name}[{id}] rejected (requeue={}): {}", reject.requeue, reject.reason);
            }
            Moment::Cancelled => {
                tracing::warn!(target: "celery::worker", "Task {name}[{id}] stopped with the worker");
            }
            Moment::Unregistered => {
                tracing::error!(target: "celery::worker", "Task {name}[{id}] is not registered in this worker, whose banner lists the tasks that are; the message is quarantined");
            }
        }
    }
}

impl Node {
    /// How much is shown of a result, which the task may say.
    pub(super) fn result_limits(&self, message: &TaskMessage) -> repr::Limits {
        let limits = repr::Limits::default();
        let own = self.registry().get(&message.task).map(|task| task.options.resultrepr_maxsize);
        repr::Limits { max_len: own.or(limits.max_len), ..limits }
    }
}

/// What the task is called in logs.
fn name(message: &TaskMessage) -> &str {
    message.headers.shadow.as_deref().unwrap_or(&message.task)
}
