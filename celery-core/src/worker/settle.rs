//! Carries out a verdict: stores the result, publishes what follows and settles a late delivery, and tells of it.
//!
//! What follows is published in the step in which the delivery is settled, where the broker has such a step. A crash at
//! any moment then finds both done, or neither: the task comes again, and what follows it is published once.

use std::time::Duration;

use super::{
    doomed, errbacks,
    follow::{self, Follows},
    join,
    moment::Moment,
    node::Node,
    patience::Undone,
    request::{Rules, settle},
    revoked::Revocation,
    trace::Traced,
    verdict::{Again, Cancellation, Cause, Verdict},
};
use crate::{
    app::{publish::Parcel, send::result_tuple},
    backend::Joined,
    broker::{Delivery, Settlement},
    context::Context,
    error::Error,
    exception::{Exception, with_sources},
    protocol::TaskMessage,
    repr,
    state::{State, TaskMeta},
    task::Failure,
    value::Value,
};

/// Stores the result, publishes what follows, and settles the delivery of a late task.
pub(super) async fn carry_out(
    node: &Node,
    context: &Context,
    rules: Rules,
    traced: Traced,
    mut late: Option<Delivery>,
) {
    let settlement = ending(node, context, rules, traced, &mut late).await;
    if let Some(delivery) = late {
        delivery.settle_later(settlement.unwrap_or(Settlement::HandBack));
    }
}

/// Does all of it, but for settling a delivery that is left: it says how.
///
/// What takes a while, or is rare, is boxed: most tasks have none of it, and are not to be made large by it.
async fn ending(
    node: &Node,
    context: &Context,
    rules: Rules,
    traced: Traced,
    late: &mut Option<Delivery>,
) -> Result<Settlement, Stopped> {
    let message = context.request();
    if let Some(left) = context.take_join() {
        Box::pin(join::complete_left(node, left)).await?;
    }
    match traced.verdict {
        Verdict::Succeed(value) => succeed(node, context, rules, value, traced.runtime, late).await,
        Verdict::Fail(failure, cause) => {
            Box::pin(fail(node, context, rules, failure, cause, late)).await
        }
        Verdict::Retry(again) => Box::pin(try_again(node, context, rules, *again, late)).await,
        Verdict::Ignore => {
            node.tell(message, &Moment::Ignored);
            Ok(Settlement::Ack)
        }
        Verdict::Replace(signature) => {
            Box::pin(replace(node, context, rules, signature, late)).await
        }
        Verdict::Reject(reject) => {
            node.tell(message, &Moment::Rejected { reject: &reject, late: rules.acks_late });
            if reject.requeue {
                return Ok(Settlement::Requeue);
            }
            let mut exception = Exception::new("Reject", "celery.exceptions", reject.reason);
            exception.exc_message.push(false.into());
            Box::pin(end(node, context, rules, State::Failure, &exception, None)).await?;
            let cause = errbacks::Cause { exception: &exception, traceback: None };
            let told = Box::pin(errbacks::call(node, context, cause)).await?;
            if told.is_something() {
                let how = Settlement::Reject;
                Box::pin(send_on(node, context, told, &how, Rest::Leave, late)).await?;
            }
            Ok(Settlement::Reject)
        }
        Verdict::Lost(reject) => {
            node.tell(message, &Moment::Rejected { reject: &reject, late: rules.acks_late });
            Ok(Settlement::Lost)
        }
        Verdict::HandBack(why) => Ok(Box::pin(cancel(node, context, rules, why)).await),
        Verdict::Revoke(signal) => Box::pin(revoke(node, context, rules, signal)).await,
    }
}

