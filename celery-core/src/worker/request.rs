//! The life of one delivery, top to bottom: receive, admit, execute, verdict, settle.
//!
//! Settling has one order, always: store the result, publish what follows, acknowledge. With `acks_late` a crash anywhere
//! before the last step brings the delivery back. Without, which is Celery's default, the acknowledgement is moved to just
//! before the task is run, and a crash during the run loses the task.

use std::{error::Error as StdError, pin::Pin, sync::Arc, time::Duration};

use jiff::tz::TimeZone;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    Node,
    admit::{Admission, Candidate, admit},
    execute::{self, Limits},
    follow,
    verdict::{self, Again, Cause, Facts, Outcome, Verdict},
};
use crate::{
    app::send::result_tuple,
    broker::{Delivery, Settlement},
    clock,
    context::Context,
    exception::Exception,
    message::Message,
    options::Options,
    protocol::{ProtocolError, ProtocolErrorKind, TaskMessage},
    registry::Registration,
    repr,
    state::State,
    value::Value,
};

/// A boxed piece of work that outlives the loop it was begun in.
pub(super) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What became of a delivery upon its receipt.
pub(super) enum Received {
    /// It is to be run.
    Run(Box<Request>),
    /// It is not, and this settles it.
    Refused(Work),
}

/// A delivery that is to be run.
pub(super) struct Request {
    node: Arc<Node>,
    task: Registration,
    message: TaskMessage,
    delivery: Delivery,
}

/// Reads a delivery and decides whether it is run.
pub(super) fn receive(node: &Arc<Node>, mut delivery: Delivery) -> Received {
    let node = node.clone();
    let message = match std::mem::replace(&mut delivery.message, Ok(Message::default())) {
        Ok(message) => message,
        Err(malformed) => {
            tracing::error!(queue = delivery.queue, reason = malformed.reason, raw = ?malformed.raw.get(..200).unwrap_or(&malformed.raw), "received an item that is no message; it is quarantined");
            return Received::Refused(Box::pin(settle(
                delivery,
                Settlement::Quarantine(malformed.reason),
            )));
        }
    };
    let message = match TaskMessage::decode(&message, node.app.accept_content()) {
        Ok(message) => message,
        Err(error) => return Received::Refused(Box::pin(refuse(node, delivery, error))),
    };
    let Some(task) = node.registry().get(&message.task).copied() else {
        return Received::Refused(Box::pin(refuse_unregistered(node, delivery, message)));
    };
    tracing::info!(target: "celery::worker", "task {}[{}] received", name(&message), message.id);
    match admission(&message) {
        Admission::Run => Received::Run(Box::new(Request { node, task, message, delivery })),
        Admission::Defer(eta) => {
            tracing::debug!(id = message.id, %eta, "the task waits in the broker until it is due");
            Received::Refused(Box::pin(settle(delivery, Settlement::Defer(eta))))
        }
        Admission::Expired => Received::Refused(Box::pin(expire(node, delivery, message))),
    }
}

impl Request {
    /// Runs the task in the slot and settles the delivery.
    pub(super) async fn run(self, slot: OwnedSemaphorePermit) {
        let Self { node, task, message, delivery } = self;
        // It may have waited for its slot.
        if admission(&message) == Admission::Expired {
            return expire(node, delivery, message).await;
        }
        let rules = Rules::new(&node, &task.options, &message);
        if rules.skips_successful
            && message.delivery_info.redelivered
            && has_succeeded(&node, &message.id).await
        {
            tracing::info!(target: "celery::worker", "task {}[{}] has succeeded before; it is not run again", name(&message), message.id);
            return settle(delivery, Settlement::Ack).await;
        }
        let late = if rules.acks_late {
            Some(delivery)
        } else {
            settle(delivery, Settlement::Ack).await;
            None
        };
        let context = Context::new(node.app.clone(), message, node.hostname.clone());
        if rules.tracks_started && rules.stores_result {
            let meta = serde_json::json!({ "pid": std::process::id(), "hostname": node.hostname });
            node.store(&context, State::Started, meta, None, Vec::new()).await;
        }
        let began = tokio::time::Instant::now();
        let outcome = execute::execute(&task, &context, rules.limits, slot, &node.cold).await;
        let verdict = decide(&task.options, context.request(), outcome);
        let settlement = carry_out(&node, &context, rules, verdict, began.elapsed()).await;
        if let Some(delivery) = late {
            settle(delivery, settlement).await;
        }
    }

    /// Gives the delivery back, as if it had not been taken.
    pub(super) async fn hand_back(self) {
        settle(self.delivery, Settlement::HandBack).await;
    }
}

