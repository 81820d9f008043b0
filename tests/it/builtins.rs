//! Celery's own tasks, which every worker has.

use celery::{
    Task,
    core::{
        codec::Serializer,
        protocol::TaskMessage,
        state::{State, TaskMeta},
    },
    prelude::*,
};
use serde_json::{Value, json};

use crate::{
    harness::{
        Circle,
        canvas::{chord, group, set, si, sig},
        faulty,
    },
    tasks::*,
};

#[shared_task]
fn doubled_on_a_thread(x: i64) -> i64 {
    x * 2
}

/// Retries at odd numbers.
#[shared_task(bind)]
async fn wants_even(task: &Context, x: i64) -> Result<i64, TaskError> {
    if x % 2 == 1 {
        return Err(task.retry().cause(OutOfCheese("luck".to_owned())).into());
    }
    Ok(x)
}

/// Calls one of Celery's own tasks by a message.
async fn call(circle: &Circle, task: &str, args: Value, kwargs: Value) -> Value {
    circle.ran(json!({ "task": task, "args": args, "kwargs": kwargs })).await
}

#[tokio::test(start_paused = true)]
async fn map_and_starmap_call_a_task_for_each_item_in_one_run() {
    let circle = Circle::new();
    let worker = circle.worker();
    let mapped = |task: &str, it: Value| json!({ "task": sig(task, json!([])), "it": it });
    let own = async |name: &str, kwargs: Value| call(&circle, name, json!([]), kwargs).await;
    let stored = own("celery.map", mapped(Echo::NAME, json!([1, "a", null]))).await;
    assert_eq!(stored["result"], json!([1, "a", null]));
    let stored = own("celery.starmap", mapped(Add::NAME, json!([[1, 2], [3, 4]]))).await;
    assert_eq!((&stored["result"], &stored["children"]), (&json!([3, 7]), &json!([])));
    let stored = own("celery.map", mapped(DoubledOnAThread::NAME, json!([1, 2, 3]))).await;
    assert_eq!(stored["result"], json!([2, 4, 6]));
    // What a task sends is a child of the one that called it.
    let stored = own("celery.map", mapped(Spawn::NAME, json!([1, 2]))).await;
    assert_eq!(stored["children"].as_array().unwrap().len(), 2);
    for (name, task, it, exc_type) in [
        ("celery.map", "no.such.task", json!([1]), "NotRegistered"),
        ("celery.map", Fail::NAME, json!(["cheese"]), "OutOfCheese"),
        ("celery.map", WantsEven::NAME, json!([2, 3]), "OutOfCheese"),
        ("celery.map", Add::NAME, json!([1]), "TypeError"),
        ("celery.starmap", Add::NAME, json!([1]), "TypeError"),
        ("celery.map", PanicsOnAThread::NAME, json!(["gate"]), "Panic"),
    ] {
        let result = own(name, mapped(task, it)).await["result"].clone();
        let found = result["exc_type"].as_str().unwrap_or_default();
        assert_eq!(found, exc_type, "{name} {task} {result}");
    }
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn chunks_are_sent_as_a_group_of_starmaps() {
    let circle = Circle::new();
    let worker = circle.worker();
    let items: Vec<_> = (0..7).map(|x| json!([x, x])).collect();
    let kwargs = json!({ "task": sig(Add::NAME, json!([])), "it": items, "n": 3 });
    // A client sends the group itself, and not this.
    let message = TaskMessage {
        id: "chunks".to_owned(),
        task: "celery.chunks".to_owned(),
        kwargs: kwargs.as_object().unwrap().clone(),
        ..TaskMessage::default()
    };
    send(&circle, message).await;
    let stored = circle.stored("chunks").await;
    assert_eq!(stored["children"], json!([stored["result"]]));
    let members = stored["result"][1].as_array().unwrap();
    let mut results = Vec::new();
    for member in members {
        results.push(circle.stored(member[0][0].as_str().unwrap()).await["result"].clone());
    }
    assert_eq!(results, [json!([0, 2, 4]), json!([6, 8, 10]), json!([12])]);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn accumulate_returns_what_it_was_given_or_one_of_it() {
    let circle = Circle::new();
    let worker = circle.worker();
    for (kwargs, expected) in [
        (json!({}), json!([1, [2]])),
        (json!({ "index": null }), json!([1, [2]])),
        (json!({ "index": 1 }), json!([2])),
        (json!({ "index": -2 }), json!(1)),
    ] {
        let stored = call(&circle, "celery.accumulate", json!([1, [2]]), kwargs).await;
        assert_eq!(stored["result"], expected);
    }
    let stored = call(&circle, "celery.accumulate", json!([1]), json!({ "index": 1 })).await;
    assert_eq!(stored["result"]["exc_type"], "IndexError");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn groups_chords_and_chains_that_come_as_tasks_are_what_they_are_for_celery() {
    let circle = Circle::new();
    let worker = circle.worker();
    let member = set(sig(Add::NAME, json!([1])), "task_id", json!("member"));
    let result = json!([["the-group", null], [[["member", null], null]]]);
    let kwargs = json!({ "tasks": [member], "result": result, "group_id": "the-group", "partial_args": [2] });
    let stored = call(&circle, "celery.group", json!([]), kwargs).await;
    assert_eq!(stored["result"], result);
    let member = circle.stored("member").await;
    assert_eq!((&member["result"], &member["group_id"]), (&json!(3), &json!("the-group")));

    let header = [si(Add::NAME, json!([1, 1])), si(Add::NAME, json!([2, 2]))];
    for header in [json!(header), group(&header)] {
        let kwargs = json!({ "header": header, "body": sig(Echo::NAME, json!([])), "interval": 1, "countdown": 1 });
        let stored = call(&circle, "celery.chord", json!([]), kwargs).await;
        let body = stored["result"][0][0].as_str().unwrap();
        assert_eq!(circle.stored(body).await["result"], json!([2, 4]));
    }
    let stored = call(&circle, "celery.chain", json!([1]), json!({ "tasks": [] })).await;
    assert_eq!(stored["result"]["exc_type"], "NotImplementedError");
    let stored = call(&circle, "celery.backend_cleanup", json!([]), json!({})).await;
    assert_eq!((&stored["status"], &stored["result"]), (&json!("SUCCESS"), &Value::Null));
    worker.stop().await;
}

fn unlock(circle: &Circle, header: &[&str], more: &Value) -> TaskMessage {
    let body = json!({ "task": Note::NAME, "options": { "task_id": "the-body", "link_error": [sig(Note::NAME, json!([]))] } });
    let result: Vec<_> = header.iter().map(|id| json!([[id, null], null])).collect();
    let mut kwargs = json!({ "interval": 30.0, "max_retries": null, "result": result, "_chord_unlock_exchange_type": "direct" });
    kwargs.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    TaskMessage {
        id: format!("unlock-{}", circle.probe.notes().len()),
        task: "celery.chord_unlock".to_owned(),
        args: vec![json!("the-group"), body],
        kwargs: kwargs.as_object().unwrap().clone(),
        ..TaskMessage::default()
    }
}

async fn store(circle: &Circle, id: &str, state: State, result: Value) {
    let backend = circle.app.backend().await.unwrap();
    backend.store(&TaskMeta::new(id, state, result)).await.unwrap();
}

async fn send(circle: &Circle, message: TaskMessage) {
    let message = message.encode(Serializer::Json, None).unwrap();
    circle.push("celery", message).await;
}

#[tokio::test(start_paused = true)]
async fn chord_unlock_looks_until_the_header_is_done_and_sends_the_body_once() {
    let circle = Circle::new();
    let worker = circle.worker();
    let began = tokio::time::Instant::now();
    store(&circle, "a", State::Success, json!(1)).await;
    for _ in 0..2 {
        send(&circle, unlock(&circle, &["a", "b"], &json!({}))).await;
    }
    while began.elapsed().as_secs() < 100 {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    assert!(circle.probe.notes().is_empty());
    store(&circle, "b", State::Success, json!([2])).await;
    assert_eq!(circle.stored("the-body").await["result"], json!([1, [2]]));
    assert!(began.elapsed().as_secs() <= 130, "every 30 seconds");
    worker.stop().await;
    assert_eq!(circle.probe.notes().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn chord_unlock_fails_the_body_when_a_part_failed_or_it_gives_up() {
    let circle = Circle::new();
    let worker = circle.worker();
    let failure =
        json!({ "exc_type": "ValueError", "exc_message": ["x"], "exc_module": "builtins" });
    store(&circle, "a", State::Failure, failure).await;
    send(&circle, unlock(&circle, &["a"], &json!({}))).await;
    let stored = circle.stored("the-body").await;
    assert_eq!(stored["result"]["exc_message"], json!(["Dependency a raised ValueError('x')"]));
    assert_eq!(circle.probe.noted(1).await[0]["note"], "the-body");
    circle.app.backend().await.unwrap().forget("the-body").await.unwrap();
    send(&circle, unlock(&circle, &["never"], &json!({ "max_retries": 3 }))).await;
    let stored = circle.stored("the-body").await;
    let message = stored["result"]["exc_message"][0].as_str().unwrap();
    assert!(
        message.starts_with("chord_unlock could not be retried: MaxRetriesExceededError("),
        "{message}"
    );
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn chords_are_joined_where_the_backend_does_not_count() {
    // The failing backend of the tests has no joins.
    let (circle, _) = faulty(json!({}));
    let worker = circle.worker();
    let header = [
        sig(Add::NAME, json!([1, 1])),
        group(&[si(Add::NAME, json!([2, 2])), si(Add::NAME, json!([3, 3]))]),
    ];
    let stored = circle.ran(chord(&header, sig(Note::NAME, json!([])))).await;
    assert_eq!(stored["result"], json!([2, 6, 4]));
    let header = [sig(Add::NAME, json!([1, 1])), sig(Fail::NAME, json!(["cheese"]))];
    let stored = circle.ran(chord(&header, sig(Note::NAME, json!([])))).await;
    assert_eq!(stored["result"]["exc_type"], "ChordError");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn they_are_shown_to_who_asks_for_them_alone() {
    let circle = Circle::new();
    let registry = circle.app.registry().unwrap();
    assert!(registry.names().all(|name| !name.starts_with("celery.")));
    let own: Vec<_> =
        registry.iter().map(|task| task.name).filter(|name| name.starts_with("celery.")).collect();
    assert_eq!(
        own,
        [
            "celery.accumulate",
            "celery.backend_cleanup",
            "celery.chain",
            "celery.chord",
            "celery.chord_unlock",
            "celery.chunks",
            "celery.group",
            "celery.map",
            "celery.starmap",
        ]
    );
}
