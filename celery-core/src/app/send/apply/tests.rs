//! What is done before anything is sent, and how it is sent.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::json;

use crate::{
    app::Celery,
    backend::{Backend, BackendError},
    codec::{AcceptContent, json as codec},
    date, envelope,
    error::Error,
    protocol::TaskMessage,
    signals::Signals,
    signature::Spec,
    state::TaskMeta,
    transport::BackendTransport,
    value::Value,
};

/// A backend that keeps results and counts nothing.
#[derive(Debug)]
struct Plain;

inventory::submit! {
    BackendTransport { schemes: &["plain"], connect: |_, _| Box::pin(async { Ok(Arc::new(Plain) as Arc<dyn Backend>) }) }
}

#[async_trait]
impl Backend for Plain {
    async fn store(&self, _meta: &TaskMeta) -> Result<(), BackendError> {
        Ok(())
    }

    async fn get(&self, _task_id: &str) -> Result<Option<TaskMeta>, BackendError> {
        Ok(None)
    }

    async fn wait(&self, _task_id: &str) -> Result<TaskMeta, BackendError> {
        std::future::pending().await
    }

    async fn forget(&self, _task_id: &str) -> Result<(), BackendError> {
        Ok(())
    }

    async fn close(&self) -> Result<(), BackendError> {
        Ok(())
    }
}

/// Notes what is published.
#[derive(Clone, Default)]
struct Published(Arc<Mutex<Vec<TaskMessage>>>);

impl Signals for Published {
    fn after_task_publish(&self, message: &TaskMessage, _exchange: &str, _routing_key: &str) {
        self.0.lock().unwrap().push(message.clone());
    }
}

impl Published {
    fn take(&self) -> Vec<TaskMessage> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn app(backend: Option<&str>) -> (Celery, Published) {
    let published = Published::default();
    let builder = Celery::builder("applied").broker("memory://applied").signals(published.clone());
    let builder = match backend {
        Some(url) => builder.backend(url),
        None => builder,
    };
    (builder.build().unwrap(), published)
}

/// A signature, of which Python's dictionary may leave out what is empty.
fn spec(value: Value) -> Spec {
    Spec::from_value(value).unwrap()
}

fn chord(members: usize) -> Spec {
    let member = |x: usize| json!({ "task": "wireapp.add", "args": [x, x] });
    let header: Vec<_> = (1..=members).map(member).collect();
    spec(json!({
        "task": "celery.chord", "subtask_type": "chord",
        "kwargs": { "header": header, "body": { "task": "wireapp.xsum" }, "kwargs": {} },
    }))
}

#[tokio::test]
async fn a_join_is_known_before_its_parts_are_sent() {
    let (app, published) = app(Some("memory://applied-joins"));
    let result = app.apply(chord(2500)).await.unwrap();
    let header = result.parent.unwrap();
    let joins = app.backend().await.unwrap().joins().unwrap();
    let join = joins.look(&header.id).await.unwrap().unwrap();
    assert_eq!((join.tally.size, join.tally.counted), (Some(2500), 0));
    let ids = published.take().into_iter().map(|message| message.id);
    assert!(ids.eq(header.leaves()), "sent in the order of the header");
}

#[tokio::test]
async fn a_chord_without_a_result_backend_is_refused_before_anything_is_sent() {
    let (app, published) = app(None);
    let error = app.apply(chord(2)).await.unwrap_err();
    assert!(matches!(error, Error::Call(_)), "{error:?}");
    assert!(error.to_string().contains("set `result_backend`"), "{error}");
    assert!(published.take().is_empty());
    // What needs no results is sent.
    let group = json!({ "task": "celery.group", "subtask_type": "group", "kwargs": { "tasks": [{ "task": "a" }] } });
    app.apply(spec(group)).await.unwrap();
    assert_eq!(published.take().len(), 1);
}

#[tokio::test]
async fn where_parts_are_not_counted_celerys_task_looks_for_the_end() {
    let (app, published) = app(Some("plain://"));
    app.apply(chord(2)).await.unwrap();
    let [unlock, add, other] = &published.take()[..] else { panic!("three are sent") };

    let theirs = include_str!("../../../../tests/fixtures/golden/chord/chord_unlock_fallback.json");
    let theirs: Value = codec::from_str(theirs).unwrap();
    let raw = theirs["steps"][0]["commands"].as_array().unwrap().iter().find_map(|command| {
        let pushed = command["cmd"].as_array().filter(|cmd| cmd[0] == "LPUSH")?;
        pushed[2].as_str()
    });
    let message = envelope::from_json(raw.unwrap().as_bytes()).unwrap();
    let theirs = TaskMessage::decode(&message, &AcceptContent::new(["json"]).unwrap()).unwrap();
    assert_eq!(unlock.task, theirs.task);
    assert_eq!(unlock.headers.ignore_result, theirs.headers.ignore_result);
    assert_eq!(unlock.priority, theirs.priority);
    let shape = |message: &TaskMessage| {
        let mut kwargs = message.kwargs.clone();
        let results = kwargs.insert("result".to_owned(), Value::Null).unwrap();
        (kwargs, results.as_array().unwrap().len(), message.args[1]["task"].clone())
    };
    assert_eq!(shape(unlock), shape(&theirs));

    let body = &unlock.args[1];
    assert_eq!(unlock.args[0], add.headers.group.as_deref().unwrap());
    assert_eq!(unlock.kwargs["result"], json!([[[add.id, null], null], [[other.id, null], null]]));
    assert_eq!(add.embed.chord.as_ref(), Some(body));
    let eta =
        date::parse(unlock.headers.eta.as_deref().unwrap(), &jiff::tz::TimeZone::UTC).unwrap();
    let wait = eta.duration_since(crate::clock::now()).as_secs_f64();
    assert!((0.0..=1.0).contains(&wait), "{wait}");
}

#[tokio::test]
async fn map_and_starmap_are_sent_where_the_task_goes_that_they_call() {
    let app = Celery::builder("routed")
        .broker("memory://routed")
        .set("task_routes", json!({ "proj.slow": "slow" }))
        .build()
        .unwrap();
    for name in ["celery.map", "celery.starmap"] {
        let task = json!({ "task": name, "kwargs": { "task": { "task": "proj.slow" }, "it": [] } });
        let outgoing = app.prepare(spec(task), None, crate::clock::now()).unwrap();
        assert_eq!(outgoing.routing_key, "slow");
    }
}
