//! Carries out a verdict: stores the result, publishes what follows, tells of it, and says how a late delivery is to be
//! settled.

use std::time::Duration;

use super::{
    follow,
    moment::Moment,
    node::Node,
    patience::Undone,
    request::Rules,
    revoked::Revocation,
    trace::Traced,
    verdict::{Again, Cancellation, Cause, Verdict},
};
use crate::{
    app::send::result_tuple,
    broker::Settlement,
    context::Context,
    exception::{Exception, with_sources},
    protocol::TaskMessage,
    repr,
    state::State,
    task::Failure,
    value::Value,
};

/// Stores the result, publishes what follows, and says how a late delivery is to be settled.
pub(super) async fn carry_out(
    node: &Node,
    context: &Context,
    rules: Rules,
    traced: Traced,
) -> Settlement {
    let message = context.request();
    match traced.verdict {
        Verdict::Succeed(value) => succeed(node, context, rules, value, traced.runtime)
            .await
            .unwrap_or(Settlement::HandBack),
        Verdict::Fail(failure, cause) => {
            fail(node, context, rules, failure, cause).await.unwrap_or(Settlement::HandBack)
        }
        Verdict::Retry(again) => {
            try_again(node, context, rules, *again).await.unwrap_or(Settlement::HandBack)
        }
        Verdict::Ignore => {
            node.tell(message, &Moment::Ignored);
            Settlement::Ack
        }
        Verdict::Reject(reject) => {
            node.tell(message, &Moment::Rejected { reject: &reject, late: rules.acks_late });
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
        Verdict::HandBack(why) => cancel(node, context, rules, why).await,
        Verdict::Revoke(signal) => {
            revoke(node, context, rules, signal).await.unwrap_or(Settlement::HandBack)
        }
    }
}

/// The worker is to stop at once, and something is left to be done: a late message is left to another worker.
#[derive(Debug)]
pub(super) struct Stopped;

/// What cannot be done has been logged, and the rest goes on without it.
#[expect(clippy::needless_pass_by_value, reason = "it takes the place of a `?`")]
pub(super) fn go_on(done: Result<(), Undone>) -> Result<(), Stopped> {
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
    runtime: Duration,
) -> Result<Settlement, Stopped> {
    let shown = repr::value(&value, &node.result_limits(context.request()));
    let mut follows = follow::after_success(&node.app, context, &value);
    context.add_children(std::mem::take(&mut follows.children));
    if rules.stores_result {
        let children = context.children();
        go_on(node.store(context, State::Success, value, None, children).await)?;
    }
    let last = follows.outgoing.len();
    for (number, outgoing) in (1..).zip(&follows.outgoing) {
        let published = node.publish(outgoing).await;
        if let Err(Undone::Failed(error)) = &published
            && follows.goes_on
            && number == last
        {
            follows.broken = Some(follow::broken(with_sources(error)));
        }
        go_on(published)?;
    }
    if let Some(exception) = follows.broken
        && rules.stores_errors
    {
        store_rest(node, context.request(), State::Failure, &exception, None).await?;
    }
    // Who is told of it finds the result.
    node.tell(context.request(), &Moment::Succeeded { result: &shown, runtime });
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
    let traceback = (!matches!(cause, Cause::TimeLimit | Cause::WorkerLost))
        .then(|| failure.traceback(&message.task));
    let exception = &failure.exception;
    if rules.stores_errors {
        let children = context.children();
        let (state, trace) = (State::Failure, traceback.clone());
        go_on(node.store(context, state.clone(), exception.to_value(), trace, children).await)?;
        store_rest(node, message, state, exception, traceback.as_deref()).await?;
    }
    for outgoing in follow::after_failure(&node.app, context).outgoing {
        go_on(node.publish(&outgoing).await)?;
    }
    let (trace, expected) = (traceback.as_deref(), cause == Cause::Expected);
    node.tell(message, &Moment::Failed { exception, traceback: trace, expected });
    let settlement = match cause {
        Cause::Error | Cause::Expected | Cause::WorkerLost if !rules.acks_on_failure => {
            Settlement::Reject
        }
        Cause::TimeLimit if !rules.acks_on_timeout => Settlement::Requeue,
        Cause::Error | Cause::Expected | Cause::TimeLimit | Cause::WorkerLost => Settlement::Ack,
    };
    if rules.acks_late && settlement != Settlement::Ack {
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
        let (result, children) = (exception.to_value(), context.children());
        // What could not be stored has been logged.
        _ = node.store(context, State::Retry, result, None, children).await;
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
    if rules.stores_errors {
        let (result, children) = (exception.to_value(), context.children());
        go_on(node.store(context, State::Revoked, result, None, children).await)?;
        store_rest(node, context.request(), State::Revoked, &exception, None).await?;
    }
    Ok(Settlement::Ack)
}

async fn try_again(
    node: &Node,
    context: &Context,
    rules: Rules,
    again: Again,
) -> Result<Settlement, Stopped> {
    let message = context.request();
    let Again { eta, cause, changes } = again;
    let traceback = cause.as_ref().map(|cause| cause.traceback(&message.task));
    let outgoing = node.app.retry_of(message, eta, changes);
    if rules.stores_errors {
        context.add_children([result_tuple(&message.id)]);
        let children = context.children();
        let result = cause.as_ref().map_or(Value::Null, |cause| cause.exception.to_value());
        go_on(node.store(context, State::Retry, result, traceback.clone(), children).await)?;
    }
    let published = node.publish(&outgoing).await;
    if let Err(Undone::Failed(error)) = published {
        // Nobody will run it again, so who waits for it is told.
        let reason = format!("could not publish the retry: {}", with_sources(&error));
        let mut exception = Exception::new("Reject", "celery.exceptions", reason);
        exception.exc_message.push(false.into());
        return fail(node, context, rules, Failure::new(exception), Cause::Error).await;
    }
    go_on(published)?;
    let (cause, traceback) = (cause.as_ref(), traceback.as_deref());
    node.tell(message, &Moment::Retried { eta, cause, traceback });
    Ok(Settlement::Ack)
}

/// Tells who waits for the end of a chain that it will not be reached.
pub(super) async fn store_rest(
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