/// A task that succeeded is delivered again, and is not run again: what follows it was not published, or its delivery
/// would be settled.
pub(super) async fn already_done(
    node: &Node,
    context: &Context,
    meta: &TaskMeta,
    delivery: Delivery,
) {
    node.tell(context.request(), &Moment::AlreadyDone);
    let children = meta.children.as_deref().unwrap_or_default();
    let follows = follow::again(&node.app, context, &meta.result, children);
    let mut late = Some(delivery);
    let sent = async {
        // It is counted already, unless somebody else stored the result.
        let counted = go_on(node.conclude(context.request(), meta, false).await)?;
        join::complete(node, counted.into_iter().collect()).await?;
        send_on(node, context, follows, &Settlement::Ack, Rest::Store, &mut late).await
    };
    let sent = sent.await;
    if let Some(delivery) = late {
        settle(delivery, sent.map_or(Settlement::HandBack, |()| Settlement::Ack)).await;
    }
}

/// The worker is to stop at once, and something is left to be done: a late message is left to another worker.
#[derive(Debug)]
pub(super) struct Stopped;

/// What cannot be done has been logged, and the rest goes on without it.
pub(super) fn go_on<T: Default>(done: Result<T, Undone>) -> Result<T, Stopped> {
    match done {
        Ok(done) => Ok(done),
        Err(Undone::Stopped) => Err(Stopped),
        Err(Undone::Failed(_)) => Ok(T::default()),
    }
}

async fn succeed(
    node: &Node,
    context: &Context,
    rules: Rules,
    value: Value,
    runtime: Duration,
    late: &mut Option<Delivery>,
) -> Result<Settlement, Stopped> {
    let message = context.request();
    let shown = if node.tells_results() {
        repr::value(&value, &node.result_limits(message))
    } else {
        String::new()
    };
    let mut follows = follow::after_success(&node.app, context, &value);
    if !follows.children.is_empty() {
        context.add_children(std::mem::take(&mut follows.children));
    }
    if rules.stores_result || message.embed.chord.is_some() {
        let meta = node.meta_of(context, State::Success, value, None);
        let joined = Box::pin(node.conclude(message, &meta, rules.stores_result)).await;
        join::complete(node, go_on(joined)?.into_iter().collect()).await?;
    }
    if follows.is_something() {
        let rest = if rules.stores_errors { Rest::Store } else { Rest::Leave };
        Box::pin(send_on(node, context, follows, &Settlement::Ack, rest, late)).await?;
    }
    // Who is told of it finds the result.
    node.tell(context.request(), &Moment::Succeeded { result: &shown, runtime });
    Ok(Settlement::Ack)
}

/// What becomes of the steps of a chain that does not go on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rest {
    /// They fail.
    Store,
    /// Nothing is stored of them.
    Leave,
}

/// Publishes what follows, and settles a late delivery in the same step where that can be done: then there is none left.
async fn send_on(
    node: &Node,
    context: &Context,
    follows: Follows,
    how: &Settlement,
    rest: Rest,
    late: &mut Option<Delivery>,
) -> Result<(), Stopped> {
    let Follows { calls, mut broken, .. } = follows;
    let mut parcel = Parcel::default();
    let mut goes_on = false;
    for call in calls {
        let is_step = call.goes_on;
        match node.load(context, call, &mut parcel).await {
            Ok(()) => goes_on |= is_step,
            Err(Undone::Failed(error)) if is_step => broken = Some(why_broken(&error)),
            failed => go_on(failed)?,
        }
    }
    let in_one_step = node.app.publishes_where_it_consumes();
    if late.is_none() || !in_one_step {
        let published = node.publish_all(&parcel).await;
        if let Err(Undone::Failed(error)) = &published
            && goes_on
        {
            broken = Some(why_broken(error));
        }
        go_on(published)?;
    }
    if let Some(exception) = broken
        && rest == Rest::Store
    {
        let message = context.request();
        let joined = fail_rest(node, message, &State::Failure, &exception, None, true).await?;
        join::complete(node, joined).await?;
    }
    if in_one_step
        && !parcel.batch.is_empty()
        && let Some(delivery) = late.take()
    {
        return node.publish_and_settle(delivery, how.clone(), &parcel).await;
    }
    Ok(())
}

