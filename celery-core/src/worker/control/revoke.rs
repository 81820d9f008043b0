//! Commands that revoke tasks, by id and by stamp.

use std::{future::ready, time::Duration};

use futures_util::{StreamExt, stream};
use serde_json::json;
use tokio::time::timeout;

use super::{
    command::{Answer, nok, ok},
    panel::Panel,
};
use crate::{
    arguments::Bound,
    control::{
        revoked::{self, Kind, values},
        signal,
    },
    error::Error,
    protocol::TaskMessage,
    repr,
    state::{State, TaskMeta},
    value::{Map, Value},
    worker::{node::Node, requests::Stage, revoked::Revocation},
};

/// How many results are asked for at once.
const AT_ONCE: usize = 64;

/// How long all of them may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The ids that are revoked.
pub(super) async fn revoked(panel: &Panel, _: Bound) -> Answer {
    Ok(Some(json!(panel.node.revoked.all())))
}

pub(super) async fn revoke(panel: &Panel, mut given: Bound) -> Answer {
    let (ids, terminates, signal) = (given.take(0)?, given.take(1)?, given.take(2)?);
    by_id(&panel.node, &ids, is_true(&terminates).then_some(&signal)).await
}

pub(super) async fn terminate(panel: &Panel, mut given: Bound) -> Answer {
    let (signal, ids) = (given.take(0)?, given.take(1)?);
    by_id(&panel.node, &ids, Some(&signal)).await
}

/// With a signal, those that run are ended.
async fn by_id(node: &Node, ids: &Value, signal: Option<&Value>) -> Answer {
    let ids = match given_ids(ids) {
        Ok(ids) => ids,
        Err(why) => return nok(why),
    };
    let signal = match signal.map(signal::number).transpose() {
        Ok(signal) => signal,
        Err(unknown) => return nok(unknown.to_string()),
    };
    node.revoke(Kind::Ids, ids.clone()).await;
    let told = match signal {
        None => {
            tracing::info!(target: "celery::worker", "Tasks flagged as revoked: {}", ids.join(", "));
            format!("tasks {} flagged as revoked", set(ids.iter().map(|id| json!(id))))
        }
        Some(signal) => match end(node, &ids, signal).as_slice() {
            [] => "terminate: tasks unknown".to_owned(),
            terminated => format!("terminate: {}", terminated.join(", ")),
        },
    };
    store_at_once(node, &ids).await;
    ok(told)
}

/// Ends those that are held; returns their ids.
fn end(node: &Node, ids: &[String], signal: i32) -> Vec<String> {
    let mut terminated = Vec::new();
    for held in node.requests.all() {
        let id = &held.message.id;
        if ids.contains(id) {
            tracing::info!(target: "celery::worker", "Terminating {id} ({signal})");
            held.terminate(signal);
            if !terminated.contains(id) {
                terminated.push(id.clone());
            }
        }
    }
    terminated
}

pub(super) async fn revoke_by_stamped_headers(panel: &Panel, mut given: Bound) -> Answer {
    let (headers, terminates, signal) = (given.take(0)?, given.take(1)?, given.take(2)?);
    let headers = match given_headers(&headers) {
        Ok(headers) => headers,
        Err(why) => return nok(why),
    };
    let signal = match signal::number(&signal) {
        Ok(signal) => signal,
        Err(unknown) => return nok(unknown.to_string()),
    };
    panel.node.revoke(Kind::Stamps, revoked::stamps(&headers)).await;
    let shown = repr::python(&Value::Object(headers.clone()));
    if !is_true(&terminates) {
        return ok(format!("headers {shown} flagged as revoked, but not terminated"));
    }
    // By header, the stamps of those that were terminated.
    let mut terminated: Vec<(&str, Vec<&Value>)> = Vec::new();
    for held in panel.node.requests.all() {
        if held.stage() == Stage::Reserved {
            continue;
        }
        for (name, wanted) in &headers {
            let Some(stamps) = held.message.headers.stamps.get(name) else { continue };
            let common = |of: &&Value| values(stamps).contains(of);
            let mut found = values(wanted).iter().filter(common).peekable();
            if found.peek().is_none() {
                continue;
            }
            let at = terminated.iter().position(|(of, _)| of == name).unwrap_or_else(|| {
                terminated.push((name, Vec::new()));
                terminated.len() - 1
            });
            for stamp in found {
                if !terminated[at].1.contains(&stamp) {
                    terminated[at].1.push(stamp);
                }
            }
            held.terminate(signal);
        }
    }
    if terminated.is_empty() {
        return ok(format!("headers {shown} were not terminated"));
    }
    let entry = |(name, stamps): &(&str, Vec<&Value>)| {
        let stamps = set(stamps.iter().copied());
        format!("{}: {stamps}", repr::python(&json!(name)))
    };
    let entries: Vec<_> = terminated.iter().map(entry).collect();
    ok(format!("headers defaultdict(<class 'set'>, {{{}}}) revoked", entries.join(", ")))
}

