//! Time limits: told to stop, stopped, and what neither can stop.

use serde_json::json;
use tokio::time::Instant;

use crate::{harness::Circle, tasks::*};

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_listen_is_stopped_at_its_soft_limit() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let start = Instant::now();
    let document = circle.done(Soft::s()).await;
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!(
        document["result"],
        json!({"exc_type": "SoftTimeLimitExceeded", "exc_message": [], "exc_module": "billiard.exceptions"})
    );
    assert_eq!(
        document["traceback"],
        "Traceback (most recent call last):\nbilliard.exceptions.SoftTimeLimitExceeded\n"
    );
    assert_eq!(circle.probe.notes(), ["begin soft", "dropped soft"]);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_listens_decides_itself_how_it_ends() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let document = circle.done(SoftObserved::s()).await;
    assert_eq!(document["result"], "the soft time limit was exceeded");
    let document = circle.done(SoftRaised::s()).await;
    assert_eq!(document["result"]["exc_type"], "SoftTimeLimitExceeded");
    let start = Instant::now();
    let document = circle.done(SoftIgnored::s()).await;
    assert_eq!(document["result"]["exc_type"], "TimeLimitExceeded");
    assert_eq!(start.elapsed().as_secs(), 9);
    assert_eq!(circle.probe.notes(), ["begin soft_ignored", "dropped soft_ignored"]);
}

#[tokio::test(start_paused = true)]
async fn the_hard_limit_drops_the_task() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let start = Instant::now();
    let document = circle.done(Hard::s()).await;
    assert_eq!(start.elapsed().as_secs(), 7);
    assert_eq!(document["result"]["exc_message"], json!([7]));
    assert_eq!(document["traceback"], json!(null));
    assert_eq!(circle.probe.notes(), ["begin hard", "dropped hard"]);
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_the_call_goes_before_that_of_the_task_and_that_before_the_workers() {
    let circle = Circle::with(json!({"task_time_limit": 3, "task_soft_time_limit": 2}));
    let _worker = circle.worker();
    let seconds = async |call| {
        let start = Instant::now();
        let document = circle.done::<_, ()>(call).await;
        (document["result"]["exc_type"].clone(), start.elapsed().as_millis())
    };
    let (hard, soft) = (json!("TimeLimitExceeded"), json!("SoftTimeLimitExceeded"));
    assert_eq!(seconds(Hard::s().soft_time_limit(60)).await, (hard.clone(), 7000));
    assert_eq!(seconds(Hard::s()).await, (soft.clone(), 2000));
    assert_eq!(seconds(Hard::s().time_limit(1.5)).await, (hard.clone(), 1500));
    assert_eq!(seconds(Soft::s()).await, (hard, 3000));
    assert_eq!(seconds(Soft::s().soft_time_limit(0.25)).await, (soft.clone(), 250));
    // Celery takes zero for no limit of the call's own.
    assert_eq!(seconds(Hard::s().time_limit(0).soft_time_limit(0)).await, (soft, 2000));
}

#[tokio::test(start_paused = true)]
async fn what_panics_as_it_is_dropped_is_settled_all_the_same() {
    let circle = Circle::new();
    let worker = circle.worker();
    let document = circle.done(HardPanics::s()).await;
    assert_eq!(document["result"]["exc_type"], "TimeLimitExceeded");
    assert_eq!(circle.done(Add::s(1, 1)).await["result"], 2);
    worker.stop().await;
    assert_eq!(circle.waiting("celery").await, 0);
}

#[tokio::test]
async fn a_function_beyond_its_limit_keeps_its_slot_until_it_returns() {
    let circle = Circle::new();
    let options = celery::WorkerOptions { concurrency: Some(1), ..Default::default() };
    let _worker = circle.worker_with(options);
    let document = circle.done(HardThread::s().time_limit(0.01)).await;
    assert_eq!(document["result"]["exc_type"], "TimeLimitExceeded");
    let waits = circle.call(Add::s(1, 1)).await;
    assert_eq!(circle.probe.noted(1).await, ["begin hard_thread"]);
    assert_eq!(circle.stored_now(waits.id()).await, None);
    circle.probe.open(1);
    assert_eq!(waits.get().await.unwrap(), 2);
    assert_eq!(circle.probe.notes(), ["begin hard_thread", "stopping true"]);
}