/// How a request is to be treated: the message's word, over the task's, over the worker's and the settings'.
#[derive(Clone, Copy, Debug)]
struct Rules {
    acks_late: bool,
    acks_on_failure: bool,
    acks_on_timeout: bool,
    skips_successful: bool,
    tracks_started: bool,
    stores_result: bool,
    stores_errors: bool,
    limits: Limits,
}

impl Rules {
    fn new(node: &Node, options: &Options, message: &TaskMessage) -> Self {
        let config = node.app.config();
        let either = options.acks_on_failure_or_timeout;
        let both = config.task.acks_on_failure_or_timeout;
        let acks_late = options.acks_late.unwrap_or(config.task.acks_late);
        let ignored = message
            .headers
            .ignore_result
            .or(options.ignore_result)
            .unwrap_or(config.task.ignore_result);
        let (hard, soft) = &message.headers.timelimit;
        let seconds = |limit: &Option<serde_json::Number>| {
            limit
                .as_ref()
                .and_then(serde_json::Number::as_f64)
                .and_then(|s| Duration::try_from_secs_f64(s).ok())
        };
        Self {
            acks_late,
            acks_on_failure: options
                .acks_on_failure
                .or(either)
                .or(config.task.acks_on_failure)
                .unwrap_or(both),
            acks_on_timeout: options
                .acks_on_timeout
                .or(either)
                .or(config.task.acks_on_timeout)
                .unwrap_or(both),
            skips_successful: acks_late && config.worker.deduplicate_successful_tasks,
            tracks_started: options.track_started.unwrap_or(config.task.track_started),
            stores_result: !ignored,
            stores_errors: !ignored
                || options
                    .store_errors_even_if_ignored
                    .unwrap_or(config.task.store_errors_even_if_ignored),
            limits: Limits {
                hard: seconds(hard).or(options.time_limit).or(node.time_limit),
                soft: seconds(soft).or(options.soft_time_limit).or(node.soft_time_limit),
            },
        }
    }
}

fn admission(message: &TaskMessage) -> Admission {
    // Dates were checked when the message was read. One without an offset is in UTC for Celery, whatever its
    // `timezone` says.
    let zone = TimeZone::UTC;
    let candidate = Candidate {
        eta: message.eta(&zone).ok().flatten(),
        expires: message.expires(&zone).ok().flatten(),
    };
    admit(candidate, clock::now())
}

fn decide(options: &Options, message: &TaskMessage, outcome: Outcome) -> Verdict {
    let exhausted = || {
        let (args, kwargs) = (
            repr::args(&message.args, &Default::default()),
            repr::kwargs(&message.kwargs, &Default::default()),
        );
        format!("Can't retry {}[{}] args:{args} kwargs:{kwargs}", message.task, message.id)
    };
    let facts = Facts {
        options,
        retries: message.headers.retries,
        now: clock::now(),
        exhausted: &exhausted,
    };
    verdict::decide(outcome, facts, |full| fastrand::u64(0..=full))
}

/// Stores the result, publishes what follows, and says how a late delivery is to be settled.
async fn carry_out(
    node: &Node,
    context: &Context,
    rules: Rules,
    verdict: Verdict,
    took: Duration,
) -> Settlement {
    let message = context.request();
    let (name, id) = (name(message), &message.id);
    match verdict {
        Verdict::Succeed(value) => {
            let follows = follow::after_success(&node.app, context, &value);
            let children = children(context, &follows);
            let shown = repr::value(&value, &Default::default());
            if rules.stores_result {
                node.store(context, State::Success, value, None, children).await;
            }
            node.publish(follows.outgoing).await;
            tracing::info!(target: "celery::worker", "task {name}[{id}] succeeded in {:.6}s: {shown}", took.as_secs_f64());
            Settlement::Ack
        }
        Verdict::Fail(failure, cause) => {
            // A task that was stopped has no place of which a traceback could tell.
            let traceback = (cause == Cause::Error).then(|| failure.traceback(&message.task));
            let follows = follow::after_failure(&node.app, context);
            let stored = failure.exception.to_value();
            if rules.stores_errors {
                let children = children(context, &follows);
                node.store(context, State::Failure, stored.clone(), traceback.clone(), children)
                    .await;
                for rest in follow::rest_of_chain(message) {
                    node.store_failed_step(&rest, &stored, traceback.as_deref()).await;
                }
            }
            node.publish(follows.outgoing).await;
            tracing::error!(target: "celery::worker", "task {name}[{id}] raised {}\n{}", failure.exception, traceback.unwrap_or_default());
            match cause {
                Cause::Error if !rules.acks_on_failure => Settlement::Reject,
                Cause::TimeLimit if !rules.acks_on_timeout => Settlement::Requeue,
                Cause::Error | Cause::TimeLimit => Settlement::Ack,
            }
        }
        Verdict::Retry(again) => {
            let Again { eta, cause, changes } = *again;
            let shown =
                cause.as_ref().map(|cause| format!(": {}", cause.exception)).unwrap_or_default();
            let outgoing = node.app.retry_of(message, eta, changes);
            if rules.stores_errors {
                let mut children = context.children();
                children.push(result_tuple(id));
                let traceback = cause.as_ref().map(|cause| cause.traceback(&message.task));
                let result = cause.map_or(Value::Null, |cause| cause.exception.to_value());
                node.store(context, State::Retry, result, traceback, children).await;
            }
            node.publish(vec![outgoing]).await;
            let seconds = clock::until(eta).as_secs_f64();
            tracing::info!(target: "celery::worker", "task {name}[{id}] retry: retry in {seconds:.3}s{shown}");
            Settlement::Ack
        }
        Verdict::Ignore => {
            tracing::info!(target: "celery::worker", "task {name}[{id}] ignored");
            Settlement::Ack
        }
        Verdict::Reject(reject) => {
            tracing::info!(target: "celery::worker", "task {name}[{id}] rejected (requeue={}): {}", reject.requeue, reject.reason);
            if reject.requeue {
                return Settlement::Requeue;
            }
            if rules.stores_errors {
                let mut exception = Exception::new("Reject", "celery.exceptions", reject.reason);
                exception.exc_message.push(false.into());
                node.store(context, State::Failure, exception.to_value(), None, context.children())
                    .await;
            }
            Settlement::Reject
        }
        Verdict::HandBack => {
            tracing::warn!(target: "celery::worker", "task {name}[{id}] stopped with the worker");
            Settlement::HandBack
        }
    }
}

