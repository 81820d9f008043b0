//! The life of one delivery, top to bottom: receive, admit, execute, verdict, settle.
//!
//! Settling has one order, always: store the result, publish what follows, acknowledge. With `acks_late` the last two are one
//! step where the broker has one, and a crash anywhere before brings the delivery back. Without, which is Celery's default, the acknowledgement is moved to just
//! before the task is run, and a crash during the run loses the task.
//!
//! A late acknowledgement is the driver's to carry out: it goes with others, and nobody waits for it. An early one is waited
//! for, or the task might run here and elsewhere.

use std::{error::Error as StdError, pin::Pin, sync::Arc, time::Duration};

use jiff::{Timestamp, tz::TimeZone};

use super::{
    admit::{Admission, Candidate, admit},
    execute::Limits,
    limits::Override,
    moment::Moment,
    node::Node,
    rates::Permit,
    refuse::{refuse, refuse_lost, refuse_unregistered, revoke},
    requests::Hold,
    settle::{already_done, carry_out},
    slots::Slot,
    trace::Traced,
    verdict::WhenLost,
};
use crate::{
    broker::{Delivery, Settlement},
    clock,
    context::Context,
    message::Message,
    options::Options,
    protocol::TaskMessage,
    registry::Registration,
    signals::Unreadable,
    state::{State, TaskMeta},
};

/// A boxed piece of work that outlives the loop it was begun in.
pub(super) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What became of a delivery upon its receipt.
pub(super) enum Received {
    /// It is to be run.
    Run(Box<Request>),
    /// It is to be run when the rate limit of its task lets it.
    Held(Box<Request>),
    /// It is not, and this settles it.
    Refused(Work),
}

/// A delivery that is to be run.
pub(super) struct Request {
    node: Arc<Node>,
    task: Arc<Registration>,
    hold: Hold,
    delivery: Delivery,
}

/// A request whose task has run, and which is to be settled.
pub(super) struct Done {
    node: Arc<Node>,
    hold: Hold,
    context: Context,
    rules: Rules,
    traced: Traced,
    /// To be acknowledged late.
    late: Option<Delivery>,
}

/// Reads a delivery and decides whether it is run.
pub(super) fn receive(node: &Arc<Node>, mut delivery: Delivery) -> Received {
    let node = node.clone();
    let message = match std::mem::replace(&mut delivery.message, Ok(Message::default())) {
        Ok(message) => message,
        Err(malformed) => {
            tracing::error!(
                queue = delivery.queue,
                reason = malformed.reason,
                bytes = malformed.raw.len(),
                "received an item that is no message; it is quarantined"
            );
            node.app.listeners().tell("task_rejected", |signals| {
                signals.task_rejected(Unreadable::Malformed(&malformed));
            });
            let how = Settlement::Quarantine(malformed.reason);
            return Received::Refused(settled(delivery, how));
        }
    };
    let mut message = match TaskMessage::from_message(message, node.app.accept_content()) {
        Ok(message) => message,
        Err(error) => return Received::Refused(Box::pin(refuse(node, delivery, error))),
    };
    let Some(task) = node.registry().shared(&message.task) else {
        return Received::Refused(Box::pin(refuse_unregistered(node, delivery, message.into())));
    };
    node.app.redact(&mut message);
    let admission = admission(&node, &message);
    let is_lost = matches!(admission, Admission::Run) && node.is_lost_too_often(&message);
    let permit = match admission {
        Admission::Run if !is_lost => node.rates.ask(task.name, &message.id),
        Admission::Run | Admission::Defer(_) | Admission::Revoked(_) => Permit::Begin,
    };
    if let Permit::Defer(wait) = permit {
        // It is received when it is to be run: until then it may come often, here and elsewhere.
        let until = not_after_it_expires(clock::now() + wait, &message);
        node.tell(&message, &Moment::Limited(until));
        return Received::Refused(settled(delivery, Settlement::Defer(until)));
    }
    node.tell(&message, &Moment::Received(&admission));
    match admission {
        Admission::Run if is_lost => {
            Received::Refused(Box::pin(refuse_lost(node, task, delivery, message.into())))
        }
        Admission::Run => {
            let hold = node.requests.hold(task.name, message);
            node.scale_for_one_more();
            let request = Box::new(Request { node, task, hold, delivery });
            if permit == Permit::Hold { Received::Held(request) } else { Received::Run(request) }
        }
        Admission::Defer(eta) => {
            node.tell(&message, &Moment::Deferred(eta));
            Received::Refused(settled(delivery, Settlement::Defer(eta)))
        }
        Admission::Revoked(by) => {
            Received::Refused(Box::pin(revoke(node, task, delivery, message.into(), by)))
        }
    }
}

/// That time, or the moment when the message expires: it is said of it then.
fn not_after_it_expires(until: Timestamp, message: &TaskMessage) -> Timestamp {
    let expires = message.expires(&TimeZone::UTC).ok().flatten();
    let expired = expires.and_then(|expires| expires.checked_add(Duration::from_millis(1)).ok());
    expired.map_or(until, |expired| until.min(expired))
}

