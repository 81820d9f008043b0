//! Revoking: before anybody has the task, while it waits, while it is not due, and while it runs.

use std::time::Duration;

use celery::{
    AsyncResult, Task, WorkerOptions,
    core::{
        broker::{Keep, KeepFrom},
        codec::Serializer,
        control::Revoke,
        protocol::TaskMessage,
    },
};
use serde_json::{Value, json};

use crate::{
    harness::{Circle, NODE, Running, within},
    tasks::*,
};

fn one_at_a_time(circle: &Circle) -> Running {
    circle.worker_with(WorkerOptions { concurrency: Some(1), ..WorkerOptions::default() })
}

/// Waits until the worker answers remote control.
pub(crate) async fn listens(circle: &Circle) {
    let asking =
        async { while circle.app.control().ping().limit(1).replies().await.unwrap().is_empty() {} };
    within(asking).await;
}

/// What the one worker replies.
async fn told(request: Revoke) -> Value {
    let replies = request.limit(1).timeout(Duration::from_secs(60)).replies().await.unwrap();
    let [(node, reply)] = replies.as_slice() else { panic!("{replies:?}") };
    assert_eq!(node, NODE);
    reply.clone()
}

/// What one that was revoked leaves in the result backend.
#[track_caller]
fn is_revoked(document: &Value, reason: &str) {
    assert_eq!(document["status"], "REVOKED");
    let exception = json!({"exc_type": "TaskRevokedError", "exc_message": [reason], "exc_module": "celery.exceptions"});
    assert_eq!(document["result"], exception);
    assert_eq!(document["traceback"], json!(null));
}

