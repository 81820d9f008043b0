//! Every option of a call, as the task sees it.

use celery::core::broker::Prefetch;
use serde_json::{Value, json};

use crate::{harness::Circle, tasks::*};

/// Runs the call, and returns what the task saw of its request.
async fn seen<I: celery::core::signature::Complete, O>(
    circle: &Circle,
    call: celery::Signature<I, O>,
) -> Value {
    let before = circle.probe.notes().len();
    circle.call(call).await;
    circle.probe.noted(before + 1).await[before]["request"].clone()
}

#[tokio::test(start_paused = true)]
async fn a_plain_call_is_seen_as_celery_sends_it() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let request = seen(&circle, Note::s(json!("x"))).await;
    assert_eq!(request["root_id"], request["id"]);
    assert_eq!(request["correlation_id"], request["id"]);
    assert_eq!(request["reply_to"], circle.app.reply_id());
    let expected = json!({
        "task": "it.tasks.note", "args": ["x"], "kwargs": {}, "parent_id": null, "group": null, "group_index": null,
        "retries": 0, "eta": null, "expires": null, "timelimit": [null, null], "shadow": null, "ignore_result": false,
        "argsrepr": "('x',)", "kwargsrepr": "{}", "headers": {}, "priority": 0, "expiration": null,
        "routing_key": "celery", "redelivered": false, "content_type": "application/json", "compression": null,
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(request[key], *value, "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_option_of_a_call_reaches_the_task() {
    let circle = Circle::with(json!({"accept_content": ["json", "msgpack", "yaml"]}));
    let _worker = circle.worker();
    let call = || Note::s(json!("x"));
    let check = async |call, expected: Value| {
        let request = seen(&circle, call).await;
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(request[key], *value, "{key}");
        }
    };
    check(call().task_id("my-own-id"), json!({"id": "my-own-id", "root_id": "my-own-id"})).await;
    check(call().shadow("pretty name"), json!({"shadow": "pretty name", "task": "it.tasks.note"}))
        .await;
    check(call().priority(6), json!({"priority": 6})).await;
    check(
        call().header("x-trace", "abc").header("nested", json!({"a": 1})),
        json!({"headers": {"x-trace": "abc", "nested": {"a": 1}}}),
    )
    .await;
    check(call().time_limit(60).soft_time_limit(50.5), json!({"timelimit": [60, 50.5]})).await;
    check(call().ignore_result(true), json!({"ignore_result": true})).await;
    check(call().routing_key("celery"), json!({"routing_key": "celery"})).await;
    check(call().queue("celery"), json!({"routing_key": "celery"})).await;
    for (name, mime) in [
        ("json", "application/json"),
        ("msgpack", "application/x-msgpack"),
        ("yaml", "application/x-yaml"),
    ] {
        check(call().serializer(name), json!({"content_type": mime, "args": ["x"]})).await;
    }
    for (name, mime) in [
        ("zlib", "application/x-gzip"),
        ("bzip2", "application/x-bz2"),
        ("zstd", "application/zstd"),
    ] {
        check(call().compression(name), json!({"compression": mime, "args": ["x"]})).await;
    }
    let request = seen(&circle, call().expires(60)).await;
    assert_eq!(request["expiration"], "60000");
    let expires: jiff::Timestamp = request["expires"].as_str().unwrap().parse().unwrap();
    assert!(expires > celery::core::clock::now());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_due_waits_in_the_broker_and_runs_when_it_is() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let start = tokio::time::Instant::now();
    let later = circle.call(Note::s(json!("tomorrow")).countdown(86_400)).await;
    let at = celery::core::clock::now() + std::time::Duration::from_secs(3600);
    circle.call(Note::s(json!("in an hour")).eta(at)).await;
    circle.call(Note::s(json!("now")).countdown(-5)).await;
    let notes = circle.probe.noted(2).await;
    assert_eq!((&notes[0]["note"], &notes[1]["note"]), (&json!("now"), &json!("in an hour")));
    assert_eq!(start.elapsed().as_secs(), 3600);
    assert_eq!(later.state().await.unwrap().as_str(), "PENDING");
    assert_eq!(later.get().await.unwrap(), json!("tomorrow"));
    assert!((86_400..86_402).contains(&start.elapsed().as_secs()));
}

#[tokio::test(start_paused = true)]
async fn what_was_not_begun_in_time_is_revoked() {
    let circle = Circle::new();
    let result = circle.call(Note::s(json!("x")).expires(10)).await;
    tokio::time::advance(std::time::Duration::from_secs(11)).await;
    let _worker = circle.worker();
    let document = circle.stored(result.id()).await;
    assert_eq!(document["status"], "REVOKED");
    // One that waits for a slot is looked at again when it has one.
    for name in ["a", "b"] {
        circle.call(Hold::s(name.to_owned())).await;
    }
    circle.probe.noted(2).await;
    let waits = circle.call(Add::s(1, 1).expires(10)).await;
    let ignored = circle.call(Ignored::s(1).expires(10)).await;
    tokio::time::advance(std::time::Duration::from_secs(11)).await;
    circle.probe.open(2);
    assert_eq!(circle.stored(waits.id()).await["status"], "REVOKED");
    circle.done(Add::s(1, 1)).await;
    assert_eq!(circle.stored_now(ignored.id()).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_countdown_that_no_clock_can_tell_does_no_harm() {
    let circle = Circle::new();
    let worker = circle.worker();
    for ages in [1e18, f64::INFINITY] {
        let result = circle.call(Add::s(1, 1).countdown(ages)).await;
        assert_eq!(circle.done(Add::s(1, 1).countdown(f64::NAN)).await["result"], 2);
        assert_eq!(result.state().await.unwrap().as_str(), "PENDING");
    }
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_serializer_that_does_not_exist_is_named() {
    let circle = Circle::new();
    let error = |result: Result<_, celery::Error>| {
        result.map(|_: celery::AsyncResult<i64>| ()).unwrap_err().to_string()
    };
    let call = || Add::s(1, 1).with_app(&circle.app);
    assert!(error(call().serializer("jsn").apply_async().await).contains("jsn"));
    assert!(error(call().compression("zup").apply_async().await).contains("zup"));
    let bad = circle.app.send_task("a").args(3).send().await.unwrap_err();
    assert!(bad.to_string().contains("a tuple or a list"));
}

#[tokio::test(start_paused = true)]
async fn the_priority_is_the_callers_or_else_the_tasks_route_or_else_that_of_the_parent() {
    let settings = json!({
        "task_inherit_parent_priority": true,
        "task_routes": {"it.tasks.add": {"priority": 7}},
        "task_default_priority": 1,
    });
    let circle = Circle::with(settings);
    let priority = async |queue: &str| {
        let broker = circle.broker().await;
        let queues = [celery::core::broker::Queue::named(queue)];
        let mut consumer = broker.consume(&queues, Prefetch::None).await.unwrap();
        let delivery = consumer.next().await.unwrap().remove(0);
        let priority = delivery.message.as_ref().unwrap().properties.priority;
        delivery.ack().await.unwrap();
        priority
    };
    circle.call(Mul::s(1, 1)).await;
    assert_eq!(priority("celery").await, Some(1));
    circle.call(Add::s(1, 1)).await;
    assert_eq!(priority("celery").await, Some(7));
    circle.call(Add::s(1, 1).priority(9)).await;
    assert_eq!(priority("celery").await, Some(9));
    let worker = circle.worker();
    // Its child has a route of its own, and its callback has none.
    circle.done(Spawn::s(1).priority(4).link(Note::si(json!("child")))).await;
    assert_eq!(circle.probe.noted(1).await[0]["request"]["priority"], 4);
    worker.stop().await;
}