impl Request {
    /// The name of the task, as it is registered.
    pub(super) fn task(&self) -> &'static str {
        self.task.name
    }

    /// Its place in the order of receipt.
    pub(super) fn number(&self) -> u64 {
        self.hold.number()
    }

    /// Runs the task in the slot. What it returns is to be settled; the slot is free for the next.
    pub(super) async fn run(self: Box<Self>, slot: &Arc<Slot>) -> Option<Done> {
        let Self { node, task, hold, delivery } = *self;
        let message = Arc::clone(&hold.message);
        // It may have waited for its slot.
        if let Admission::Revoked(by) = admission(&node, &message) {
            Box::pin(revoke(node, task, delivery, message, by)).await;
            return None;
        }
        let rules = Rules::new(&node, &task.options, &message);
        if rules.skips_successful
            && message.delivery_info.redelivered
            && let Some(meta) = Box::pin(success(&node, &message.id)).await
        {
            let context = Context::new(node.app.clone(), message, Arc::clone(&node.hostname));
            Box::pin(already_done(&node, &context, &meta, delivery)).await;
            return None;
        }
        // Before the acknowledgement: a task for which there is no place is not lost.
        let Ok(place) = node.pool.place(&task, Arc::clone(slot)).await else {
            settle(delivery, Settlement::HandBack).await;
            return None;
        };
        // One that is acknowledged now is settled before it is run.
        if rules.acks_late
            && let Err(error) = delivery.begin(message.delivery_info.delivery_count > 0).await
        {
            let error = &error as &dyn StdError;
            tracing::error!(
                error,
                id = message.id,
                "a task is not run, since its message is not ours any more"
            );
            return None;
        }
        let late = if rules.acks_late {
            Some(delivery)
        } else {
            // One that could not be acknowledged is delivered again, and is run then and not twice.
            if !settle(delivery, Settlement::Ack).await {
                return None;
            }
            hold.acknowledge();
            None
        };
        let pid = place.pid();
        hold.begin(pid);
        node.tell(&message, &Moment::Started);
        let context = Context::new(node.app.clone(), message, Arc::clone(&node.hostname));
        if rules.tracks_started && rules.stores_result {
            let meta = serde_json::json!({ "pid": pid, "hostname": &*node.hostname });
            let (app, request) = (&node.app, context.request());
            let stored = app.store_state(request, State::Started, meta, Vec::new(), &node.hostname);
            if let Err(error) = Box::pin(stored).await {
                // The task does not wait for a backend that is away.
                tracing::warn!(
                    id = request.id,
                    error = &error as &dyn StdError,
                    "could not store that a task has started"
                );
            }
        }
        let how = (rules.limits, rules.when_lost);
        let traced = place.run(&node, &task, &context, &hold, how).await;
        Some(Done { node, hold, context, rules, traced, late })
    }

    /// Gives the delivery back, as if it had not been taken.
    pub(super) async fn hand_back(self: Box<Self>) {
        settle(self.delivery, Settlement::HandBack).await;
    }
}

impl Done {
    /// Stores the result, publishes what follows, tells of it, and settles a delivery that is acknowledged late.
    pub(super) async fn settle(self) {
        let Self { node, hold, context, rules, traced, late } = self;
        carry_out(&node, &context, rules, traced, late).await;
        drop(hold);
    }
}

/// How a request is to be treated: the message's word, over the task's, over the worker's and the settings'.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) acks_late: bool,
    pub(super) acks_on_failure: bool,
    pub(super) acks_on_timeout: bool,
    skips_successful: bool,
    tracks_started: bool,
    pub(super) stores_result: bool,
    pub(super) stores_errors: bool,
    limits: Limits,
    when_lost: WhenLost,
}

impl Rules {
    /// For how long it may run.
    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    pub(super) fn new(node: &Node, options: &Options, message: &TaskMessage) -> Self {
        let config = node.app.config();
        let either = options.acks_on_failure_or_timeout;
        let both = config.task.acks_on_failure_or_timeout;
        let acks_late = options.acks_late.unwrap_or(config.task.acks_late);
        let ignored = message
            .headers
            .ignore_result
            .or(options.ignore_result)
            .unwrap_or(config.task.ignore_result);
        let own = Override { hard: options.time_limit, soft: options.soft_time_limit };
        let of_task = node.limits.get(&message.task, own);
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
                .or(config.task.acks_on_failure)
                .or(either)
                .unwrap_or(both),
            acks_on_timeout: options
                .acks_on_timeout
                .or(config.task.acks_on_timeout)
                .or(either)
                .unwrap_or(both),
            skips_successful: acks_late && config.worker.deduplicate_successful_tasks,
            tracks_started: options.track_started.unwrap_or(config.task.track_started),
            stores_result: !ignored,
            stores_errors: !ignored
                || options
                    .store_errors_even_if_ignored
                    .unwrap_or(config.task.store_errors_even_if_ignored),
            when_lost: if options.retry_on_worker_lost.unwrap_or(config.task.retry_on_worker_lost) {
                WhenLost::Retry
            } else if acks_late
                && options.reject_on_worker_lost.unwrap_or(config.task.reject_on_worker_lost)
            {
                WhenLost::Requeue
            } else {
                WhenLost::Fail
            },
            limits: Limits {
                hard: seconds(hard).or(of_task.hard).or(node.time_limit),
                soft: seconds(soft).or(of_task.soft).or(node.soft_time_limit),
            },
        }
    }
}

fn admission(node: &Node, message: &TaskMessage) -> Admission {
    // Dates were checked when the message was read. One without an offset is in UTC for Celery, whatever its
    // `timezone` says.
    let zone = TimeZone::UTC;
    let candidate = Candidate {
        eta: message.eta(&zone).ok().flatten(),
        expires: message.expires(&zone).ok().flatten(),
        revoked: node.revoked.find(message),
    };
    admit(candidate, clock::now)
}

/// What is stored of the task, if it succeeded.
async fn success(node: &Node, id: &str) -> Option<TaskMeta> {
    let meta = node.app.backend().await.ok()?.get(id).await.ok().flatten()?;
    (meta.state == State::Success).then_some(meta)
}

/// Says whether it succeeded.
pub(super) async fn settle(delivery: Delivery, how: Settlement) -> bool {
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