/// Calls a task with stamps, which a client of Python's can do.
async fn stamped(circle: &Circle, task: &str, args: Value, stamps: Value) -> AsyncResult<Value> {
    let id = format!("stamped-{stamps}");
    let mut message = TaskMessage {
        id: id.clone(),
        task: task.to_owned(),
        args: args.as_array().unwrap().clone(),
        ..TaskMessage::default()
    };
    message.headers.stamped_headers =
        Some(stamps.as_object().unwrap().keys().map(|name| json!(name)).collect());
    message.headers.stamps = stamps.as_object().unwrap().clone();
    circle.push("celery", message.encode(Serializer::Json, None).unwrap()).await;
    AsyncResult::new(&circle.app, id)
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_revoked_while_nobody_listens_is_never_run() {
    let circle = Circle::new();
    let result = circle.call(Note::s(json!(1))).await;
    result.revoke().await.unwrap();
    let worker = circle.worker();
    is_revoked(&circle.stored(result.id()).await, "revoked");
    assert_eq!(circle.done(Add::s(1, 1)).await["result"], 2);
    worker.stop().await;
    assert_eq!(circle.waiting("celery").await, 0);
    assert!(circle.probe.notes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_for_a_slot_is_refused_when_it_gets_one() {
    let circle = Circle::new();
    let worker = one_at_a_time(&circle);
    circle.call(Hold::s("first".to_owned())).await;
    circle.probe.noted(1).await;
    listens(&circle).await;
    let waits = circle.call(Note::s(json!(1))).await;
    let reply = told(circle.app.control().revoke([waits.id()])).await;
    assert_eq!(reply, json!({"ok": format!("tasks {{'{}'}} flagged as revoked", waits.id())}));
    // Its caller is told at once, and by the word of Celery's command there are no children.
    let document = circle.stored_now(waits.id()).await.unwrap();
    is_revoked(&document, "revoked");
    assert_eq!(document["children"], json!(null));
    circle.probe.open(1);
    assert_eq!(circle.done(Add::s(1, 1)).await["result"], 2);
    worker.stop().await;
    assert_eq!(circle.waiting("celery").await, 0);
    assert_eq!(circle.probe.notes(), ["begin first", "end first"]);
    assert_eq!(circle.stored_now(waits.id()).await.unwrap()["children"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_not_due_is_refused_when_it_is() {
    let circle = Circle::new();
    let worker = circle.worker();
    let result = circle.call(Note::s(json!(1)).countdown(3600.0)).await;
    // It is given back by then, since this comes after it.
    circle.done(Add::s(1, 1)).await;
    listens(&circle).await;
    told(circle.app.control().revoke([result.id()])).await;
    is_revoked(&circle.stored_now(result.id()).await.unwrap(), "revoked");
    circle.done(Add::s(1, 1).countdown(3601.0)).await;
    worker.stop().await;
    assert_eq!(circle.waiting("celery").await, 0);
    assert!(circle.probe.notes().is_empty());
    assert_eq!(circle.stored_now(result.id()).await.unwrap()["children"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn what_a_worker_is_told_a_new_one_knows() {
    let circle = Circle::new();
    let first = circle.worker();
    listens(&circle).await;
    // As Python's client asks, which leaves nothing in the broker itself.
    let ids = json!(["one", "two"]);
    let asked = circle
        .app
        .control()
        .broadcast("revoke", [("task_id".to_owned(), ids)].into_iter().collect());
    let replies = asked.limit(1).replies().await.unwrap();
    assert_eq!(replies[0].1, json!({"ok": "tasks {'one', 'two'} flagged as revoked"}));
    first.stop().await;

    let _second = circle.worker();
    circle.call(Note::s(json!(1)).task_id("two")).await;
    is_revoked(&circle.stored("two").await, "revoked");
    listens(&circle).await;
    let revoked = circle.app.control().broadcast("revoked", Default::default());
    assert_eq!(revoked.limit(1).replies().await.unwrap()[0].1, json!(["one", "two"]));
    assert!(circle.probe.notes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_revoked_is_known_for_three_hours() {
    let circle = Circle::new();
    circle.app.control().revoke(["early"]).send().await.unwrap();
    tokio::time::advance(Duration::from_secs(3 * 3600 - 10)).await;
    circle.app.control().revoke(["late"]).send().await.unwrap();
    tokio::time::advance(Duration::from_secs(20)).await;
    let _worker = circle.worker();
    let result = circle.call(Note::s(json!(1)).task_id("late")).await;
    is_revoked(&circle.stored(result.id()).await, "revoked");
    let result = circle.call(Note::s(json!(1)).task_id("early")).await;
    assert_eq!(circle.stored(result.id()).await["status"], "SUCCESS");
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_its_eta_stays_revoked_however_long_and_without_any_worker_that_was_told() {
    let circle = Circle::new();
    let worker = circle.worker();
    let hours = |hours: f64| 3600.0 * hours;
    for id in ["by the client", "by a worker", "by its stamp", "unheard", "wanted"] {
        let mut message = TaskMessage {
            id: id.to_owned(),
            task: Note::NAME.to_owned(),
            args: vec![json!(id)],
            ..TaskMessage::default()
        };
        let eta = celery::core::clock::now() + Duration::from_secs_f64(hours(30.0));
        message.headers.eta = Some(eta.to_string());
        if id == "by its stamp" {
            message.headers.stamped_headers = Some(vec![json!("team")]);
            message.headers.stamps = json!({ "team": "blue" }).as_object().unwrap().clone();
        }
        circle.push("celery", message.encode(Serializer::Json, None).unwrap()).await;
    }
    // They wait by then.
    circle.done(Add::s(1, 1)).await;
    listens(&circle).await;
    // As Python's client asks: only the worker can tell the broker.
    let id = [("task_id".to_owned(), json!("by a worker"))];
    let asked = circle.app.control().broadcast("revoke", id.into_iter().collect());
    asked.limit(1).replies().await.unwrap();
    worker.stop().await;
    circle.app.control().revoke(["by the client"]).send().await.unwrap();
    circle.app.control().revoke_by_stamped_headers([("team", "blue")]).send().await.unwrap();

    // This one knows it from the broker when it starts; the next one, which starts when it is long forgotten, has to ask.
    tokio::time::advance(Duration::from_secs_f64(hours(1.0))).await;
    circle.worker().stop().await;
    tokio::time::advance(Duration::from_secs_f64(hours(28.0))).await;
    let worker = circle.worker();
    listens(&circle).await;
    // And what a running worker did not hear of: it was cut off when it was told.
    let keep = Keep { time: Duration::from_secs(60), most: 10, from: KeepFrom::LastDue };
    let broker = circle.app.broker().await.unwrap();
    let sets = broker.shared_sets().unwrap();
    sets.remember("revoked", &["unheard".to_owned()], keep).await.unwrap();
    for id in ["by the client", "by a worker", "by its stamp", "unheard"] {
        is_revoked(&circle.stored(id).await, "revoked");
    }
    assert_eq!(circle.stored("wanted").await["status"], "SUCCESS");
    worker.stop().await;
    assert_eq!(circle.probe.notes().len(), 1);
    // Three hours after the last of them was due, nobody knows it any more.
    tokio::time::advance(Duration::from_secs_f64(hours(3.0) + 60.0)).await;
    let _worker = circle.worker();
    circle.call(Note::s(json!(1)).task_id("by a worker")).await;
    circle.probe.noted(2).await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_runs_goes_on_unless_it_is_to_be_terminated() {
    let circle = Circle::new();
    let worker = one_at_a_time(&circle);
    let result = circle.call(HoldLate::s("late".to_owned())).await;
    circle.probe.noted(1).await;
    listens(&circle).await;
    told(circle.app.control().revoke([result.id()])).await;
    assert_eq!(circle.stored_now(result.id()).await, None);

    let terminate = circle.app.control().revoke([result.id()]).terminate("KILL");
    assert_eq!(told(terminate).await, json!({"ok": format!("terminate: {}", result.id())}));
    is_revoked(&circle.stored(result.id()).await, "terminated");
    assert_eq!(circle.done(Add::s(1, 1)).await["result"], 2);
    worker.stop().await;
    assert_eq!(circle.probe.notes(), ["begin late", "dropped late"]);
    assert_eq!(circle.waiting("celery").await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_handle_terminates_its_task() {
    let circle = Circle::new();
    let worker = circle.worker();
    let result = circle.call(Hold::s("x".to_owned())).await;
    circle.probe.noted(1).await;
    listens(&circle).await;
    result.terminate("SIGTERM").await.unwrap();
    is_revoked(&circle.stored(result.id()).await, "terminated");
    worker.stop().await;
    assert_eq!(circle.probe.notes(), ["begin x", "dropped x"]);
}

#[tokio::test]
async fn a_function_on_a_thread_is_recorded_as_terminated_and_keeps_its_slot() {
    let circle = Circle::new();
    let worker = one_at_a_time(&circle);
    let result = circle.call(HoldThread::s("x".to_owned())).await;
    circle.probe.noted(1).await;
    listens(&circle).await;
    result.terminate("SIGTERM").await.unwrap();
    is_revoked(&circle.stored(result.id()).await, "terminated");
    let next = circle.call(Note::s(json!(1))).await;
    assert_eq!(circle.stored_now(next.id()).await, None);
    circle.probe.open(1);
    assert_eq!(circle.stored(next.id()).await["status"], "SUCCESS");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_signal_that_is_none_is_refused_and_nothing_is_revoked() {
    let circle = Circle::new();
    let _worker = circle.worker();
    listens(&circle).await;
    let refused = circle.app.control().revoke(["x"]).terminate("SIGFOO").send().await;
    assert!(refused.unwrap_err().to_string().contains("`SIGFOO`"));
    for (method, arguments) in [
        ("revoke", json!({"task_id": "x", "terminate": true, "signal": "SIGFOO"})),
        ("terminate", json!({"task_id": "x", "signal": 4711})),
        ("revoke_by_stamped_headers", json!({"headers": {"a": "b"}, "signal": "FOO"})),
        ("revoke_by_stamped_headers", json!({"headers": "a=b"})),
        ("revoke_by_stamped_headers", json!({"headers": ["a"]})),
        ("revoke", json!({"task_id": ["x", 5]})),
    ] {
        let arguments = arguments.as_object().unwrap().clone();
        let asked = circle.app.control().broadcast(method, arguments.clone()).limit(1);
        let replies = asked.replies().await.unwrap();
        let error = replies[0].1["error"].as_str().unwrap_or_else(|| panic!("{replies:?}"));
        let named = ["`SIGFOO`", "`4711`", "`FOO`", "\"a=b\"", "\"a\"", "5"];
        assert!(named.iter().any(|name| error.contains(name)), "{arguments:?}: {error}");
    }
    assert_eq!(circle.done(Note::s(json!(1)).task_id("x")).await["status"], "SUCCESS");
}

#[tokio::test(start_paused = true)]
async fn tasks_are_revoked_by_their_stamps_on_every_worker() {
    let circle = Circle::new();
    let control = circle.app.control();
    control.revoke_by_stamped_headers([("team", "blue")]).send().await.unwrap();
    let worker = circle.worker();
    let refused = stamped(&circle, Note::NAME, json!([1]), json!({"team": ["red", "blue"]})).await;
    is_revoked(&circle.stored(refused.id()).await, "revoked");
    let other = stamped(&circle, Note::NAME, json!([2]), json!({"team": "red", "x": "blue"})).await;
    assert_eq!(circle.stored(other.id()).await["status"], "SUCCESS");

    listens(&circle).await;
    let flag = control.revoke_by_stamped_headers([("team", json!(["red", "green"]))]);
    let flagged = "headers {'team': ['red', 'green']} flagged as revoked, but not terminated";
    assert_eq!(told(flag).await, json!({"ok": flagged}));
    let refused = stamped(&circle, Note::NAME, json!([3]), json!({"team": "green"})).await;
    is_revoked(&circle.stored(refused.id()).await, "revoked");
    worker.stop().await;
    assert_eq!(circle.probe.notes().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn running_tasks_are_terminated_by_their_stamps() {
    let circle = Circle::new();
    let control = circle.app.control();
    let worker = circle.worker();
    let ended = stamped(&circle, Hold::NAME, json!(["ended"]), json!({"team": "green"})).await;
    let goes_on = stamped(&circle, Hold::NAME, json!(["goes on"]), json!({"team": "red"})).await;
    circle.probe.noted(2).await;
    listens(&circle).await;

    let nobody = control.revoke_by_stamped_headers([("team", "nobody")]).terminate("SIGTERM");
    let reply = json!({"ok": "headers {'team': 'nobody'} were not terminated"});
    assert_eq!(told(nobody).await, reply);
    let green = control.revoke_by_stamped_headers([("team", json!(["blue", "green"]))]);
    let reply = json!({"ok": "headers defaultdict(<class 'set'>, {'team': {'green'}}) revoked"});
    assert_eq!(told(green.terminate("TERM")).await, reply);
    is_revoked(&circle.stored(ended.id()).await, "terminated");
    circle.probe.open(1);
    assert_eq!(circle.stored(goes_on.id()).await["status"], "SUCCESS");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_revoke_for_some_workers_is_not_remembered_by_the_client() {
    let circle = Circle::new();
    circle.app.control().revoke(["x"]).destination(["other@test"]).send().await.unwrap();
    let _worker = circle.worker();
    assert_eq!(circle.done(Note::s(json!(1)).task_id("x")).await["status"], "SUCCESS");
}

#[tokio::test(start_paused = true)]
async fn a_state_file_keeps_what_is_revoked_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("worker.state");
    let options = || WorkerOptions { state_db: Some(path.clone()), ..WorkerOptions::default() };
    let circle = Circle::new();
    let worker = circle.worker_with(options());
    listens(&circle).await;
    told(circle.app.control().revoke(["x"])).await;
    told(circle.app.control().revoke_by_stamped_headers([("team", "blue")])).await;
    let clock = circle.app.clock().value();
    worker.stop().await;
    let kept: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(kept["revoked"], json!(["x"]));
    assert_eq!(kept["revoked_stamps"], json!([["team", "blue"]]));
    assert!(kept["clock"].as_u64().unwrap() >= clock);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

    // Another broker, which knows nothing.
    let circle = Circle::new();
    let worker = circle.worker_with(options());
    circle.call(Note::s(json!(1)).task_id("x")).await;
    is_revoked(&circle.stored("x").await, "revoked");
    let stamped = stamped(&circle, Note::NAME, json!([1]), json!({"team": "blue"})).await;
    is_revoked(&circle.stored(stamped.id()).await, "revoked");
    assert!(circle.app.clock().value() > clock);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_state_file_of_pythons_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("worker.state");
    std::fs::write(&path, b"\x13\x57\x9a\xce\x00 a shelve").unwrap();
    let circle = Circle::new();
    let options = |path| WorkerOptions { state_db: Some(path), ..WorkerOptions::default() };
    let refused = circle.worker_with(options(path.clone())).ended().await.unwrap_err().to_string();
    assert!(refused.contains("worker.state`") && refused.contains("Python alone"), "{refused}");
    assert_eq!(std::fs::read(&path).unwrap(), b"\x13\x57\x9a\xce\x00 a shelve");
    let nowhere = folder.path().join("missing/worker.state");
    let refused = circle.worker_with(options(nowhere)).ended().await.unwrap_err().to_string();
    assert!(refused.contains("missing/worker.state`"), "{refused}");
}
