//! What is given for a `#[redact]` parameter reaches the task, and is shown nowhere.

use celery::{
    Context, Retry, Signature, TaskError,
    core::{message::Message, signature::Untyped},
    prelude::*,
};
use serde_json::{Map, Value, json};
use tracing::Level;

use crate::{
    harness::{Circle, Log, Probe, within},
    tasks::{Add, request},
};

/// What must not be shown.
const SECRET: &str = "s3cr3t-0f-4da";

/// Returns how long the password is that it was given, and notes what it sees of itself.
#[shared_task(bind, max_retries = 1)]
async fn login(
    task: &Context,
    user: String,
    #[redact] password: String,
    #[state] probe: Probe,
) -> Result<usize, TaskError> {
    let seen = request(task);
    probe.note(json!([seen["argsrepr"], seen["kwargsrepr"], format!("{:?}", task.request())]));
    match &*user {
        "retries" => return Err(task.retry().countdown(1).into()),
        "changes" => {
            let other = vec![json!("retries"), json!(password)];
            let retry: Retry = task.retry().countdown(1).args(other);
            probe.note(format!("{retry:?}"));
            return Err(retry.into());
        }
        "waits" => probe.pass().await,
        _ => {}
    }
    Ok(password.len())
}

/// The result of another task is its secret.
#[shared_task]
async fn keep(#[redact] pin: i64, user: String) -> i64 {
    let _ = user;
    pin
}

/// Fails unless it is a secret to the text, which must say something.
#[track_caller]
fn assert_kept(what: &str, text: &str) {
    assert!(!text.is_empty(), "{what}");
    assert!(!text.contains(SECRET), "{what}: {text}");
}

fn login_of(user: &str) -> Signature<Nothing, usize> {
    Login::s(user.to_owned(), SECRET.to_owned())
}

fn by_name(circle: &Circle, kwargs: bool) -> Signature<Untyped> {
    match kwargs {
        true => {
            circle.app.send_task(Login::NAME).kwargs(json!({ "user": "a", "password": SECRET }))
        }
        false => circle.app.send_task(Login::NAME).args(("a", SECRET)),
    }
}

