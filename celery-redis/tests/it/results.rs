//! Results: how they are stored, and that captures of Celery's are read.

use std::sync::Arc;

use celery_core::{
    backend::Backend,
    config::ConfigLoader,
    state::{State, TaskMeta},
    transport,
    value::Value,
};
use serde_json::json;

use crate::server::{Space, url, within};

async fn backend(space: &Space, settings: &Value) -> Arc<dyn Backend> {
    let loader = ConfigLoader::new()
        .change("result_backend_transport_options", json!({ "global_keyprefix": space.prefix }));
    let settings = settings.as_object().unwrap().iter();
    let loader = settings.fold(loader, |loader, (name, value)| loader.change(name, value.clone()));
    transport::connect_backend(Some(&url()), &loader.load().unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_result_is_stored_and_published_under_one_name() {
    use futures_util::StreamExt;
    let space = Space::new().await;
    let client = deadpool_redis::redis::Client::open(url().expose()).unwrap();
    let mut pubsub = client.get_async_pubsub().await.unwrap();
    pubsub.subscribe(space.key("celery-task-meta-an-id")).await.unwrap();
    let meta = TaskMeta::new("an-id", State::Success, json!({ "x": "é" }));
    backend(&space, &json!({})).await.store(&meta).await.unwrap();

    let expected = r#"{"status": "SUCCESS", "result": {"x": "\u00e9"}, "traceback": null, "children": null, "date_done": null, "task_id": "an-id"}"#;
    let published = within("the message", pubsub.on_message().next()).await.unwrap();
    assert_eq!(published.get_payload::<String>().unwrap(), expected);
    assert_eq!(space.ask::<String>("GET", "celery-task-meta-an-id", &[]).await, expected);
    let ttl: i64 = space.ask("TTL", "celery-task-meta-an-id", &[]).await;
    assert!((86_390..=86_400).contains(&ttl), "{ttl}");
}

#[tokio::test]
async fn a_failure_may_live_longer_and_any_result_for_ever() {
    let space = Space::new().await;
    let results =
        backend(&space, &json!({ "result_expires": null, "result_failure_expires": 500 })).await;
    for (id, state) in [("good", State::Success), ("bad", State::Failure)] {
        results.store(&TaskMeta::new(id, state, Value::Null)).await.unwrap();
    }
    let ttl = |id: &str| format!("celery-task-meta-{id}");
    assert_eq!(space.ask::<i64>("TTL", &ttl("good"), &[]).await, -1);
    assert!((490..=500).contains(&space.ask::<i64>("TTL", &ttl("bad"), &[]).await));
}

#[tokio::test]
async fn a_success_is_final_whatever_it_is_written_in() {
    for settings in [
        json!({}),
        json!({ "result_serializer": "msgpack" }),
        json!({ "result_serializer": "yaml" }),
        json!({ "result_compression": "zlib" }),
    ] {
        let space = Space::new().await;
        let results = backend(&space, &settings).await;
        for (state, result) in
            [(State::Started, 0), (State::Success, 1), (State::Retry, 2), (State::Failure, 3)]
        {
            results.store(&TaskMeta::new("an-id", state, json!(result))).await.unwrap();
        }
        let meta = results.get("an-id").await.unwrap().unwrap();
        assert_eq!((meta.state, meta.result), (State::Success, json!(1)), "{settings}");
    }
}

#[tokio::test]
async fn what_python_stored_is_read() {
    let captures: Value = serde_json::from_str(include_str!("../fixtures/results.json")).unwrap();
    let mut number = 0;
    for (settings, documents) in captures.as_object().unwrap() {
        let settings: Value = serde_json::from_str(settings).unwrap();
        if settings["result_serializer"] == "pickle" {
            continue;
        }
        let space = Space::new().await;
        let results = backend(&space, &settings).await;
        for (key, document) in documents.as_object().unwrap() {
            let Some(id) = key.strip_prefix("celery-task-meta-") else { continue };
            let bytes = match &document["value"] {
                Value::String(text) => text.clone().into_bytes(),
                hex => unhex(hex["$hex"].as_str().unwrap()),
            };
            let set = deadpool_redis::redis::cmd("SET").arg(space.key(key)).arg(bytes).to_owned();
            let client = deadpool_redis::redis::Client::open(url().expose()).unwrap();
            let mut raw = client.get_multiplexed_async_connection().await.unwrap();
            set.query_async::<()>(&mut raw).await.unwrap();
            let meta = within("the result", results.wait(id)).await.unwrap();
            assert_eq!(meta.task_id, id);
            assert!(meta.state.is_ready());
            number += 1;
        }
    }
    assert!(number >= 6, "{number} documents");
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

#[tokio::test]
async fn nobody_listens_for_what_nobody_waits_for() {
    let space = Space::new().await;
    let results = backend(&space, &json!({})).await;
    let channel = space.key("celery-task-meta-an-id");
    let listeners =
        || async { space.raw::<(String, u32)>(&["PUBSUB", "NUMSUB", &channel]).await.1 };
    let mut waits = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let results = Arc::clone(&results);
        waits.spawn(async move { results.wait("an-id").await });
    }
    space.until("one listener for all", || async { listeners().await == 1 }).await;
    waits.abort_all();
    while waits.join_next().await.is_some() {}
    space.until("no listener", || async { listeners().await == 0 }).await;
}
