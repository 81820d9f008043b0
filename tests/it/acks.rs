//! When a message is acknowledged, and what becomes of one that is not.

use celery::{
    Signature, WorkerOptions,
    core::{broker::Broker, signature::Complete},
};
use serde_json::{Value, json};

use crate::{
    events::{Monitor, with_events},
    harness::Circle,
    tasks::*,
};

#[tokio::test(start_paused = true)]
async fn a_late_message_runs_again_after_a_cold_shutdown_and_an_early_one_does_not() {
    let circle = Circle::new();
    let mut worker = circle.worker();
    let late = circle.call(HoldLate::s("late".to_owned())).await;
    let early = circle.call(Hold::s("early".to_owned())).await;
    circle.probe.noted(2).await;
    worker.shutdown.cold.cancel();
    worker.ended().await.unwrap();
    let mut notes = circle.probe.noted(4).await;
    notes[2..].sort_by_key(ToString::to_string);
    assert_eq!(notes, ["begin late", "begin early", "dropped early", "dropped late"]);
    assert_eq!(circle.waiting("celery").await, 1);
    // As Celery, it says that it will be retried, though nobody has it any more; of the late one it says nothing.
    let lost = circle.stored_now(early.id()).await.unwrap();
    assert_eq!((&lost["status"], &lost["result"]["exc_type"]), (&json!("RETRY"), &json!("Retry")));
    assert_eq!(circle.stored_now(late.id()).await, None);

    circle.probe.open(2);
    let worker = circle.worker();
    assert_eq!(circle.stored(late.id()).await["result"], "late");
    worker.stop().await;
    assert_eq!(circle.probe.notes()[4..], ["begin late again", "end late"]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_dropped_leaves_late_messages_to_the_next() {
    let circle = Circle::new();
    let worker = circle.worker();
    let late = circle.call(HoldLate::s("late".to_owned())).await;
    circle.probe.noted(1).await;
    drop(worker);
    circle.probe.open(1);
    let _worker = circle.worker();
    assert_eq!(circle.stored(late.id()).await["result"], "late");
}

#[tokio::test(start_paused = true)]
async fn a_late_message_is_in_the_brokers_books_until_its_result_is_stored() {
    let circle = Circle::with(json!({"task_acks_late": true}));
    let options = WorkerOptions {
        concurrency: Some(1),
        prefetch_multiplier: Some(1),
        ..WorkerOptions::default()
    };
    let _worker = circle.worker_with(options);
    circle.call(Hold::s("a".to_owned())).await;
    let second = circle.call(Add::s(1, 1)).await;
    circle.probe.noted(1).await;
    // The one that runs fills the prefetch.
    assert_eq!(circle.waiting("celery").await, 1);
    circle.probe.open(1);
    assert_eq!(circle.stored(second.id()).await["result"], 2);
    assert_eq!(circle.waiting("celery").await, 0);
}

/// What becomes of the message of a task that fails.
#[derive(Debug, PartialEq)]
pub(crate) enum End {
    Acknowledged,
    /// Dropped, as by Redis.
    Rejected,
    PutBack,
}

/// Runs a task that fails, and says what became of its message: events tell of one that was not acknowledged.
pub(crate) async fn end<I: Complete, O>(settings: Value, task: Signature<I, O>) -> End {
    let circle = Circle::with(settings);
    let mut monitor = Monitor::of(&circle).await;
    let worker = circle.worker_with(with_events());
    assert_eq!(circle.done(task).await["status"], "FAILURE");
    worker.stop().await;
    let events = monitor.until("worker-offline").await;
    let rejected = events.iter().find(|event| event["type"] == "task-rejected");
    match (rejected.map(|event| &event["requeue"]), circle.waiting("celery").await) {
        (None, 0) => End::Acknowledged,
        (Some(Value::Bool(false)), 0) => End::Rejected,
        (Some(Value::Bool(true)), 1) => End::PutBack,
        other => panic!("{other:?} with {events:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_is_not_acknowledged_is_rejected() {
    assert_eq!(end(json!({}), FailUnacknowledged::s()).await, End::Rejected);
}

#[tokio::test(start_paused = true)]
async fn the_settings_say_which_failures_of_a_late_task_are_acknowledged() {
    use End::{Acknowledged, PutBack, Rejected};
    let (both, failure, timeout) =
        ("task_acks_on_failure_or_timeout", "task_acks_on_failure", "task_acks_on_timeout");
    for (settings, failed, timed_out) in [
        (json!({}), Acknowledged, Acknowledged),
        (json!({ both: false }), Rejected, PutBack),
        (json!({ both: false, failure: true }), Acknowledged, PutBack),
        (json!({ both: false, timeout: true }), Rejected, Acknowledged),
        (json!({ failure: false }), Rejected, Acknowledged),
        (json!({ timeout: false }), Acknowledged, PutBack),
        // What is acknowledged before it runs is not asked about again.
        (json!({ both: false, "task_acks_late": false }), Acknowledged, Acknowledged),
    ] {
        let mut all = json!({ "task_acks_late": true });
        all.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        let fails = Fail::s("ack".to_owned());
        assert_eq!(end(all.clone(), fails).await, failed, "a failure with {settings}");
        assert_eq!(end(all, Hard::s()).await, timed_out, "a timeout with {settings}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_that_is_not_acknowledged_comes_again() {
    let circle = Circle::new();
    let mut worker = circle.worker();
    let result = circle.call(HardRequeued::s()).await;
    assert_eq!(
        circle.probe.noted(3).await,
        ["begin hard_requeued", "dropped hard_requeued", "begin hard_requeued"]
    );
    assert_eq!(circle.stored(result.id()).await["result"]["exc_type"], "TimeLimitExceeded");
    worker.shutdown.cold.cancel();
    worker.ended().await.unwrap();
    assert_eq!(circle.waiting("celery").await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_has_succeeded_is_not_run_again() {
    let settings = json!({"worker_deduplicate_successful_tasks": true, "task_acks_late": true});
    let circle = Circle::with(settings);
    let worker = circle.worker();
    let result = circle.call(Note::s(json!(1)).task_id("once")).await;
    result.get().await.unwrap();
    worker.stop().await;
    for redelivered in [true, false] {
        // The same message once more, as after a crash between the result and the acknowledgement.
        circle.call(Note::s(json!(2)).task_id("once")).await;
        if redelivered {
            let queues = [celery::core::broker::Queue::named("celery")];
            let broker: &dyn Broker = circle.broker().await.as_ref();
            let mut consumer = broker.consume(&queues, None).await.unwrap();
            consumer.next().await.unwrap().remove(0).hand_back().await.unwrap();
        }
    }
    let worker = circle.worker();
    assert_eq!(circle.probe.noted(2).await.len(), 2);
    worker.stop().await;
    let notes: Vec<_> = circle.probe.notes().iter().map(|note| note["note"].clone()).collect();
    // The one that nobody had delivered before runs: it was sent on purpose.
    assert_eq!(notes, [1, 2]);
    assert_eq!(circle.waiting("celery").await, 0);
}
