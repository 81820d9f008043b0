//! The end of chords: counts the parts of this worker, and completes the joins that are its to complete.
//!
//! A body is sent once, whoever sends it: its messages have names, and the broker pushes what has a name once. So a worker that
//! died between counting the last part and sending the body leaves nothing undone, since another one does all of it again.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde_json::json;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    doomed::{self, Doomed},
    errbacks::{self, Cause},
    follow,
    node::Node,
    patience::Undone,
    settle::{Stopped, go_on},
};
use crate::{
    backend::{BackendError, Callback, Counted, Joined, Joins, Part},
    context::{Context, Join},
    error::Error,
    exception::{Exception, with_sources},
    protocol::{TaskHeaders, TaskMessage},
    signature::Spec,
    state::{State, TaskMeta},
    task::Failure,
    tree::ResultTree,
    value::Value,
};

/// How long a worker waits between two looks for joins that nobody completes, about.
const BETWEEN_LOOKS: Duration = Duration::from_secs(5);

/// Completes the joins that are this worker's to complete, and those that become so by it.
pub(super) async fn complete(node: &Node, joined: Vec<Joined>) -> Result<(), Stopped> {
    let mut left = joined;
    while let Some(joined) = left.pop() {
        left.extend(Box::pin(send_body(node, &joined, None)).await?);
        let (id, joined) = (&joined.group_id, &joined);
        let finish = || async move { Ok(joins(node).await?.finish(joined).await?) };
        go_on(node.persist("finish a chord", id, finish).await)?;
    }
    Ok(())
}

/// Completes the join that a task has left to its worker.
pub(super) async fn complete_left(node: &Node, join: Join) -> Result<(), Stopped> {
    let Join { joined, fault } = join;
    let more = Box::pin(send_body(node, &joined, fault)).await?;
    complete(node, more).await
}

/// Completes joins that others have left, until it is told that this is enough.
pub(super) async fn keep_looking(node: Arc<Node>, enough: CancellationToken) {
    _ = enough.run_until_cancelled(sweep(&node)).await;
}

async fn sweep(node: &Node) {
    loop {
        sleep(BETWEEN_LOOKS.mul_f64(0.5 + fastrand::f64())).await;
        let overdue = async {
            match node.app.backend().await?.joins() {
                Some(joins) => Ok::<_, Error>(Some(joins.overdue().await?)),
                None => Ok(None),
            }
        };
        match overdue.await {
            Ok(Some(overdue)) => {
                for joined in overdue {
                    tracing::warn!(
                        group = joined.group_id,
                        "completing a chord that another worker has left"
                    );
                    // It comes again, where it was not completed.
                    _ = complete(node, vec![joined]).await;
                }
            }
            Ok(None) => return,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(error, "could not look for chords that nobody completes");
            }
        }
    }
}

impl Node {
    /// Stores how a task ended, where that is kept, and counts it where it is part of a chord. The join is returned that is
    /// to be completed then.
    pub(super) async fn conclude(
        &self,
        message: &TaskMessage,
        meta: &TaskMeta,
        stores: bool,
    ) -> Result<Option<Joined>, Undone> {
        let embed = &message.embed;
        if let (Some(body), Some(group)) = (&embed.chord, &message.headers.group)
            && self.counts().await
        {
            let inherits = self.app.config().task.inherit_parent_priority;
            let callback = Callback {
                body: body.clone(),
                root_id: Some(message.headers.root_id.as_ref().unwrap_or(&message.id).clone()),
                parent_id: Some(message.id.clone()),
                priority: message.priority.filter(|_| inherits),
            };
            let index = message.headers.group_index;
            let part = Part { group_id: group, index, meta, stores, callback: &callback };
            let counted = self.count(part).await;
            let Err(Undone::Failed(error)) = counted else { return counted };
            if meta.state != State::Success {
                return Err(Undone::Failed(error));
            }
            // What cannot be kept is not what the body waits for. It is to fail rather than to wait for ever.
            let why = with_sources(&error);
            let result = Exception::new("EncodeError", "kombu.exceptions", why).to_value();
            let meta = &TaskMeta { state: State::Failure, result, ..meta.clone() };
            return self.count(Part { meta, ..part }).await;
        }
        if stores {
            self.store_meta(meta).await?;
        }
        Ok(None)
    }

    async fn count(&self, part: Part<'_>) -> Result<Option<Joined>, Undone> {
        let count = || async move { Ok(joins(self).await?.count(part).await?) };
        self.persist("count a part of a chord", &part.meta.task_id, count).await
    }

    /// Tells of tasks that will not be run, and counts those that are parts of chords.
    pub(super) async fn fail_all(
        &self,
        doomed: &[Doomed],
        state: &State,
        exception: &Exception,
        traceback: Option<&str>,
        stores: bool,
    ) -> Result<Vec<Joined>, Stopped> {
        let mut joined = Vec::new();
        for Doomed { message, .. } in doomed {
            let result = exception.to_value();
            let meta = self.app.meta(message, state.clone(), result, &self.hostname);
            let traceback = traceback.map(str::to_owned);
            let meta = TaskMeta { traceback, children: Some(Vec::new()), ..meta };
            joined.extend(go_on(self.conclude(message, &meta, stores).await)?);
        }
        Ok(joined)
    }

