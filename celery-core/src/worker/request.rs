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
    patience::Undone,
    verdict::{self, Again, Cause, Facts, Outcome, Verdict},
};
use crate::{
    app::send::result_tuple,
    broker::{Delivery, Settlement},
    clock,
    codec::DecodeError,
    context::Context,
    exception::Exception,
    message::Message,
    options::Options,
    protocol::{ProtocolError, ProtocolErrorKind, TaskMessage},
    registry::Registration,
    repr,
    state::State,
    task::Failure,
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
            let how = Settlement::Quarantine(malformed.reason);
            return Received::Refused(settled(delivery, how));
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
            Received::Refused(settled(delivery, Settlement::Defer(eta)))
        }
        Admission::Expired => Received::Refused(Box::pin(expire(node, task, delivery, message))),
    }
}

impl Request {
    /// Runs the task in the slot and settles the delivery.
    pub(super) async fn run(self, slot: OwnedSemaphorePermit) {
        let Self { node, task, message, delivery } = self;
        // It may have waited for its slot.
        if admission(&message) == Admission::Expired {
            return expire(node, task, delivery, message).await;
        }
        let rules = Rules::new(&node, &task.options, &message);
        if rules.skips_successful
            && message.delivery_info.redelivered
            && has_succeeded(&node, &message.id).await
        {
            tracing::info!(target: "celery::worker", "task {}[{}] has succeeded before; it is not run again", name(&message), message.id);
            settle(delivery, Settlement::Ack).await;
            return;
        }
        let late = if rules.acks_late {
            Some(delivery)
        } else {
            // One that could not be acknowledged is delivered again, and is run then and not twice.
            if !settle(delivery, Settlement::Ack).await {
                return;
            }
            None
        };
        let context = Context::new(node.app.clone(), message, node.hostname.clone());
        if rules.tracks_started && rules.stores_result {
            let meta = serde_json::json!({ "pid": std::process::id(), "hostname": node.hostname });
            let (app, request) = (&node.app, context.request());
            let stored = app.store_state(request, State::Started, meta, Vec::new(), &node.hostname);
            if let Err(error) = stored.await {
                // The task does not wait for a backend that is away.
                tracing::warn!(
                    id = request.id,
                    error = &error as &dyn StdError,
                    "could not store that a task has started"
                );
            }
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
                // Celery takes a limit of nothing for none.
                .filter(|seconds| *seconds > 0.0)
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
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
            tracing::info!(target: "celery::worker", "task {name}[{id}] succeeded in {:.6}s: {}", took.as_secs_f64(), repr::value(&value, &Default::default()));
            succeed(node, context, rules, value).await.unwrap_or(Settlement::HandBack)
        }
        Verdict::Fail(failure, cause) => {
            fail(node, context, rules, failure, cause).await.unwrap_or(Settlement::HandBack)
        }
        Verdict::Retry(again) => {
            try_again(node, context, rules, *again).await.unwrap_or(Settlement::HandBack)
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
            let mut exception = Exception::new("Reject", "celery.exceptions", reject.reason);
            exception.exc_message.push(false.into());
            let stored = if rules.stores_errors {
                let children = context.children();
                node.store(context, State::Failure, exception.to_value(), None, children).await
            } else {
                Ok(())
            };
            go_on(stored).map_or(Settlement::HandBack, |()| Settlement::Reject)
        }
        Verdict::HandBack => {
            tracing::warn!(target: "celery::worker", "task {name}[{id}] stopped with the worker");
            Settlement::HandBack
        }
    }
}

/// The worker is to stop at once, and something is left to be done: a late message is left to another worker.
struct Stopped;

/// What cannot be done has been logged, and the rest goes on without it.
#[expect(clippy::needless_pass_by_value, reason = "it takes the place of a `?`")]
fn go_on(done: Result<(), Undone>) -> Result<(), Stopped> {
    match done {
        Err(Undone::Stopped) => Err(Stopped),
        Ok(()) | Err(Undone::Failed(_)) => Ok(()),
    }
}

async fn succeed(
    node: &Node,
    context: &Context,
    rules: Rules,
    value: Value,
) -> Result<Settlement, Stopped> {
    let mut follows = follow::after_success(&node.app, context, &value);
    if rules.stores_result {
        let mut children = context.children();
        children.append(&mut follows.children);
        go_on(node.store(context, State::Success, value, None, children).await)?;
    }
    let last = follows.outgoing.len();
    for (number, outgoing) in (1..).zip(&follows.outgoing) {
        let published = node.publish(outgoing).await;
        if let Err(Undone::Failed(error)) = &published
            && follows.goes_on
            && number == last
        {
            follows.broken = Some(follow::broken(chain(error)));
        }
        go_on(published)?;
    }
    if let Some(exception) = follows.broken
        && rules.stores_errors
    {
        store_rest(node, context.request(), State::Failure, &exception, None).await?;
    }
    Ok(Settlement::Ack)
}

async fn fail(
    node: &Node,
    context: &Context,
    rules: Rules,
    failure: Failure,
    cause: Cause,
) -> Result<Settlement, Stopped> {
    let message = context.request();
    // A task that was stopped has no place of which a traceback could tell.
    let traceback = (cause == Cause::Error).then(|| failure.traceback(&message.task));
    tracing::error!(target: "celery::worker", "task {}[{}] raised {}\n{}", name(message), message.id, failure.exception, traceback.as_deref().unwrap_or_default());
    if rules.stores_errors {
        let (exception, children) = (&failure.exception, context.children());
        let (state, trace) = (State::Failure, traceback.clone());
        go_on(node.store(context, state.clone(), exception.to_value(), trace, children).await)?;
        store_rest(node, message, state, exception, traceback.as_deref()).await?;
    }
    for outgoing in follow::after_failure(&node.app, context).outgoing {
        go_on(node.publish(&outgoing).await)?;
    }
    Ok(match cause {
        Cause::Error if !rules.acks_on_failure => Settlement::Reject,
        Cause::TimeLimit if !rules.acks_on_timeout => Settlement::Requeue,
        Cause::Error | Cause::TimeLimit => Settlement::Ack,
    })
}

