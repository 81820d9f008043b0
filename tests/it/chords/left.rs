//! Chords whose last part was counted by a worker that did not come to send the body, and parts that come again.

use celery::{
    Task,
    core::{
        backend::{Callback, Joined, NewJoin, Part},
        broker::Queue,
        codec::Serializer,
        protocol::{Embed, TaskMessage},
        state::{State, TaskMeta},
        tree::ResultTree,
    },
};
use serde_json::{Value, json};

use crate::{harness::Circle, tasks::*};

const GROUP: &str = "the-group";

fn body() -> Value {
    json!({ "task": Note::NAME, "args": [], "options": { "task_id": "the-body", "group_id": GROUP } })
}

/// A part of a chord as it comes.
fn part(id: &str, index: i64) -> TaskMessage {
    let mut message = TaskMessage {
        id: id.to_owned(),
        task: Add::NAME.to_owned(),
        args: vec![json!(index), json!(1)],
        embed: Embed { chord: Some(body()), ..Embed::default() },
        ..TaskMessage::default()
    };
    message.headers.group = Some(GROUP.to_owned());
    message.headers.group_index = Some(index);
    message
}

async fn begin(circle: &Circle, size: u64) {
    let join = NewJoin {
        group_id: GROUP.to_owned(),
        size,
        header: ResultTree::group(GROUP, Vec::new()),
        nests: false,
    };
    circle.joins().await.begin(&[join]).await.unwrap();
}

async fn deliver(circle: &Circle, part: &TaskMessage) {
    circle.push("celery", part.encode(Serializer::Json, None).unwrap()).await;
}

/// Counts a part as a worker does that dies of it.
async fn count(circle: &Circle, id: &str, index: i64) -> Option<Joined> {
    let meta = TaskMeta::new(id, State::Success, json!(index + 1));
    let callback = Callback { body: body(), parent_id: Some(id.to_owned()), ..Callback::default() };
    let index = Some(index);
    let part = Part { group_id: GROUP, index, meta: &meta, stores: true, callback: &callback };
    circle.joins().await.count(part).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_part_that_comes_again_is_counted_once() {
    let circle = Circle::new();
    let worker = circle.worker();
    begin(&circle, 2).await;
    for _ in 0..3 {
        deliver(&circle, &part("first", 0)).await;
    }
    circle.stored("first").await;
    worker.stop().await;
    assert_eq!(circle.tally(GROUP).await, Some((1, Some(2))));
    let worker = circle.worker();
    for id in ["second", "first", "second"] {
        deliver(&circle, &part(id, if id == "first" { 0 } else { 1 })).await;
    }
    assert_eq!(circle.stored("the-body").await["result"], json!([1, 2]));
    worker.stop().await;
    assert_eq!(circle.probe.notes().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_chord_is_completed_by_another_worker_when_one_died_after_counting() {
    let circle = Circle::new();
    begin(&circle, 2).await;
    assert_eq!(count(&circle, "first", 0).await, None);
    assert!(count(&circle, "second", 1).await.is_some(), "it was to complete it");
    let worker = circle.worker();
    assert_eq!(circle.stored("the-body").await["result"], json!([1, 2]));
    let request = circle.probe.notes()[0]["request"].clone();
    assert_eq!((&request["parent_id"], &request["id"]), (&json!("second"), &json!("the-body")));
    worker.stop().await;
    assert_eq!(circle.tally(GROUP).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_was_sent_already_is_not_sent_again() {
    let circle = Circle::new();
    let worker = circle.worker();
    begin(&circle, 1).await;
    deliver(&circle, &part("first", 0)).await;
    circle.stored("the-body").await;
    // It was sent, and nobody heard of it.
    begin(&circle, 1).await;
    assert!(count(&circle, "first", 0).await.is_some());
    let tick = std::time::Duration::from_secs(1);
    while circle.tally(GROUP).await.is_some() {
        tokio::time::sleep(tick).await;
    }
    worker.stop().await;
    assert_eq!(circle.probe.notes().len(), 1);
    assert_eq!(circle.waiting("celery").await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_not_run_again_is_counted_if_nobody_did() {
    // As a Python worker does that dies in between, the result is stored and the part is not counted.
    let settings = json!({ "task_acks_late": true, "worker_deduplicate_successful_tasks": true });
    let circle = Circle::with(settings);
    begin(&circle, 1).await;
    let backend = circle.app.backend().await.unwrap();
    backend.store(&TaskMeta::new("first", State::Success, json!(42))).await.unwrap();
    deliver(&circle, &part("first", 0)).await;
    let broker = circle.broker().await;
    let mut consumer = broker.consume(&[Queue::named("celery")], None).await.unwrap();
    consumer.next().await.unwrap().remove(0).hand_back().await.unwrap();
    drop(consumer);
    let worker = circle.worker();
    assert_eq!(circle.stored("the-body").await["result"], json!([42]));
    worker.stop().await;
    assert_eq!(circle.waiting("celery").await, 0);
}
