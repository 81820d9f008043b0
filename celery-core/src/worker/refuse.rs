//! Deliveries that are not run: expired, revoked, for a task that nobody knows, or not to be read.

use std::sync::Arc;

use super::{
    moment::Moment,
    node::Node,
    request::{Rules, settle},
    revoked::Revocation,
    settle::{Stopped, conclude_failed, fail},
    verdict::Cause,
};
use crate::{
    broker::{Delivery, Settlement},
    codec::DecodeError,
    context::Context,
    exception::{Exception, with_sources},
    protocol::{ProtocolError, ProtocolErrorKind, TaskMessage},
    registry::Registration,
    signals::Unreadable,
    state::State,
    task::Failure,
};

/// It was not begun in time, or it is not wanted any more.
pub(super) async fn revoke(
    node: Arc<Node>,
    task: Arc<Registration>,
    delivery: Delivery,
    message: Arc<TaskMessage>,
    revocation: Revocation,
) {
    node.tell(&message, &Moment::Revoked(&revocation));
    let stores = Rules::new(&node, &task.options, &message).stores_errors;
    let exception = revocation.exception();
    let stored = conclude_unrun(&node, message, stores, State::Revoked, exception).await;
    settle(delivery, stored.map_or(Settlement::HandBack, |()| Settlement::Ack)).await;
}

/// Whoever had it was lost, too often: it is set aside before it takes this worker, too. For who waits for its result it
/// has failed.
pub(super) async fn refuse_lost(
    node: Arc<Node>,
    task: Arc<Registration>,
    delivery: Delivery,
    message: Arc<TaskMessage>,
) {
    let times = message.delivery_info.delivery_count;
    let reason = format!(
        "{times} workers, or child processes of workers, were lost while they had this task; `task_max_deliveries` allows no more"
    );
    tracing::error!(target: "celery::worker", task = message.task, id = message.id, reason, "a task is quarantined");
    let rules = Rules::new(&node, &task.options, &message);
    let exception = Exception::new("WorkerLostError", "billiard.exceptions", reason);
    let context = Context::new(node.app.clone(), message, Arc::clone(&node.hostname));
    let (failure, mut late) = (Failure::new(exception), Some(delivery));
    let how = fail(&node, &context, rules, failure, Cause::LostTooOften, &mut late).await;
    if let Some(delivery) = late {
        settle(delivery, how.unwrap_or(Settlement::HandBack)).await;
    }
}

/// Nobody here knows the task. Celery drops the message; here it is kept, for when somebody does.
pub(super) async fn refuse_unregistered(
    node: Arc<Node>,
    delivery: Delivery,
    message: Arc<TaskMessage>,
) {
    let reason = format!(
        "task `{}` is not registered on {}; link the crate that defines it (is it an installed app?), or send it to another queue",
        message.task, node.hostname
    );
    node.tell(&message, &Moment::Unregistered);
    let exception = Exception::new("NotRegistered", "celery.exceptions", message.task.clone());
    let stores = message.headers.ignore_result != Some(true);
    let stored = conclude_unrun(&node, message, stores, State::Failure, exception).await;
    settle(delivery, stored.map_or(Settlement::HandBack, |()| Settlement::Quarantine(reason)))
        .await;
}

/// A message that cannot be read is kept where a person can find it, and who waits for its result is told, which
/// Celery does not do.
pub(super) async fn refuse(node: Arc<Node>, delivery: Delivery, error: ProtocolError) {
    let reason = with_sources(&error);
    node.app.listeners().tell("task_rejected", |signals| {
        signals.task_rejected(Unreadable::Protocol(&error));
    });
    tracing::error!(target: "celery::worker", task = error.task, id = error.id, reason, "received a message that cannot be read; it is quarantined");
    let (kind, module) = match &error.kind {
        ProtocolErrorKind::Undecodable(DecodeError::Pickle | DecodeError::NotAccepted(_)) => {
            ("ContentDisallowed", "kombu.exceptions")
        }
        ProtocolErrorKind::Undecodable(_) => ("DecodeError", "kombu.exceptions"),
        _ => ("InvalidTaskError", "celery.exceptions"),
    };
    let mut stored = Ok(());
    if let (Some(task), Some(id)) = (error.task, error.id) {
        let message = Arc::new(TaskMessage { task, id, ..TaskMessage::default() });
        let exception = Exception::new(kind, module, reason.clone());
        stored = conclude_unrun(&node, message, true, State::Failure, exception).await;
    }
    settle(delivery, stored.map_or(Settlement::HandBack, |()| Settlement::Quarantine(reason)))
        .await;
}

/// Ends a task that was not run. The rest of its chain shares it, which Celery leaves pending for ever, and where it is part of
/// a chord it is counted.
async fn conclude_unrun(
    node: &Node,
    message: Arc<TaskMessage>,
    stores: bool,
    state: State,
    exception: Exception,
) -> Result<(), Stopped> {
    let context = Context::new(node.app.clone(), message, Arc::clone(&node.hostname));
    conclude_failed(node, &context, stores, state, &exception, None).await
}
