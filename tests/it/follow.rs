//! Callbacks, error callbacks and chains.

use celery::core::{
    codec::Serializer,
    protocol::{Embed, TaskMessage},
};
use serde_json::{Value, json};

use crate::{harness::Circle, tasks::*};

#[tokio::test(start_paused = true)]
async fn a_callback_gets_the_result() {
    let circle = Circle::new();
    let worker = circle.worker();
    let document = circle
        .done(Add::s(2, 3).link(Note::partial().untyped()).link_error(Note::si(json!("no"))))
        .await;
    let callback = circle.probe.noted(1).await.remove(0);
    assert_eq!(callback["note"], 5);
    let request = &callback["request"];
    assert_eq!(
        (&request["parent_id"], &request["root_id"]),
        (&document["task_id"], &document["task_id"])
    );
    assert_eq!(document["children"], json!([[[request["id"], null], null]]));
    let stored = circle.stored(request["id"].as_str().unwrap()).await;
    assert_eq!(stored["parent_id"], document["task_id"]);
    worker.stop().await;
    assert_eq!(circle.probe.notes().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn several_callbacks_are_a_group() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let call = Add::s(2, 3).link(Note::partial().untyped()).link(Note::si(json!("immutable")));
    let document = circle.done(call).await;
    let mut notes = circle.probe.noted(2).await;
    notes.sort_by_key(|note| note["request"]["group_index"].as_i64());
    assert_eq!((&notes[0]["note"], &notes[1]["note"]), (&json!(5), &json!("immutable")));
    let member = |index: usize| notes[index]["request"].clone();
    assert_eq!(member(0)["group"], member(1)["group"]);
    assert_eq!((&member(0)["group_index"], &member(1)["group_index"]), (&json!(0), &json!(1)));
    // As in Celery's capture of two callbacks.
    assert_eq!(
        document["children"],
        json!([[
            [member(0)["group"], null],
            [[[member(0)["id"], null], null], [[member(1)["id"], null], null]]
        ]])
    );
    let stored = circle.stored(member(1)["id"].as_str().unwrap()).await;
    assert_eq!(stored["group_id"], member(0)["group"]);
}

#[tokio::test(start_paused = true)]
async fn an_error_callback_gets_the_id_of_the_failed_task() {
    let circle = Circle::new();
    let worker = circle.worker();
    let call =
        Fail::s("cheese".to_owned()).link(Mul::partial(2)).link_error(Note::partial().untyped());
    let document = circle.done(call).await;
    let note = circle.probe.noted(1).await.remove(0);
    assert_eq!(note["note"], document["task_id"]);
    assert_eq!(note["request"]["parent_id"], document["task_id"]);
    assert!(note["request"]["group"].is_string());
    // As in Celery's capture, it is no child: it was sent after the failure was stored.
    assert_eq!(document["children"], json!([]));
    worker.stop().await;
    assert_eq!(circle.waiting("celery").await, 0);
}

#[tokio::test(start_paused = true)]
async fn callbacks_that_cannot_be_read_harm_nobody() {
    let circle = Circle::new();
    let worker = circle.worker();
    for callback in [
        json!(3),
        json!({"args": []}),
        json!({"task": "a", "options": {"countdown": "x"}}),
        json!({"task": "it.tasks.add", "args": [1], "options": {"countdown": 1e300}}),
    ] {
        let embed = Embed {
            callbacks: Some(vec![callback.clone()]),
            errbacks: Some(vec![callback]),
            ..Embed::default()
        };
        let id = send(&circle, "it.tasks.add", json!([1, 1]), embed).await;
        assert_eq!(circle.stored(&id).await["status"], "SUCCESS");
    }
    worker.stop().await;
}

/// Sends a message as Celery would.
async fn send(circle: &Circle, task: &str, args: Value, embed: Embed) -> String {
    let id = format!("first-{}", circle.probe.notes().len());
    let mut message = TaskMessage {
        id: id.clone(),
        task: task.to_owned(),
        args: args.as_array().unwrap().clone(),
        embed,
        ..TaskMessage::default()
    };
    message.headers.root_id = Some(id.clone());
    circle.push("celery", message.encode(Serializer::Json, None).unwrap()).await;
    id
}

/// A step as it stands in the `chain` of a message.
fn step(id: &str, task: &str, args: Value, immutable: bool) -> Value {
    json!({
        "task": task, "args": args, "kwargs": {}, "subtask_type": null, "immutable": immutable,
        "options": {"task_id": id, "reply_to": "somebody"},
    })
}

fn chain(steps: &[Value]) -> Embed {
    Embed { chain: Some(steps.iter().rev().cloned().collect()), ..Embed::default() }
}

#[tokio::test(start_paused = true)]
async fn a_chain_runs_step_by_step() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let steps = [
        step("second", "it.tasks.mul", json!([10]), false),
        step("third", "it.tasks.note", json!([]), false),
        step("fourth", "it.tasks.add", json!([20, 22]), true),
    ];
    let first = send(&circle, "it.tasks.add", json!([1, 2]), chain(&steps)).await;
    assert_eq!(circle.stored("fourth").await["result"], 42);
    assert_eq!(circle.stored("second").await["result"], 30);
    let request = circle.probe.notes()[0]["request"].clone();
    assert_eq!(request["args"], json!([30]));
    assert_eq!((&request["parent_id"], &request["root_id"]), (&json!("second"), &json!(first)));
    assert_eq!(request["chain"], json!([steps[2]]));
    let children = circle.stored(&first).await["children"].clone();
    assert_eq!(children, json!([[["second", null], null]]));
    assert_eq!(circle.stored("fourth").await["parent_id"], "third");
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_chain_shares_the_failure_of_a_step() {
    let circle = Circle::new();
    let worker = circle.worker();
    let steps = [
        step("second", "it.tasks.fail", json!(["cheese"]), true),
        step("third", "it.tasks.note", json!([]), false),
        step("fourth", "it.tasks.note", json!([]), false),
    ];
    send(&circle, "it.tasks.add", json!([1, 2]), chain(&steps)).await;
    let failed = circle.stored("second").await;
    for id in ["third", "fourth"] {
        let document = circle.stored(id).await;
        for key in ["status", "result", "traceback", "children"] {
            assert_eq!(document[key], failed[key], "{id} {key}");
        }
        assert_eq!(document["task_id"], id);
        assert!(document.get("parent_id").is_none());
    }
    worker.stop().await;
    assert!(circle.probe.notes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_chain_that_cannot_go_on_leaves_nobody_waiting() {
    let circle = Circle::new();
    let worker = circle.worker();
    let last = || step("last", "it.tasks.note", json!([]), false);
    let bad = json!({"task": "it.tasks.add", "args": 3, "options": {"task_id": "second"}});
    let first = send(&circle, "it.tasks.add", json!([1, 2]), chain(&[bad, last()])).await;
    assert_eq!(circle.stored("last").await["result"]["exc_type"], "InvalidTaskError");
    assert_eq!(circle.stored(&first).await["status"], "SUCCESS");

    for (id, task) in [("a", "no.such.task"), ("b", "it.tasks.add")] {
        let last = step(&format!("after-{id}"), "it.tasks.note", json!([]), false);
        let mut message =
            TaskMessage { id: id.to_owned(), task: task.to_owned(), ..TaskMessage::default() };
        message.embed = chain(&[last]);
        message.headers.expires = (id == "b").then(|| "2020-01-01T00:00:00+00:00".to_owned());
        circle.push("celery", message.encode(Serializer::Json, None).unwrap()).await;
        let (own, after) = (circle.stored(id).await, circle.stored(&format!("after-{id}")).await);
        assert_eq!((&own["status"], &own["result"]), (&after["status"], &after["result"]));
    }
    worker.stop().await;
}
