//! Error callbacks, in both of Celery's styles: run here with all that is known of the failure, or sent with the id of the task
//! that failed.
//!
//! One that is registered here and takes more than one argument is run here, in the pool that its task asks for and within its
//! limits. What becomes of it is logged: it has no result, and nothing follows it. A Python worker does the same with its own.

use std::sync::Arc;

use serde_json::json;

use super::{
    follow::{self, Follows},
    node::Node,
    request::Rules,
    settle::Stopped,
    verdict::{Verdict, WhenLost},
};
use crate::{
    context::Context,
    exception::Exception,
    ids,
    protocol::{TaskHeaders, TaskMessage},
    registry::Registration,
    signature::{Kind, Spec},
    value::Value,
};

/// What a task failed with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cause<'a> {
    pub(super) exception: &'a Exception,
    pub(super) traceback: Option<&'a str>,
}

/// Runs those error callbacks of the task that are run here, and returns the others, to be published.
pub(super) async fn call(
    node: &Node,
    context: &Context,
    cause: Cause<'_>,
) -> Result<Follows, Stopped> {
    let errbacks = context.request().embed.errbacks.as_deref().unwrap_or_default();
    let mut sent = Vec::new();
    for (number, errback) in follow::read(context, errbacks).into_iter().enumerate() {
        match runs_here(node, &errback) {
            Some(task) => Box::pin(run(node, context, &task, errback, number, cause)).await?,
            None => sent.push(errback),
        }
    }
    Ok(follow::after_failure(&node.app, context, sent))
}

/// The task of an error callback that takes more than one argument besides those that it has.
fn runs_here(node: &Node, errback: &Spec) -> Option<Arc<Registration>> {
    if !matches!(errback.kind, Kind::Task) {
        return None;
    }
    let task = node.registry().shared(&errback.task)?;
    let is_given = |name: &str| errback.kwargs.contains_key(name);
    let given = match errback.immutable {
        true => 0,
        false => {
            errback.args.len()
                + task.parameters.iter().filter(|parameter| is_given(parameter.name)).count()
        }
    };
    (task.parameters.len() > given + 1).then_some(task)
}

async fn run(
    node: &Node,
    context: &Context,
    task: &Registration,
    errback: Spec,
    number: usize,
    cause: Cause<'_>,
) -> Result<(), Stopped> {
    let failed = context.request();
    let mut args = errback.args;
    if !errback.immutable {
        let given = [request(node, failed), cause.exception.to_value(), cause.traceback.into()];
        args.splice(..0, given);
    }
    let message = TaskMessage {
        id: ids::of(&format!("{} failed: {number}", failed.id)).to_string(),
        task: errback.task,
        args,
        kwargs: errback.kwargs,
        headers: TaskHeaders {
            root_id: Some(failed.headers.root_id.as_ref().unwrap_or(&failed.id).clone()),
            parent_id: Some(failed.id.clone()),
            ..TaskHeaders::default()
        },
        priority: failed.priority,
        ..TaskMessage::default()
    };
    let rules = Rules::new(node, &task.options, &message);
    let hold = node.requests.hold(task.name, message);
    let message = Arc::clone(&hold.message);
    let slot = tokio::select! {
        slot = node.slots.take() => Arc::new(slot),
        () = node.cold.cancelled() => return Err(Stopped),
    };
    let Ok(place) = node.pool.place(task, slot).await else { return Err(Stopped) };
    hold.begin(place.pid());
    let here = Context::new(node.app.clone(), message, Arc::clone(&node.hostname));
    let how = (rules.limits(), WhenLost::Fail);
    let verdict = place.run(node, task, &here, &hold, how).await.verdict;
    let (id, task) = (context.id(), task.name);
    let exception = match verdict {
        Verdict::Succeed(_) | Verdict::Ignore => return Ok(()),
        Verdict::HandBack(_) => return Err(Stopped),
        Verdict::Fail(failure, _) => failure.exception,
        other => Exception::new(
            "InvalidTaskError",
            "celery.exceptions",
            format!(
                "an error callback that is run where the task failed can be done in no other way than that: {other:?}"
            ),
        ),
    };
    tracing::error!(
        id,
        errback = task,
        exception = %exception,
        "an error callback failed"
    );
    Ok(())
}

/// The request of the task that failed, as Celery's error callbacks find it.
fn request(node: &Node, failed: &TaskMessage) -> Value {
    let headers = &failed.headers;
    let (args, kwargs) = node.app.shown(failed);
    json!({
        "id": failed.id,
        "task": failed.task,
        "args": args,
        "kwargs": kwargs,
        "argsrepr": headers.argsrepr,
        "kwargsrepr": headers.kwargsrepr,
        "root_id": headers.root_id,
        "parent_id": headers.parent_id,
        "group": headers.group,
        "group_index": headers.group_index,
        "retries": headers.retries,
        "eta": headers.eta,
        "expires": headers.expires,
        "timelimit": [headers.timelimit.0, headers.timelimit.1],
        "ignore_result": headers.ignore_result,
        "replaced_task_nesting": headers.replaced_task_nesting,
        "lang": headers.lang,
        "origin": headers.origin,
        "shadow": headers.shadow,
        "stamped_headers": headers.stamped_headers,
        "stamps": headers.stamps,
        "headers": failed.extra_headers,
        "callbacks": failed.embed.callbacks,
        "errbacks": failed.embed.errbacks,
        "chain": failed.embed.chain,
        "chord": failed.embed.chord,
        "reply_to": failed.reply_to,
        "correlation_id": failed.correlation_id,
        "delivery_info": {
            "exchange": failed.delivery_info.exchange,
            "routing_key": failed.delivery_info.routing_key,
            "priority": failed.priority,
            "redelivered": failed.delivery_info.redelivered,
        },
        "hostname": node.hostname,
        "is_eager": false,
        "called_directly": false,
    })
}
