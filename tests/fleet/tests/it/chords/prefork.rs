//! Workflows whose tasks run in child processes: what they decide is carried out by their worker.

use celery::{
    AsyncResult, Celery,
    core::{signature::Spec, tree::ResultTree},
};
use peers::Space;
use serde_json::{Value, json};

use crate::children::{prefork, space};

fn sig(task: &str, args: &Value) -> Value {
    json!({ "task": task, "args": args })
}

fn chord(header: &[Value], body: &Value) -> Value {
    let kwargs = json!({ "header": header, "body": body, "kwargs": {} });
    json!({ "task": "celery.chord", "subtask_type": "chord", "kwargs": kwargs })
}

async fn send(app: &Celery, signature: &Value) -> ResultTree {
    let spec = Spec::from_value(signature.clone()).expect("a signature");
    app.apply(spec).await.expect("it is sent")
}

async fn stored(app: &Celery, id: &str) -> Value {
    let result: AsyncResult = AsyncResult::new(app, id);
    result.wait().await.expect("the result backend answers").to_value()
}

async fn ran(app: &Celery, signature: &Value) -> Value {
    stored(app, &send(app, signature).await.id).await
}

/// What error callbacks have told, the next one first.
async fn told(space: &Space) -> Value {
    serde_json::from_str(&space.take("told", 1).await[0]).expect("it is JSON")
}

#[tokio::test]
async fn tasks_in_children_are_replaced_and_add_parts_to_their_chords() {
    let space = space();
    let app = space.app();
    let worker = prefork(&space, &["-c", "2"]).await;
    let sum = |x: i64| sig("fleet.add", &json!([x, x]));
    let group = json!({ "task": "celery.group", "subtask_type": "group", "kwargs": { "tasks": [sum(1), sum(2)] } });
    let replaced = sig("fleet.make_way", &json!([group]));
    assert_eq!(ran(&app, &replaced).await["result"], json!([2, 4]));
    let whole = sig("celery.accumulate", &json!([]));
    let header = [replaced, sig("fleet.grow", &json!([7])), sum(3)];
    let mut results =
        ran(&app, &chord(&header, &whole)).await["result"][0].as_array().unwrap().clone();
    results.sort_by_key(|result| result.as_i64());
    assert_eq!(results, [json!([2, 4]), json!(6), json!(7), json!(1007)]);
    worker.stop().await;
}

#[tokio::test]
async fn error_callbacks_are_run_in_children_and_lost_children_fail_their_chords() {
    let space = space();
    let app = space.app();
    let worker = prefork(&space, &["-c", "2"]).await;
    let mut body = sig("celery.accumulate", &json!([]));
    body["options"] = json!({ "link_error": [sig("fleet.on_error", &json!([]))] });
    let header = [sig("fleet.add", &json!([1, 1])), sig("fleet.die", &json!(["abort"]))];
    let result = send(&app, &chord(&header, &body)).await;
    let failed = stored(&app, &result.id).await;
    let message = failed["result"]["exc_message"][0].as_str().unwrap();
    assert!(message.contains("raised WorkerLostError("), "{message}");
    let told = told(&space).await;
    assert_eq!((&told[0], &told[1][0]), (&json!(result.id), &json!(message)));
    assert_ne!(told[2], worker.id(), "it ran in a child");
    worker.stop().await;
}

#[tokio::test]
async fn celerys_own_tasks_run_in_children_too() {
    let space = space();
    let app = space.app();
    let worker = prefork(&space, &["-c", "1"]).await;
    let kwargs = json!({ "task": sig("fleet.add", &json!([])), "it": [[1, 2], [3, 4]] });
    let mapped = ran(&app, &json!({ "task": "celery.starmap", "kwargs": kwargs })).await;
    assert_eq!(mapped["result"], json!([3, 7]));
    let mut body = sig("celery.accumulate", &json!([]));
    body["options"] = json!({ "task_id": "the-body" });
    let kwargs = json!({ "result": [[[mapped["task_id"], null], null]], "interval": 1 });
    let unlock =
        json!({ "task": "celery.chord_unlock", "args": ["the-group", body], "kwargs": kwargs });
    send(&app, &unlock).await;
    assert_eq!(stored(&app, "the-body").await["result"], json!([[[3, 7]]]));
    worker.stop().await;
}