    /// Whether the backend counts parts. One that cannot be reached is taken for one that does: the parts wait for it.
    async fn counts(&self) -> bool {
        self.app.backend().await.map_or(true, |backend| backend.joins().is_some())
    }
}

/// Where the parts are counted.
async fn joins(node: &Node) -> Result<&dyn Joins, Error> {
    let joins = node.app.backend().await?.joins();
    joins.ok_or_else(|| BackendError::other("it does not count the parts of chords").into())
}

/// Sends the body, or fails it. Returns the joins that are this worker's to complete by that.
async fn send_body(
    node: &Node,
    joined: &Joined,
    fault: Option<Exception>,
) -> Result<Vec<Joined>, Stopped> {
    let body = match Spec::from_value(joined.callback.body.clone()) {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(group = joined.group_id, %error, "the body of a chord cannot be read");
            return Ok(Vec::new());
        }
    };
    let context = context(node, joined);
    let fault = fault.map(Failed::with);
    let results = match fault.map_or_else(|| results(joined), Err) {
        Ok(results) => results,
        Err(failure) => return fail_body(node, &context, body, failure).await,
    };
    let prepared = follow::body(&node.app, &context, &joined.group_id, body.clone(), &results);
    let sent = match prepared {
        Ok(prepared) => node.send(&context, prepared).await,
        Err(error) => Err(Undone::Failed(error)),
    };
    match sent {
        Ok(()) => Ok(Vec::new()),
        Err(Undone::Stopped) => Err(Stopped),
        Err(Undone::Failed(error)) => {
            let why = Exception::new("Error", "celery", with_sources(&error));
            let exception = chord_error(format!("Callback error: {}", why.repr()));
            fail_body(node, &context, body, Failed::with(exception)).await
        }
    }
}

/// The part that completed the join, as far as it is known.
fn context(node: &Node, joined: &Joined) -> Context {
    let Callback { root_id, parent_id, priority, .. } = joined.callback.clone();
    let message = TaskMessage {
        id: parent_id.unwrap_or_else(|| joined.group_id.clone()),
        headers: TaskHeaders {
            root_id,
            group: Some(joined.group_id.clone()),
            ..TaskHeaders::default()
        },
        priority,
        ..TaskMessage::default()
    };
    Context::new(node.app.clone(), message, node.hostname.clone())
}

/// Why a body is not sent.
struct Failed {
    /// What the body fails with.
    exception: Exception,
    /// What its part failed with.
    cause: Exception,
}

impl Failed {
    fn with(exception: Exception) -> Box<Self> {
        Box::new(Self { cause: exception.clone(), exception })
    }
}

/// The list that the body gets: a nested one, where the header holds groups.
fn results(joined: &Joined) -> Result<Value, Box<Failed>> {
    for Counted { task_id, state, result } in &joined.parts {
        if state.is_propagated() {
            let cause = Exception::from_value(result);
            let why = format!("Dependency {task_id} raised {}", cause.repr());
            return Err(Box::new(Failed { exception: chord_error(why), cause }));
        }
    }
    let Some(header) = joined.header.as_ref().and_then(|header| header.members.as_ref()) else {
        return Ok(joined.parts.iter().map(|part| part.result.clone()).collect());
    };
    let parts = joined.parts.iter().map(|part| (part.task_id.as_str(), &part.result)).collect();
    header.iter().map(|member| nested(member, &parts)).collect()
}

fn nested(tree: &ResultTree, parts: &HashMap<&str, &Value>) -> Result<Value, Box<Failed>> {
    if let Some(members) = &tree.members {
        return members.iter().map(|member| nested(member, parts)).collect();
    }
    parts.get(tree.id.as_str()).map(|result| (*result).clone()).ok_or_else(|| {
        Failed::with(chord_error(format!("Join error: no part has the id {}", tree.id)))
    })
}

fn chord_error(why: String) -> Exception {
    Exception::new("ChordError", "celery.exceptions", why)
}

/// Fails the body and what was to follow it, and calls its error callbacks.
async fn fail_body(
    node: &Node,
    context: &Context,
    body: Spec,
    failure: Box<Failed>,
) -> Result<Vec<Joined>, Stopped> {
    let Failed { exception, cause } = *failure;
    tracing::error!(target: "celery::worker", "Chord {} raised: {exception}", json!(context.request().headers.group));
    let mut joined = Vec::new();
    for one in doomed::all(body) {
        // As in Celery, where the body is a group its members fail with what the part failed with.
        let exception = if one.in_group { &cause } else { &exception };
        let traceback = Failure::new(exception.clone()).traceback(&one.message.task);
        let (state, trace) = (State::Failure, Some(traceback.as_str()));
        let of = std::slice::from_ref(&one);
        joined.extend(node.fail_all(of, &state, exception, trace, true).await?);
        if one.tells {
            let root_id = context.request().headers.root_id.clone();
            let headers = TaskHeaders { root_id, ..one.message.headers };
            let message = TaskMessage { headers, ..one.message };
            let body = Context::new(node.app.clone(), message, node.hostname.clone());
            let told = errbacks::call(node, &body, Cause { exception, traceback: None }).await?;
            for mut call in told.calls {
                call.name = Some(format!("{} failed", body.id()));
                go_on(node.send(&body, call).await)?;
            }
        }
    }
    Ok(joined)
}
