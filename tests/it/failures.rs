//! Panics, `Ignore`, `Reject`, and tasks that nobody knows: none of them ends the worker.

use serde_json::json;

use crate::{harness::Circle, tasks::*};

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_with_its_message_place_and_backtrace() {
    let circle = Circle::new();
    let worker = circle.worker();
    let panic = async |call: celery::Signature<_, ()>, message: &str| {
        let document = circle.done(call).await;
        assert_eq!(document["status"], "FAILURE");
        assert_eq!(
            document["result"],
            json!({"exc_type": "Panic", "exc_message": [message], "exc_module": "rust"})
        );
        let traceback = document["traceback"].as_str().unwrap();
        assert!(
            traceback
                .starts_with("Traceback (most recent call last):\npanicked at tests/it/tasks.rs:"),
            "{traceback}"
        );
        assert!(traceback.contains("it::tasks::"), "{traceback}");
        assert!(traceback.ends_with(&format!("rust.Panic: {message}\n")), "{traceback}");
        // It goes on with the next.
        assert_eq!(circle.done(Add::s(1, 1)).await["result"], 2);
    };
    panic(Panics::s(), "at the disco").await;
    panic(PanicsOnAThread::s("circus".to_owned()), "at the circus").await;
    panic(PanicsWithAValue::s(), "a value").await;
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_ignored_run_leaves_no_trace_and_calls_nobody() {
    let circle = Circle::new();
    let worker = circle.worker();
    let result = circle
        .call(Ignores::s().link(Note::si(json!("link"))).link_error(Note::si(json!("error"))))
        .await;
    circle.done(Add::s(1, 1)).await;
    worker.stop().await;
    assert_eq!(circle.stored_now(result.id()).await, None);
    assert_eq!(circle.probe.notes(), [] as [serde_json::Value; 0]);
    assert_eq!(circle.waiting("celery").await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_message_is_dropped_or_comes_again() {
    let circle = Circle::new();
    let worker = circle.worker();
    let document = circle.done(Rejects::s()).await;
    assert_eq!(document["result"]["exc_message"], json!(["because", false]));
    assert_eq!(circle.done(RejectsOnce::s()).await["result"], "second time");
    worker.stop().await;
    assert_eq!(circle.waiting("celery").await, 0);
    assert_eq!(circle.quarantined("celery").await, []);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_nobody_knows_fails_and_its_message_is_kept() {
    let circle = Circle::new();
    let worker = circle.worker();
    let call = circle.app.send_task("no.such.task").args((1, "a")).header("x", 1);
    let document = circle.done(call).await;
    assert_eq!(
        document["result"],
        json!({"exc_type": "NotRegistered", "exc_message": ["no.such.task"], "exc_module": "celery.exceptions"})
    );
    let ignored = circle.app.send_task("no.such.task").ignore_result(true).send().await.unwrap();
    circle.done(Add::s(1, 1)).await;
    worker.stop().await;
    assert_eq!(circle.stored_now(ignored.id()).await, None);
    let kept = circle.quarantined("celery").await;
    assert_eq!(kept.len(), 2);
    assert!(
        kept[0]
            .reason
            .starts_with("task `no.such.task` is not registered on w1@test; link the crate"),
        "{}",
        kept[0].reason
    );
    // It can be put back as it is once somebody knows it.
    let message = celery::core::envelope::from_json(&kept[0].raw).unwrap();
    assert_eq!(message.headers["task"], "no.such.task");
    assert_eq!(message.headers["id"], document["task_id"]);
    assert_eq!(message.headers["x"], 1);
}
