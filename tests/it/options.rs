//! The effect of each option of a task, and of the settings that change them. Those of acknowledgement, retries and
//! limits have files of their own.

mod tasks;

use celery::{Celery, Error, Task};
use serde_json::{Value, json};
use tokio::time::Instant;

use self::tasks::*;
use crate::{
    acks::{End, end},
    harness::{Circle, Log},
    tasks::Add,
};

#[tokio::test(start_paused = true)]
async fn a_message_is_sent_as_the_options_of_its_task_say() {
    let circle = Circle::with(json!({ "accept_content": ["json", "msgpack"] }));
    let _worker = circle.worker();
    let request = circle.done(Sent::s(json!("x"))).await["result"].clone();
    assert_eq!(request["priority"], 6);
    assert_eq!(request["content_type"], "application/x-msgpack");
    assert_eq!(request["compression"], "application/zstd");
    assert_eq!(request["expiration"], "60000");
    assert_eq!(request["shadow"], "a shadow");
    let call = Sent::s(json!("x")).priority(2).serializer("json").compression("zlib").expires(5);
    let request = circle.done(call.shadow("the call").argsrepr("(…)").kwargsrepr("{…}")).await;
    let request = &request["result"];
    assert_eq!(request["priority"], 2);
    assert_eq!(request["content_type"], "application/json");
    assert_eq!(request["compression"], "application/x-gzip");
    assert_eq!(request["expiration"], "5000");
    assert_eq!(request["shadow"], "the call");
    assert_eq!((&request["argsrepr"], &request["kwargsrepr"]), (&json!("(…)"), &json!("{…}")));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_begun_before_its_task_expires_is_void() {
    let circle = Circle::with(json!({ "accept_content": ["json", "msgpack"] }));
    let result = circle.call(Sent::s(json!("x"))).await;
    tokio::time::advance(std::time::Duration::from_secs(61)).await;
    let _worker = circle.worker();
    let document = circle.stored(result.id()).await;
    assert_eq!(document["status"], "REVOKED");
    assert_eq!(document["result"]["exc_message"], json!(["expired"]));
}

#[tokio::test(start_paused = true)]
async fn a_shadow_is_a_text_or_made_of_the_arguments_and_is_what_the_log_calls_the_task() {
    let circle = Circle::new();
    let log = Log::start();
    let _worker = circle.worker();
    let shadow = async |name: &str| {
        circle.done(Shadowed::s(name.to_owned())).await["result"]["shadow"].clone()
    };
    assert_eq!(shadow("Peter").await, "shadowed by Peter");
    assert_eq!(shadow("").await, "nobody");
    let log = log.take();
    assert!(log.contains("Task shadowed by Peter["), "{log}");
    assert!(!log.contains("Task it.options"), "{log}");
}

#[tokio::test(start_paused = true)]
async fn an_error_that_a_task_throws_is_logged_without_alarm() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let log = Log::start();
    let document = circle.done(Throws::s("cheese".to_owned())).await;
    assert_eq!(document["status"], "FAILURE");
    assert!(document["traceback"].as_str().unwrap().contains("tests/it/options/tasks.rs"));
    let said = log.take();
    assert!(said.contains(" INFO"), "{said}");
    assert!(said.contains("raised expected: OutOfCheese: no cheese"), "{said}");
    assert!(!said.contains("ERROR") && !said.contains("Traceback"), "{said}");
    circle.done(Throws::s("milk".to_owned())).await;
    let said = log.take();
    assert!(said.contains("ERROR") && said.contains("Traceback"), "{said}");
    assert!(said.contains("raised unexpected: Error: milk"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn children_are_kept_where_the_task_leaves_a_trail() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let children = async |call: celery::Signature<_, ()>| {
        let document = circle.done(call.link(Add::si(2, 2))).await;
        document["children"].as_array().unwrap().len()
    };
    assert_eq!(children(Trails::s()).await, 2);
    assert_eq!(children(Trackless::s()).await, 0);
}

#[tokio::test(start_paused = true)]
async fn as_much_of_a_result_is_shown_as_the_task_says() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let log = Log::start();
    circle.done(Verbose::s()).await;
    let said = log.take();
    assert!(said.contains(": 'one two three four...'"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_late_failure_is_acknowledged_or_not_by_the_older_option_too() {
    assert_eq!(end(json!({}), Unacknowledged::s()).await, End::Rejected);
    assert_eq!(end(json!({}), Acknowledged::s()).await, End::Acknowledged);
    assert_eq!(end(json!({}), HardUnacknowledged::s()).await, End::PutBack);
    // As by Celery, the settings that say more are asked first.
    let settings = json!({ "task_acks_on_failure": true, "task_acks_on_timeout": true });
    assert_eq!(end(settings.clone(), Unacknowledged::s()).await, End::Acknowledged);
    assert_eq!(end(settings, HardUnacknowledged::s()).await, End::Acknowledged);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_that_the_older_option_does_not_acknowledge_comes_again() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let start = Instant::now();
    circle.call(HardUnacknowledged::s()).await;
    assert_eq!(circle.probe.noted(2).await, ["hard_unacknowledged"; 2]);
    assert_eq!(start.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_as_long_as_its_task_says() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let start = Instant::now();
    assert_eq!(circle.done(Delayed::s()).await["result"], 1);
    assert_eq!(start.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn an_error_that_is_not_to_be_retried_fails_at_once_whatever_it_is_wrapped_in() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let start = Instant::now();
    assert_eq!(circle.done(NeverRetried::s()).await["status"], "FAILURE");
    assert_eq!(start.elapsed().as_secs(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_settings_change_options_of_tasks_on_both_sides() {
    let circle = Circle::with(json!({ "accept_content": ["json", "yaml"], "task_annotations": {
        "it.options.tasks.*": { "default_retry_delay": 60, "priority": 1 },
        "it.options.tasks.plain": {
            "default_retry_delay": 3, "serializer": "yaml", "queue": "annotated", "shadow": "an",
        },
        "elsewhere.*": { "queue": "pictures" },
        "*": { "track_started": true },
    }}));
    let options = celery::WorkerOptions {
        queues: Some(vec!["celery".to_owned(), "annotated".to_owned()]),
        ..Default::default()
    };
    let _worker = circle.worker_with(options);
    let start = Instant::now();
    let document = circle.done(Plain::s()).await;
    assert_eq!(start.elapsed().as_secs(), 3);
    let request = &document["result"];
    assert_eq!(request["routing_key"], "annotated");
    assert_eq!(request["content_type"], "application/x-yaml");
    assert_eq!(request["shadow"], "an");
    // By name, and as a callback.
    let called = circle.app.send_task(Plain::NAME).send().await.unwrap();
    assert_eq!(circle.stored(called.id()).await["result"]["routing_key"], "annotated");
    let document = circle.done(Add::s(1, 1).link(Plain::si())).await;
    let child = document["children"][0][0][0].as_str().unwrap();
    assert_eq!(circle.stored(child).await["result"]["routing_key"], "annotated");
    // One of which this program knows the types alone.
    circle.call(Resize::s("a.png".to_owned())).await;
    assert_eq!(circle.waiting("pictures").await, 1);
    // One that says itself that it is not tracked.
    let result = circle.call(Untracked::s()).await;
    let started = async {
        while circle.stored_now(result.id()).await.is_none() {
            tokio::task::yield_now().await;
        }
    };
    crate::harness::within(started).await;
    assert_eq!(circle.stored_now(result.id()).await.unwrap()["status"], "STARTED");
}

#[test]
fn an_annotation_that_cannot_be_used_is_an_error_that_names_task_and_option() {
    let check = |annotations: Value, expected: &str| {
        let builder = Celery::builder("test").environment_from([]);
        let error = builder.set("task_annotations", annotations).build().unwrap_err();
        assert!(matches!(error, Error::Config(_)), "{error:?}");
        assert_eq!(error.to_string(), format!("`task_annotations` cannot be used: {expected}"));
    };
    check(
        json!({ "proj.add": { "rate_limt": "1/s" } }),
        "the annotation of `proj.add`: a task has no option `rate_limt`, did you mean `rate_limit`?",
    );
    check(
        json!([{ "*": { "time_limit": "long" } }]),
        "the annotation of `*`: `time_limit` expects a number of seconds, but found \"long\"",
    );
}