/// Tells who waits for tasks that have not begun. Of one that runs here, its end will tell.
async fn store_at_once(node: &Node, ids: &[String]) {
    let all = node.requests.all();
    let runs = |id: &String| {
        all.iter().any(|held| held.message.id == *id && held.stage() != Stage::Reserved)
    };
    let store = |id: String| async move {
        if let Err(error) = store(node, &id).await {
            tracing::warn!(target: "celery::worker", error = &error as &dyn std::error::Error, "Failed to mark task {id} as revoked in backend");
        }
    };
    let waiting: Vec<_> = ids.iter().filter(|id| !runs(id)).cloned().map(store).collect();
    let stored = stream::iter(waiting).buffer_unordered(AT_ONCE).for_each(|()| ready(()));
    if timeout(PATIENCE, stored).await.is_err() {
        tracing::warn!(target: "celery::worker", "the result backend does not answer; that tasks are revoked is stored when they come");
    }
}

async fn store(node: &Node, id: &str) -> Result<(), Error> {
    let backend = node.app.backend().await?;
    if !backend.is_enabled() {
        return Ok(());
    }
    let state = backend.get(id).await?.map_or(State::Pending, |meta| meta.state);
    // Any other state is an end, or says that it runs somewhere.
    if matches!(state, State::Pending | State::Received | State::Retry | State::Rejected) {
        let message = TaskMessage { id: id.to_owned(), ..TaskMessage::default() };
        let exception = Revocation::ById.exception().to_value();
        let meta = node.app.meta(&message, State::Revoked, exception, &node.hostname);
        backend.store(&TaskMeta { children: None, ..meta }).await?;
    }
    Ok(())
}

/// One id, or a list of them, each once.
fn given_ids(given: &Value) -> Result<Vec<String>, String> {
    let mut ids: Vec<String> = Vec::new();
    for id in Some(given).filter(|ids| !ids.is_null()).map(values).unwrap_or_default() {
        let id = id
            .as_str()
            .ok_or_else(|| format!("`task_id` is an id or a list of ids, and {id} is none"))?;
        if !ids.iter().any(|of| of == id) {
            ids.push(id.to_owned());
        }
    }
    Ok(ids)
}

/// An object, or what the command line makes of its words: a list of `name=value`.
fn given_headers(given: &Value) -> Result<Map, String> {
    let wrong = |what: &Value| {
        format!(
            "`headers` is an object of stamps by name, or a list of `name=stamp`, and {what} is neither"
        )
    };
    match given {
        Value::Object(headers) => Ok(headers.clone()),
        Value::Array(words) => {
            let pair = |word: &Value| {
                // Celery, too, drops what comes after a second sign.
                let mut parts = word.as_str()?.split('=');
                Some((parts.next()?.to_owned(), json!(parts.next()?)))
            };
            words.iter().map(|word| pair(word).ok_or_else(|| wrong(word))).collect()
        }
        other => Err(wrong(other)),
    }
}

fn is_true(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false)) && *value != json!(0) && *value != json!("")
}

/// A Python set's repr.
fn set(members: impl Iterator<Item = impl std::borrow::Borrow<Value>>) -> String {
    let members: Vec<_> = members.map(|member| repr::python(member.borrow())).collect();
    if members.is_empty() { "set()".to_owned() } else { format!("{{{}}}", members.join(", ")) }
}
