//! A worker that loses its broker between the steps in which a late task ends.

use celery::{
    TaskMeta,
    core::{
        conformance::faulty::Call,
        protocol::{Embed, TaskMessage},
    },
};
use serde_json::{Value, json};

use crate::{
    harness::{Circle, FaultyServers, faulty},
    tasks::*,
};

/// Late tasks, and a broker that is lost when the first of them is to be settled.
fn late(settings: Value) -> (Circle, FaultyServers) {
    let mut settings = settings;
    settings["task_acks_late"] = json!(true);
    let (circle, servers) = faulty(settings);
    servers.broker.lose_connection_on(Call::Settle, 1);
    (circle, servers)
}

async fn stored(circle: &Circle, id: &str) -> TaskMeta {
    circle.app.backend().await.unwrap().get(id).await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_not_published_twice() {
    let (circle, _servers) = late(json!({}));
    let result = circle.call(Flaky::s(1).task_id("flaky")).await;
    let worker = circle.worker();
    assert_eq!(result.get().await.unwrap(), 1);
    worker.stop().await;
    let retries: Vec<_> = circle.probe.notes().iter().map(|it| it["retries"].clone()).collect();
    // The run whose end was lost, once more, and one retry.
    assert_eq!(retries, [0, 0, 1]);
    assert_eq!(circle.waiting("celery").await, 0);
}

#[tokio::test(start_paused = true)]
async fn callbacks_are_not_called_twice_by_a_task_that_runs_twice() {
    let (circle, _servers) = late(json!({}));
    let call = Add::s(2, 3).link(Note::partial().untyped()).link(Note::si(json!("immutable")));
    circle.call(call).await;
    let worker = circle.worker();
    circle.probe.noted(2).await;
    worker.stop().await;
    let mut notes: Vec<_> = circle.probe.notes().iter().map(|it| it["note"].to_string()).collect();
    notes.sort();
    assert_eq!(notes, ["\"immutable\"", "5"]);
    assert_eq!(circle.waiting("celery").await, 0);
}

#[tokio::test(start_paused = true)]
async fn error_callbacks_are_not_called_twice_by_a_task_that_fails_twice() {
    let (circle, _servers) = late(json!({}));
    let result = circle
        .call(Fail::s("cheese".to_owned()).link_error(Note::partial().untyped()).task_id("bad"))
        .await;
    let worker = circle.worker();
    circle.probe.noted(1).await;
    worker.stop().await;
    assert!(result.failed().await.unwrap());
    assert_eq!(circle.probe.notes().len(), 1);
    assert_eq!(circle.waiting("celery").await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_succeeded_and_comes_again_publishes_what_follows_under_the_ids_of_its_result()
{
    let (circle, servers) = late(json!({"worker_deduplicate_successful_tasks": true}));
    let step = json!({
        "task": "it.tasks.note", "args": [], "kwargs": {}, "options": {"task_id": "step"},
        "subtask_type": null, "immutable": false,
    });
    let callback = |value: &str| {
        json!({
            "task": "it.tasks.note", "args": [value], "kwargs": {}, "options": {},
            "subtask_type": null, "immutable": true,
        })
    };
    let message = TaskMessage {
        id: "first".to_owned(),
        task: "it.tasks.note".to_owned(),
        args: vec![json!("first")],
        embed: Embed {
            callbacks: Some(vec![callback("one"), callback("two")]),
            chain: Some(vec![step]),
            ..Embed::default()
        },
        ..TaskMessage::default()
    };
    let message = message.into_message(Default::default(), None).unwrap();
    circle.push("celery", message).await;
    let worker = circle.worker();
    let notes = circle.probe.noted(4).await;
    worker.stop().await;
    assert_eq!(servers.broker.calls(Call::Settle), 5);
    // It ran once, and each of what follows.
    assert_eq!(circle.probe.notes().len(), 4);
    let id = |note: &str| {
        let it = notes.iter().find(|it| it["note"] == note && it["request"]["id"] != "step");
        it.unwrap()["request"]["id"].clone()
    };
    let group = notes.iter().find_map(|it| it["request"]["group"].as_str()).unwrap();
    let children = stored(&circle, "first").await.children.unwrap();
    let members = json!([[[id("one"), null], null], [[id("two"), null], null]]);
    assert_eq!(children, [json!([[group, null], members]), json!([["step", null], null])]);
}

#[tokio::test(start_paused = true)]
async fn what_an_early_task_is_followed_by_is_published_through_an_outage() {
    let (circle, servers) = faulty(json!({}));
    let worker = circle.worker();
    servers.broker.lose_connection_on(Call::Publish, 2);
    circle.call(Add::s(2, 3).link(Note::partial().untyped())).await;
    let notes = circle.probe.noted(1).await;
    worker.stop().await;
    assert_eq!(notes[0]["note"], 5);
    assert_eq!(circle.probe.notes().len(), 1);
}