/// Why a chain does not go on.
fn why_broken(error: &Error) -> Exception {
    follow::broken(with_sources(error))
}

/// Ends the task with a failure.
pub(super) async fn fail(
    node: &Node,
    context: &Context,
    rules: Rules,
    failure: Failure,
    cause: Cause,
    late: &mut Option<Delivery>,
) -> Result<Settlement, Stopped> {
    let message = context.request();
    // A task that was stopped has no place of which a traceback could tell.
    let traceback = (!matches!(cause, Cause::TimeLimit | Cause::WorkerLost | Cause::LostTooOften))
        .then(|| failure.traceback(&message.task));
    let exception = &failure.exception;
    end(node, context, rules, State::Failure, exception, traceback.as_deref()).await?;
    let settlement = match cause {
        Cause::Error | Cause::Expected | Cause::WorkerLost if !rules.acks_on_failure => {
            Settlement::Reject
        }
        Cause::TimeLimit if !rules.acks_on_timeout => Settlement::Requeue,
        Cause::LostTooOften => Settlement::Quarantine(exception.to_string()),
        Cause::Error | Cause::Expected | Cause::TimeLimit | Cause::WorkerLost => Settlement::Ack,
    };
    let told = errbacks::Cause { exception, traceback: traceback.as_deref() };
    let errbacks = errbacks::call(node, context, told).await?;
    send_on(node, context, errbacks, &settlement, Rest::Leave, late).await?;
    let (trace, expected) = (traceback.as_deref(), cause == Cause::Expected);
    node.tell(message, &Moment::Failed { exception, traceback: trace, expected });
    if rules.acks_late && matches!(settlement, Settlement::Reject | Settlement::Requeue) {
        let requeue = settlement == Settlement::Requeue;
        node.tell(message, &Moment::TurnedDown { requeue });
    }
    Ok(settlement)
}

/// As Celery, it says of a late task only that it will be retried when that is not of its own doing; and of an early
/// one, which is lost, the same.
async fn cancel(node: &Node, context: &Context, rules: Rules, why: Cancellation) -> Settlement {
    node.tell(context.request(), &Moment::Cancelled(why));
    if rules.stores_errors && (why == Cancellation::ConnectionLost || !rules.acks_late) {
        let exception = Exception::new("Retry", "celery.exceptions", "cancelled by Celery");
        // What could not be stored has been logged.
        _ = node.store(context, State::Retry, exception.to_value(), None).await;
    }
    Settlement::HandBack
}

async fn revoke(
    node: &Node,
    context: &Context,
    rules: Rules,
    signal: i32,
) -> Result<Settlement, Stopped> {
    let revocation = Revocation::Terminated(signal);
    node.tell(context.request(), &Moment::Revoked(&revocation));
    let exception = revocation.exception();
    end(node, context, rules, State::Revoked, &exception, None).await?;
    Ok(Settlement::Ack)
}

async fn try_again(
    node: &Node,
    context: &Context,
    rules: Rules,
    again: Again,
    late: &mut Option<Delivery>,
) -> Result<Settlement, Stopped> {
    let message = context.request();
    let Again { eta, cause, changes } = again;
    let traceback = cause.as_ref().map(|cause| cause.traceback(&message.task));
    let outgoing = node.app.retry_of(message, eta, changes);
    if rules.stores_errors {
        context.add_children([result_tuple(&message.id)]);
        let result = cause.as_ref().map_or(Value::Null, |cause| cause.exception.to_value());
        go_on(node.store(context, State::Retry, result, traceback.clone()).await)?;
    }
    let in_one_step = outgoing.goes_to_a_queue();
    let mut parcel = Parcel::default();
    let published = match node.pack(outgoing, &mut parcel) {
        Ok(()) => hand_over(node, &parcel, in_one_step, late).await,
        Err(error) => Err(Undone::Failed(error)),
    };
    if let Err(Undone::Failed(error)) = published {
        // Nobody will run it again, so who waits for it is told.
        let reason = format!("could not publish the retry: {}", with_sources(&error));
        let mut exception = Exception::new("Reject", "celery.exceptions", reason);
        exception.exc_message.push(false.into());
        return fail(node, context, rules, Failure::new(exception), Cause::Error, late).await;
    }
    go_on(published)?;
    let (cause, traceback) = (cause.as_ref(), traceback.as_deref());
    node.tell(message, &Moment::Retried { eta, cause, traceback });
    Ok(Settlement::Ack)
}