async fn try_again(
    node: &Node,
    context: &Context,
    rules: Rules,
    again: Again,
) -> Result<Settlement, Stopped> {
    let message = context.request();
    let Again { eta, cause, changes } = again;
    let shown = cause.as_ref().map(|cause| format!(": {}", cause.exception)).unwrap_or_default();
    let outgoing = node.app.retry_of(message, eta, changes);
    if rules.stores_errors {
        let mut children = context.children();
        children.push(result_tuple(&message.id));
        let traceback = cause.as_ref().map(|cause| cause.traceback(&message.task));
        let result = cause.map_or(Value::Null, |cause| cause.exception.to_value());
        go_on(node.store(context, State::Retry, result, traceback, children).await)?;
    }
    let published = node.publish(&outgoing).await;
    if let Err(Undone::Failed(error)) = published {
        // Nobody will run it again, so who waits for it is told.
        let reason = format!("could not publish the retry: {}", chain(&error));
        let mut exception = Exception::new("Reject", "celery.exceptions", reason);
        exception.exc_message.push(false.into());
        return fail(node, context, rules, Failure::new(exception), Cause::Error).await;
    }
    go_on(published)?;
    let seconds = clock::until(eta).as_secs_f64();
    tracing::info!(target: "celery::worker", "task {}[{}] retry: retry in {seconds:.3}s{shown}", name(message), message.id);
    Ok(Settlement::Ack)
}

/// Tells who waits for the end of a chain that it will not be reached.
async fn store_rest(
    node: &Node,
    message: &TaskMessage,
    state: State,
    exception: &Exception,
    traceback: Option<&str>,
) -> Result<(), Stopped> {
    for step in follow::rest_of_chain(message) {
        let traceback = traceback.map(str::to_owned);
        go_on(node.store_step(&step, state.clone(), exception.to_value(), traceback).await)?;
    }
    Ok(())
}

async fn expire(node: Arc<Node>, task: Registration, delivery: Delivery, message: TaskMessage) {
    tracing::info!(target: "celery::worker", "task {}[{}] expired", name(&message), message.id);
    let exception = Exception::new("TaskRevokedError", "celery.exceptions", "expired");
    let stored = if Rules::new(&node, &task.options, &message).stores_errors {
        store_unrun(&node, message, State::Revoked, exception).await
    } else {
        Ok(())
    };
    settle(delivery, stored.map_or(Settlement::HandBack, |()| Settlement::Ack)).await;
}

async fn refuse_unregistered(node: Arc<Node>, delivery: Delivery, message: TaskMessage) {
    let reason = format!(
        "task `{}` is not registered on {}; link the crate that defines it (is it an installed app?), or send it to another queue",
        message.task, node.hostname
    );
    tracing::error!(target: "celery::worker", "task {}[{}] is not registered; the message is quarantined", message.task, message.id);
    let exception = Exception::new("NotRegistered", "celery.exceptions", message.task.clone());
    let stored = store_unrun(&node, message, State::Failure, exception).await;
    settle(delivery, stored.map_or(Settlement::HandBack, |()| Settlement::Quarantine(reason)))
        .await;
}

/// A message that cannot be read is kept where a person can find it, and who waits for its result is told, which
/// Celery does not do.
async fn refuse(node: Arc<Node>, delivery: Delivery, error: ProtocolError) {
    let reason = chain(&error);
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
        let message = TaskMessage { task, id, ..TaskMessage::default() };
        let exception = Exception::new(kind, module, reason.clone());
        stored = store_unrun(&node, message, State::Failure, exception).await;
    }
    settle(delivery, stored.map_or(Settlement::HandBack, |()| Settlement::Quarantine(reason)))
        .await;
}

/// Stores the end of a task that was not run. The rest of its chain shares it, which Celery leaves pending for ever.
async fn store_unrun(
    node: &Node,
    message: TaskMessage,
    state: State,
    exception: Exception,
) -> Result<(), Stopped> {
    let context = Context::new(node.app.clone(), message, node.hostname.clone());
    let message = context.request();
    if message.headers.ignore_result == Some(true) {
        return Ok(());
    }
    go_on(node.store(&context, state.clone(), exception.to_value(), None, Vec::new()).await)?;
    store_rest(node, message, state, &exception, None).await
}

async fn has_succeeded(node: &Node, id: &str) -> bool {
    let Ok(backend) = node.app.backend().await else { return false };
    matches!(backend.get(id).await, Ok(Some(meta)) if meta.state == State::Success)
}

/// Says whether it succeeded.
async fn settle(delivery: Delivery, how: Settlement) -> bool {
    let settled = delivery.settle(how).await;
    if let Err(error) = &settled {
        tracing::error!(
            error = error as &dyn StdError,
            "could not settle a message; it will be delivered again"
        );
    }
    settled.is_ok()
}

fn settled(delivery: Delivery, how: Settlement) -> Work {
    Box::pin(async move {
        settle(delivery, how).await;
    })
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