#[test]
fn a_signature_shows_no_secret() {
    let circle = Circle::new();
    for (what, text) in [
        ("typed", format!("{:?}", login_of("ada"))),
        ("as data", format!("{:?}", login_of("ada").into_spec().unwrap())),
        ("by name", format!("{:?}", by_name(&circle, false))),
        ("by keyword", format!("{:?}", by_name(&circle, true))),
        ("as a callback", format!("{:?}", Add::s(1, 1).link(login_of("ada")))),
        ("partial", format!("{:?}", Login::partial(SECRET.to_owned()).untyped().into_spec())),
    ] {
        assert_kept(what, &text);
    }
    let spec = login_of("ada").into_spec().unwrap();
    assert!(format!("{spec:?}").contains(r#"args: [String("ada"), String("***")]"#), "{spec:?}");
    assert_eq!(spec.to_value()["args"], json!(["ada", SECRET]));
}

#[tokio::test(start_paused = true)]
async fn a_secret_reaches_its_task_and_is_shown_nowhere() {
    let circle = Circle::with(json!({ "result_extended": true, "task_track_started": true }));
    let log = Log::at(Level::TRACE);
    let worker = circle.worker();
    let mut documents = Vec::new();
    let mut run = async |call: Signature<Untyped>, expected: Value| {
        let document = circle.done(call).await;
        assert_eq!(document["status"], expected["status"], "{document}");
        if let Some(result) = expected.get("result") {
            assert_eq!(document["result"], *result);
        }
        documents.push(document);
    };
    let length = || json!({ "status": "SUCCESS", "result": SECRET.len() });
    let failure = || json!({ "status": "FAILURE" });
    run(login_of("ada").untyped(), length()).await;
    run(by_name(&circle, false), length()).await;
    run(by_name(&circle, true), length()).await;
    // As a caller in Python has it, which knows of no secret.
    let told = |call: Signature<Untyped>| {
        call.argsrepr(format!("('a', '{SECRET}')")).kwargsrepr(format!("{{'x': '{SECRET}'}}"))
    };
    run(told(by_name(&circle, false)), length()).await;
    // The items of a map are arguments of the task that it calls.
    let each = json!({ "task": { "task": Login::NAME }, "it": [["ada", SECRET], ["eve", SECRET]] });
    let mapped = circle.app.send_task("celery.starmap").kwargs(each);
    run(told(mapped), json!({ "status": "SUCCESS", "result": [SECRET.len(), SECRET.len()] })).await;
    for user in ["retries", "changes"] {
        run(told(login_of(user).untyped()), failure()).await;
    }
    // What does not fit.
    let call = |args: Value, kwargs: Value| {
        circle.app.send_task(Login::NAME).args(args.as_array().unwrap()).kwargs(kwargs)
    };
    run(call(json!(["ada", { "x": SECRET }]), json!({})), failure()).await;
    run(call(json!(["ada", [SECRET]]), json!({})), failure()).await;
    run(call(json!(["ada", "x", SECRET]), json!({})), failure()).await;
    run(call(json!(["ada", "x"]), json!({ "pasword": SECRET })), failure()).await;
    run(call(json!(["ada", "x"]), json!({ "password": SECRET })), failure()).await;
    let linked = circle.done(Add::s(20, 1).link(Keep::partial("ada".to_owned()))).await;
    let child = linked["children"][0][0][0].as_str().unwrap();
    assert_eq!(circle.stored(child).await["args"], json!(["***", "ada"]));
    documents.push(circle.done(Add::s(1, 1).link(login_of("ada"))).await);
    worker.stop().await;
    for document in &documents {
        assert_kept("a result", &document.to_string());
    }
    for note in circle.probe.notes() {
        assert_kept("what a task sees of its request", &note.to_string());
    }
    let said = log.take();
    assert!(said.contains("DEBUG") && said.contains("Task accepted"), "{said}");
    assert_kept("the log", &said);
}

#[tokio::test(start_paused = true)]
async fn events_show_no_secret() {
    let circle =
        Circle::with(json!({ "task_send_sent_event": true, "worker_send_task_events": true }));
    let mut receiver = circle.app.events().receive("#").await.unwrap();
    let worker = circle.worker();
    circle.done(login_of("ada")).await;
    // As a caller in Python has it, which knows of no secret.
    let told = by_name(&circle, false).argsrepr(format!("('a', '{SECRET}')"));
    let told = circle.call(told.kwargsrepr("{}")).await;
    circle.stored(told.id()).await;
    circle.done(login_of("retries")).await;
    let mut kinds = Vec::new();
    let mut failures = 0;
    while failures == 0 {
        let event = within(receiver.next()).await.unwrap();
        assert_kept(event.kind(), &event.to_value().to_string());
        failures += usize::from(event.kind() == "task-failed");
        kinds.push(event.kind().to_owned());
    }
    for kind in ["task-sent", "task-received", "task-started", "task-succeeded", "task-retried"] {
        assert!(kinds.iter().any(|it| it == kind), "{kind}: {kinds:?}");
    }
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn remote_control_shows_no_secret() {
    let circle = Circle::new();
    let options = celery::WorkerOptions { concurrency: Some(1), ..Default::default() };
    let worker = circle.worker_with(options);
    circle.call(login_of("waits")).await;
    circle.probe.noted(1).await;
    let reserved = circle.call(by_name(&circle, true)).await;
    circle.call(login_of("later").countdown(1000)).await;
    let mut asked = String::new();
    for (method, arguments) in [
        ("active", json!({})),
        ("active", json!({ "safe": true })),
        ("reserved", json!({})),
        ("scheduled", json!({})),
        ("query_task", json!({ "ids": [reserved.id()] })),
    ] {
        let Value::Object(arguments) = arguments else { panic!("a map") };
        let replies = circle.app.control().broadcast(method, arguments).replies().await.unwrap();
        let reply = json!(replies.iter().map(|(_, reply)| reply).collect::<Vec<_>>()).to_string();
        assert!(reply.contains("***"), "{method}: {reply}");
        asked.push_str(&reply);
    }
    assert_kept("remote control", &asked);
    circle.probe.open(1);
    circle.stored(reserved.id()).await;
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_read_is_told_of_without_what_is_in_it() {
    let circle = Circle::new();
    let log = Log::at(Level::TRACE);
    let worker = circle.worker();
    let headers = |id: &str| {
        let headers = json!({
            "task": Login::NAME, "id": id, "argsrepr": format!("('a', '{SECRET}')"),
        });
        headers.as_object().unwrap().clone()
    };
    for (id, body, content_type) in [
        ("broken", format!("[[\"a\", \"{SECRET}\"], {{"), "application/json"),
        ("short", format!("[[\"a\", \"{SECRET}\"]]"), "application/json"),
        ("shapeless", format!("[\"{SECRET}\", {{}}, {{}}]"), "application/json"),
        ("embedded", format!("[[], {{}}, \"{SECRET}\"]"), "application/json"),
        ("refused", SECRET.to_owned(), "application/x-python-serialize"),
    ] {
        let message = Message {
            body: body.into(),
            content_type: Some(content_type.to_owned()),
            content_encoding: Some("utf-8".to_owned()),
            headers: headers(id).into(),
            ..Message::default()
        };
        assert_kept(id, &format!("{message:?}"));
        circle.push("celery", message).await;
        assert_kept(id, &circle.stored(id).await.to_string());
    }
    worker.stop().await;
    let kept = circle.quarantined("celery").await;
    assert_eq!(kept.len(), 5);
    assert_kept("what is quarantined", &format!("{kept:?}"));
    assert_kept("the log", &log.take());
}

#[tokio::test(start_paused = true)]
async fn a_callback_carries_what_is_to_be_shown_of_it_to_workers_that_do_not_have_the_task() {
    let circle = Circle::new();
    circle.call(Add::s(1, 1).link(login_of("ada")).link(Keep::partial("ada".to_owned()))).await;
    let mut consumer = circle
        .broker()
        .await
        .consume(&[celery::core::broker::Queue::named("celery")], None)
        .await
        .unwrap();
    let delivery = consumer.next().await.unwrap().remove(0);
    let message = delivery.message.as_ref().unwrap();
    let body: Value = serde_json::from_slice(&message.body).unwrap();
    let callbacks = body[2]["callbacks"].as_array().unwrap();
    let shown = |index: usize| {
        let options: &Map<String, Value> = callbacks[index]["options"].as_object().unwrap();
        (options["argsrepr"].clone(), options["kwargsrepr"].clone())
    };
    assert_eq!(shown(0), (json!("('ada', '***')"), json!("{}")));
    assert_eq!(shown(1), (json!("(..., 'ada',)"), json!("{}")));
    delivery.ack().await.unwrap();
}