/// Publishes what stands in for the task, which stores nothing.
async fn replace(
    node: &Node,
    context: &Context,
    rules: Rules,
    signature: Value,
    late: &mut Option<Delivery>,
) -> Result<Settlement, Stopped> {
    let mut parcel = Parcel::default();
    let loaded = match follow::replacement(&node.app, context, signature) {
        Ok(call) => node.load(context, call, &mut parcel).await,
        Err(error) => Err(Undone::Failed(error)),
    };
    let published = match loaded {
        Ok(()) => hand_over(node, &parcel, true, late).await,
        failed => failed,
    };
    if let Err(Undone::Failed(error)) = published {
        // Who waits for it is told.
        let why = format!("the task could not be replaced: {}", with_sources(&error));
        let exception = Exception::new("ImproperlyConfigured", "celery.exceptions", why);
        return fail(node, context, rules, Failure::new(exception), Cause::Error, late).await;
    }
    go_on(published)?;
    node.tell(context.request(), &Moment::Ignored);
    Ok(Settlement::Ack)
}

/// Publishes what takes the place of the task, and acknowledges a late delivery in the same step where that can be done.
async fn hand_over(
    node: &Node,
    parcel: &Parcel,
    in_one_step: bool,
    late: &mut Option<Delivery>,
) -> Result<(), Undone> {
    let in_one_step = in_one_step && node.app.publishes_where_it_consumes();
    match late.take_if(|_| in_one_step && !parcel.batch.is_empty()) {
        Some(delivery) => node
            .publish_and_settle(delivery, Settlement::Ack, parcel)
            .await
            .map_err(|Stopped| Undone::Stopped),
        None => node.publish_all(parcel).await,
    }
}

/// Ends the task, and the rest of its chain, which will not be reached, with an exception.
async fn end(
    node: &Node,
    context: &Context,
    rules: Rules,
    state: State,
    exception: &Exception,
    traceback: Option<&str>,
) -> Result<(), Stopped> {
    let stores = rules.stores_errors;
    conclude_failed(node, context, stores, state, exception, traceback).await
}

/// Ends a task, and the rest of its chain, with an exception: stored where that is kept, and counted in either case.
pub(super) async fn conclude_failed(
    node: &Node,
    context: &Context,
    stores: bool,
    state: State,
    exception: &Exception,
    traceback: Option<&str>,
) -> Result<(), Stopped> {
    let (message, trace) = (context.request(), traceback.map(str::to_owned));
    let meta = node.meta_of(context, state.clone(), exception.to_value(), trace);
    let own = go_on(node.conclude(message, &meta, stores).await)?;
    let rest = fail_rest(node, message, &state, exception, traceback, stores).await?;
    join::complete(node, own.into_iter().chain(rest).collect()).await
}

/// Tells who waits for the end of a chain that it will not be reached, and counts the parts of chords that it has. Returns the
/// joins that are complete by that.
async fn fail_rest(
    node: &Node,
    message: &TaskMessage,
    state: &State,
    exception: &Exception,
    traceback: Option<&str>,
    stores: bool,
) -> Result<Vec<Joined>, Stopped> {
    let rest = doomed::behind(follow::rest_of_chain(message));
    node.fail_all(&rest, state, exception, traceback, stores).await
}