/// The results of what the run published, and of what follows it.
fn children(context: &Context, follows: &follow::Follows) -> Vec<Value> {
    let mut children = context.children();
    children.extend(follows.children.iter().cloned());
    children
}

async fn expire(node: Arc<Node>, delivery: Delivery, message: TaskMessage) {
    tracing::info!(target: "celery::worker", "task {}[{}] expired", name(&message), message.id);
    let exception = Exception::new("TaskRevokedError", "celery.exceptions", "expired");
    store_unrun(&node, message, State::Revoked, exception).await;
    settle(delivery, Settlement::Ack).await;
}

async fn refuse_unregistered(node: Arc<Node>, delivery: Delivery, message: TaskMessage) {
    let reason = format!(
        "task `{}` is not registered on {}; link the crate that defines it (is it an installed app?), or send it to another queue",
        message.task, node.hostname
    );
    tracing::error!(target: "celery::worker", "task {}[{}] is not registered; the message is quarantined", message.task, message.id);
    let exception = Exception::new("NotRegistered", "celery.exceptions", message.task.clone());
    store_unrun(&node, message, State::Failure, exception).await;
    settle(delivery, Settlement::Quarantine(reason)).await;
}

/// A message that cannot be read is kept where a person can find it, and who waits for its result is told.
async fn refuse(node: Arc<Node>, delivery: Delivery, error: ProtocolError) {
    let reason = chain(&error);
    tracing::error!(target: "celery::worker", task = error.task, id = error.id, reason, "received a message that cannot be read; it is quarantined");
    let kind = match &error.kind {
        ProtocolErrorKind::Undecodable(_) => "DecodeError",
        _ => "InvalidTaskError",
    };
    if let (Some(task), Some(id)) = (error.task, error.id) {
        let message = TaskMessage { task, id, ..TaskMessage::default() };
        store_unrun(
            &node,
            message,
            State::Failure,
            Exception::new(kind, "celery.exceptions", reason.clone()),
        )
        .await;
    }
    settle(delivery, Settlement::Quarantine(reason)).await;
}

async fn store_unrun(node: &Node, message: TaskMessage, state: State, exception: Exception) {
    let context = Context::new(node.app.clone(), message, node.hostname.clone());
    if context.request().headers.ignore_result != Some(true) {
        node.store(&context, state, exception.to_value(), None, Vec::new()).await;
    }
}

async fn has_succeeded(node: &Node, id: &str) -> bool {
    let Ok(backend) = node.app.backend().await else { return false };
    matches!(backend.get(id).await, Ok(Some(meta)) if meta.state == State::Success)
}

async fn settle(delivery: Delivery, how: Settlement) {
    if let Err(error) = delivery.settle(how).await {
        tracing::error!(
            error = &error as &dyn StdError,
            "could not settle a message; it will be delivered again"
        );
    }
}

fn name(message: &TaskMessage) -> &str {
    message.headers.shadow.as_deref().unwrap_or(&message.task)
}

/// The error with what it was caused by, in one line.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
