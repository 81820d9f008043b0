//! All that a worker tells of a request, on one page: what is logged, in Celery's own words, and the events.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tracing::Level;

use super::{admit::Admission, node::Node, revoked::Revocation, verdict::Cancellation};
use crate::{
    clock,
    events::Fields,
    exception::Exception,
    protocol::TaskMessage,
    repr,
    signals::RevokedHow,
    task::{Failure, Reject},
    value::Value,
};

/// What happens to a request.
#[derive(Debug)]
pub(super) enum Moment<'a> {
    /// It has come, its task is known, and this is to be done with it.
    Received(&'a Admission),
    /// It is not due: it waits in the broker.
    Deferred(Timestamp),
    /// The rate limit of its task keeps it back: it waits in the broker, as if it had not come.
    Limited(Timestamp),
    /// It is not run, or was ended while it ran: it was not begun in time, or somebody revoked it.
    Revoked(&'a Revocation),
    /// It has succeeded before, and was delivered again.
    AlreadyDone,
    /// It has a slot, and begins.
    Started,
    /// Its task returned.
    Succeeded {
        /// What it returned, as it is shown.
        result: &'a str,
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
    Rejected {
        /// How, and why.
        reject: &'a Reject,
        /// Whether it had not been acknowledged, so that the broker is told.
        late: bool,
    },
    /// Its task failed, and it is not acknowledged: the broker is to drop it, or to deliver it again.
    TurnedDown {
        /// Whether it is delivered again.
        requeue: bool,
    },
    /// It was stopped, for another worker to run.
    Cancelled(Cancellation),
    /// No task of its name is registered here.
    Unregistered,
}

impl Node {
    /// Tells what happens to a request.
    pub(super) fn tell(&self, message: &TaskMessage, moment: &Moment<'_>) {
        self.log(message, moment);
        if !self.app.listeners().is_empty() {
            self.signal(message, moment);
        }
        if self.events.sends("task") && self.may_tell(message) {
            self.send_events(message, moment);
        }
    }

    /// Logs it.
    fn log(&self, message: &TaskMessage, moment: &Moment<'_>) {
        let (name, id) = (name(message), &message.id);
        match moment {
            Moment::Received(_) => {
                tracing::info!(target: "celery::worker", "Task {name}[{id}] received");
            }
            Moment::Limited(until) => {
                tracing::trace!(id, %until, "the task waits in the broker for its rate limit");
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
                tracing::info!(target: "celery::worker", "Task {name}[{id}] succeeded in {:.6}s: {result}", runtime.as_secs_f64());
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
            Moment::Rejected { reject, .. } => {
                tracing::info!(target: "celery::worker", "Task {name}[{id}] rejected (requeue={}): {}", reject.requeue, reject.reason);
            }
            Moment::TurnedDown { requeue } => {
                tracing::debug!(id, requeue, "the message is rejected, since its task failed");
            }
            Moment::Cancelled(Cancellation::ConnectionLost) => {
                tracing::warn!(target: "celery::worker", "Task {name}[{id}] cannot be acknowledged after a connection loss since late acknowledgement is enabled for it. Terminating it instead.");
            }
            Moment::Cancelled(Cancellation::Shutdown) => {
                tracing::warn!(target: "celery::worker", "Task {name}[{id}] stopped with the worker");
            }
            Moment::Unregistered => {
                tracing::error!(target: "celery::worker", "Task {name}[{id}] is not registered in this worker, whose banner lists the tasks that are; the message is quarantined");
            }
        }
    }

    /// Tells those who listen to signals. What happens in a run is told where it runs.
    fn signal(&self, message: &TaskMessage, moment: &Moment<'_>) {
        let listeners = self.app.listeners();
        match moment {
            Moment::Received(admission) if is_news(message, admission) => {
                listeners.tell("task_received", |signals| signals.task_received(message));
            }
            Moment::Revoked(revocation) => {
                let (expired, signum) = match revocation {
                    Revocation::Expired => (true, None),
                    Revocation::Terminated(signal) => (false, Some(*signal)),
                    Revocation::ById | Revocation::ByStamp { .. } => (false, None),
                };
                let how = RevokedHow::new(signum, expired);
                listeners.tell("task_revoked", |signals| signals.task_revoked(message, how));
            }
            Moment::Unregistered => {
                listeners.tell("task_unknown", |signals| signals.task_unknown(message));
            }
            _ => {}
        }
    }

    /// Sends the events of it, with Celery's fields in Celery's order.
    fn send_events(&self, message: &TaskMessage, moment: &Moment<'_>) {
        let send = |kind, fields: &dyn Fn(&mut Fields)| {
            self.events.send(kind, |event| fields(event.add("uuid", &message.id)));
        };
        match moment {
            Moment::Received(admission) if is_news(message, admission) => {
                send("task-received", &|event| received(message, event));
            }
            Moment::Started => send("task-started", &|_| {}),
            Moment::Succeeded { result, runtime } => send("task-succeeded", &|event| {
                event.add("result", *result).add("runtime", runtime.as_secs_f64());
            }),
            Moment::Failed { exception, traceback, .. } => send("task-failed", &|event| {
                event.add("exception", &exception.repr());
                event.add("traceback", &traceback_of(exception, *traceback));
            }),
            Moment::Retried { cause, traceback, .. } => send("task-retried", &|event| {
                let exception = cause.map(|cause| cause.exception.repr());
                event.add("exception", exception.as_deref().unwrap_or("None"));
                event.add("traceback", traceback.unwrap_or_default());
            }),
            Moment::Rejected { reject, late } => {
                if !reject.requeue {
                    let exception = format!("reject requeue=False: {}", reject.reason);
                    send("task-failed", &|event| {
                        event.add("exception", &exception).add("traceback", "");
                    });
                }
                if *late {
                    send("task-rejected", &|event| _ = event.add("requeue", reject.requeue));
                }
            }
            Moment::TurnedDown { requeue } => {
                send("task-rejected", &|event| _ = event.add("requeue", *requeue));
            }
            Moment::Revoked(revocation) => send("task-revoked", &|event| {
                let signum = match revocation {
                    Revocation::Terminated(signal) => Some(*signal),
                    _ => None,
                };
                event.add("terminated", signum.is_some()).add("signum", signum);
                event.add("expired", **revocation == Revocation::Expired);
            }),
            Moment::Cancelled(_) => send("task-cancelled", &|_| {}),
            Moment::Unregistered => send("task-failed", &|event| {
                let name = repr::python(&Value::from(message.task.as_str()));
                event.add("exception", &format!("NotRegistered({name})"));
            }),
            Moment::Received(_)
            | Moment::Deferred(_)
            | Moment::Limited(_)
            | Moment::AlreadyDone
            | Moment::Ignored => {}
        }
    }

    /// Whether the task lets events tell of it. Those of a task that nobody here knows do.
    fn may_tell(&self, message: &TaskMessage) -> bool {
        self.registry().get(&message.task).is_none_or(|task| task.options.send_events)
    }
}

/// Whether a receipt is told of. One that has expired, or is revoked, is told of as such alone, as by Celery; one that
/// has waited in the broker until it was due was told of when it came first.
fn is_news(message: &TaskMessage, admission: &Admission) -> bool {
    let has_waited = message.headers.eta.is_some() && message.delivery_info.redelivered;
    !matches!(admission, Admission::Revoked(_)) && !has_waited
}

fn received(message: &TaskMessage, event: &mut Fields) {
    let headers = &message.headers;
    event.add("name", name(message));
    let limits = repr::Limits::default();
    match &headers.argsrepr {
        Some(args) => event.add("args", args),
        None => event.add("args", &repr::args(&message.args, &limits)),
    };
    match &headers.kwargsrepr {
        Some(kwargs) => event.add("kwargs", kwargs),
        None => event.add("kwargs", &repr::kwargs(&message.kwargs, &limits)),
    };
    event
        .add("root_id", headers.root_id.as_deref())
        .add("parent_id", headers.parent_id.as_deref())
        .add("retries", headers.retries)
        .add("eta", headers.eta.as_deref())
        .add("expires", headers.expires.as_deref());
}

/// The text of a traceback. A task that was stopped has no place of which it could tell.
fn traceback_of(exception: &Exception, traceback: Option<&str>) -> String {
    let bare =
        || format!("Traceback (most recent call last):\n{}.{exception}\n", exception.exc_module);
    traceback.map_or_else(bare, str::to_owned)
}

impl Node {
    /// Whether anybody is shown what tasks return.
    pub(super) fn tells_results(&self) -> bool {
        self.events.sends("task") || tracing::enabled!(target: "celery::worker", Level::INFO)
    }

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
