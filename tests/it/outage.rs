//! Lost connections: to the broker while consuming, settling and publishing, and to the result backend.

use std::time::Duration;

use celery::{
    AsyncResult, Error, WorkerOptions,
    core::{backend::BackendError, broker::BrokerError, conformance::faulty::Call},
};
use serde_json::{Value, json};
use tokio::time::{Instant, advance};

use crate::{
    harness::{Circle, faulty},
    tasks::*,
};

fn one_slot() -> WorkerOptions {
    WorkerOptions { concurrency: Some(1), ..WorkerOptions::default() }
}

fn numbers(circle: &Circle) -> Vec<Value> {
    circle.probe.notes().iter().filter_map(|note| note.get("note").cloned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_worker_consumes_again_after_a_lost_connection() {
    let (circle, servers) = faulty(json!({}));
    let worker = circle.worker_with(one_slot());
    for number in 0..5 {
        servers.broker.lose_connection_on(Call::Next, 1);
        circle.call(Note::s(json!(number))).await;
        circle.probe.noted(number + 1).await;
    }
    worker.stop().await;
    assert_eq!(numbers(&circle), [0, 1, 2, 3, 4]);
    assert_eq!(servers.broker.calls(Call::Consume), 6);
    assert_eq!(circle.waiting("celery").await, 0);
}

#[tokio::test(start_paused = true)]
async fn late_tasks_are_stopped_with_the_connection_if_the_settings_say_so() {
    let setting = "worker_cancel_long_running_tasks_on_connection_loss";
    let (circle, servers) = faulty(json!({ setting: true }));
    let worker = circle.worker();
    let late = circle.call(HoldLate::s("late".to_owned())).await;
    circle.call(Hold::s("early".to_owned())).await;
    circle.probe.noted(2).await;
    servers.broker.lose_connection_on(Call::Next, 1);
    circle.call(Note::s(json!(1))).await;
    let notes = circle.probe.noted(3).await;
    assert_eq!(notes[..3], ["begin late", "begin early", "dropped late"]);
    circle.probe.noted(5).await;
    let stored = circle.stored_now(late.id()).await.unwrap();
    assert_eq!(stored["status"], "RETRY");
    assert_eq!(
        stored["result"],
        json!({"exc_type": "Retry", "exc_message": ["cancelled by Celery"], "exc_module": "celery.exceptions"})
    );
    circle.probe.open(2);
    assert_eq!(circle.stored(late.id()).await["result"], "late");
    worker.stop().await;
    let notes = circle.probe.notes();
    for once in ["begin late again", "end late", "end early"] {
        assert_eq!(notes.iter().filter(|note| **note == once).count(), 1, "{once} in {notes:?}");
    }
    assert_eq!(numbers(&circle), [1]);
    assert_eq!(circle.waiting("celery").await, 0);
}

#[tokio::test(start_paused = true)]
async fn late_tasks_go_on_without_the_connection_unless_the_settings_say_otherwise() {
    let (circle, servers) = faulty(json!({}));
    let worker = circle.worker();
    circle.call(HoldLate::s("late".to_owned())).await;
    circle.probe.noted(1).await;
    servers.broker.lose_connection_on(Call::Next, 1);
    circle.call(Note::s(json!(1))).await;
    circle.probe.noted(2).await;
    circle.probe.open(1);
    worker.stop().await;
    let notes = circle.probe.notes();
    assert!(notes.contains(&json!("end late")) && !notes.contains(&json!("dropped late")));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_gives_up_on_its_broker_lets_what_runs_end_first() {
    let (circle, servers) = faulty(json!({"broker_connection_retry": false}));
    let mut worker = circle.worker();
    // It is acknowledged already: nobody else would run it.
    let early = circle.call(Hold::s("early".to_owned())).await;
    circle.probe.noted(1).await;
    servers.broker.lose_connection_on(Call::Next, 1);
    circle.call(Note::s(json!(1))).await;
    advance(Duration::from_secs(60)).await;
    assert!(!worker.has_ended());
    circle.probe.open(1);
    let error = worker.ended().await.unwrap_err();
    assert!(matches!(error, Error::Broker(BrokerError::ConnectionLost(_))), "{error:?}");
    assert_eq!(circle.probe.notes(), ["begin early", "end early"]);
    assert_eq!(circle.stored(early.id()).await["result"], "early");
}

#[tokio::test(start_paused = true)]
async fn what_waited_for_a_slot_when_the_connection_was_lost_runs_once() {
    let (circle, servers) = faulty(json!({}));
    let worker = circle.worker_with(one_slot());
    circle.call(Hold::s("first".to_owned())).await;
    circle.probe.noted(1).await;
    for number in 0..3 {
        circle.call(Note::s(json!(number))).await;
    }
    tokio::task::yield_now().await;
    servers.broker.lose_connection_on(Call::Next, 1);
    circle.call(Note::s(json!(3))).await;
    advance(Duration::from_secs(60)).await;
    circle.probe.open(1);
    circle.probe.noted(6).await;
    worker.stop().await;
    let mut numbers = numbers(&circle);
    numbers.sort_by_key(Value::as_i64);
    assert_eq!(numbers, [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_acknowledgement_was_lost_runs_when_it_comes_again_and_not_twice() {
    let (circle, servers) = faulty(json!({}));
    let worker = circle.worker();
    servers.broker.lose_connection_on(Call::Settle, 1);
    let result = circle.call(Note::s(json!(1))).await;
    assert_eq!(result.get().await.unwrap(), 1);
    worker.stop().await;
    assert_eq!(numbers(&circle), [1]);
    assert_eq!(circle.waiting("celery").await, 0);
}

#[tokio::test(start_paused = true)]
async fn losses_that_lie_apart_do_not_add_up() {
    let (circle, servers) = faulty(json!({"broker_connection_max_retries": 2}));
    let mut worker = circle.worker();
    circle.done(Add::s(1, 1)).await;
    for _ in 0..5 {
        advance(Duration::from_secs(3600)).await;
        servers.broker.lose_connection_on(Call::Next, 1);
        circle.done(Add::s(1, 1)).await;
    }
    assert!(!worker.has_ended());
    for nth in 1..10 {
        servers.broker.lose_connection_on(Call::Consume, nth);
    }
    servers.broker.lose_connection_on(Call::Next, 1);
    circle.call(Add::s(1, 1)).await;
    let error = worker.ended().await.unwrap_err();
    assert!(matches!(error, Error::Broker(BrokerError::ConnectionLost(_))), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_waits_for_a_broker_that_is_not_there_yet_unless_it_is_told_not_to() {
    let (circle, servers) = faulty(json!({}));
    for nth in 1..=3 {
        servers.broker.lose_connection_on(Call::Consume, nth);
    }
    let start = Instant::now();
    let _worker = circle.worker();
    assert_eq!(circle.done(Add::s(1, 1)).await["result"], 2);
    // At once, and then after pauses that grow to a second.
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());

    let (circle, servers) = faulty(json!({"broker_connection_retry_on_startup": false}));
    servers.broker.lose_connection_on(Call::Consume, 1);
    assert!(circle.worker().ended().await.is_err());
    // A connection that there was is made anew.
    let worker = circle.worker();
    servers.broker.lose_connection_on(Call::Next, 1);
    assert_eq!(circle.done(Add::s(1, 1)).await["result"], 2);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_is_published_again_as_the_policy_says() {
    let policy =
        json!({"max_retries": 3, "interval_start": 1, "interval_step": 2, "interval_max": 4});
    let (circle, servers) = faulty(json!({"task_publish_retry_policy": policy}));
    for nth in 1..=3 {
        servers.broker.lose_connection_on(Call::Publish, nth);
    }
    let start = Instant::now();
    circle.call(Add::s(1, 1)).await;
    assert_eq!(start.elapsed().as_secs(), 1 + 3 + 4);
    assert_eq!(circle.waiting("celery").await, 1);
    for nth in 1..=4 {
        servers.broker.lose_connection_on(Call::Publish, nth);
    }
    let error = Add::s(1, 1).with_app(&circle.app).apply_async().await.unwrap_err();
    assert!(matches!(error, Error::Broker(BrokerError::ConnectionLost(_))), "{error}");

    let (circle, servers) = faulty(json!({"task_publish_retry": false}));
    servers.broker.lose_connection_on(Call::Publish, 1);
    assert!(Add::s(1, 1).with_app(&circle.app).apply_async().await.is_err());
    assert_eq!(servers.broker.calls(Call::Publish), 1);
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_task_is_published_when_the_broker_is_back() {
    let (circle, servers) = faulty(json!({}));
    let worker = circle.worker();
    circle.call(Add::s(1, 1).link(Note::partial().untyped())).await;
    let sent = circle.call(Flaky::s(1).task_id("flaky")).await;
    for nth in 1..=20 {
        servers.broker.lose_connection_on(Call::Publish, nth);
    }
    assert_eq!(sent.get().await.unwrap(), 1);
    circle.probe.noted(3).await;
    worker.stop().await;
    assert_eq!(numbers(&circle), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_result_is_stored_when_the_backend_is_back_and_meanwhile_no_more_tasks_run_than_there_are_slots()
 {
    let (circle, servers) = faulty(json!({}));
    let worker = circle.worker();
    servers.backend.fail(usize::MAX);
    let mut results = Vec::new();
    for number in 0..10 {
        results.push(circle.call(Note::s(json!(number))).await);
    }
    advance(Duration::from_secs(1)).await;
    for _ in 0..100 {
        advance(Duration::from_secs(30)).await;
    }
    let meanwhile = numbers(&circle).len();
    assert!((2..=4).contains(&meanwhile), "{meanwhile} tasks ran");
    servers.backend.fail(0);
    for (result, number) in results.iter().zip(0..) {
        assert_eq!(result.get().await.unwrap(), number);
    }
    worker.stop().await;
    assert_eq!(numbers(&circle).len(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_task_does_not_wait_until_it_can_be_told_that_it_has_started() {
    let (circle, servers) = faulty(json!({"task_track_started": true}));
    let worker = circle.worker();
    servers.backend.fail(1);
    assert_eq!(circle.done(Add::s(1, 1)).await["result"], 2);
    assert_eq!(servers.backend.stores(), 2);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_late_message_whose_result_could_not_be_stored_is_handed_back_by_a_worker_that_must_stop()
{
    let (circle, servers) = faulty(json!({"task_acks_late": true}));
    let mut worker = circle.worker();
    servers.backend.fail(usize::MAX);
    let result = circle.call(Note::s(json!(1))).await;
    circle.probe.noted(1).await;
    worker.shutdown.warm.cancel();
    advance(Duration::from_secs(60)).await;
    assert!(!worker.has_ended(), "a warm shutdown waits for the backend");
    worker.shutdown.cold.cancel();
    worker.ended().await.unwrap();
    assert_eq!(circle.waiting("celery").await, 1);
    servers.backend.fail(0);
    let _worker = circle.worker();
    assert_eq!(result.get().await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_result_backend_tasks_run_and_asking_is_an_error_that_says_so() {
    let url = crate::harness::memory_url();
    let circle = Circle::build(|builder| builder.broker(&url), &json!({}));
    let worker = circle.worker();
    let result = circle.call(Note::s(json!(1)).link(Note::partial().untyped())).await;
    circle.probe.noted(2).await;
    worker.stop().await;
    let error = result.get().await.unwrap_err();
    assert!(matches!(error, Error::Backend(BackendError::Disabled)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_a_result_asks_again_where_the_settings_say_so() {
    let asked = async |settings| {
        let (circle, servers) = faulty(settings);
        servers.backend.fail_gets(2);
        AsyncResult::<Value>::new(&circle.app, "unknown").state().await
    };
    let is_lost = |outcome| matches!(outcome, Err(Error::Backend(BackendError::ConnectionLost(_))));
    assert!(is_lost(asked(json!({})).await));
    let settings = json!({"result_backend_always_retry": true, "result_backend_max_retries": 1});
    assert!(is_lost(asked(settings).await));
    let before = Instant::now();
    let settings = json!({
        "result_backend_always_retry": true, "result_backend_base_sleep_between_retries_ms": 60_000,
        "result_backend_max_sleep_between_retries_ms": 0,
    });
    assert_eq!(asked(settings).await.unwrap().as_str(), "PENDING");
    assert_eq!(Instant::now(), before, "the longest pause holds");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_stores_a_state_tries_again_and_its_start_does_not_wait() {
    let (circle, servers) = faulty(json!({"result_backend_always_retry": true}));
    // One for STARTED, which is let go, and two for the state of the task.
    servers.backend.fail(3);
    let worker = circle.worker();
    let result = circle.call(Progress::s()).await;
    circle.probe.noted(1).await;
    assert_eq!(servers.backend.stores(), 1);
    circle.probe.open(1);
    circle.probe.noted(2).await;
    assert_eq!(circle.stored_now(result.id()).await.unwrap()["status"], "PROGRESS");
    assert_eq!(servers.backend.stores(), 4);
    circle.probe.open(1);
    worker.stop().await;
}
