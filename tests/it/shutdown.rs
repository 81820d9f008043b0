//! Stopping: warm, soft and cold.

use std::time::Duration;

use celery::WorkerOptions;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{harness::Circle, tasks::*};

async fn busy(circle: &Circle) -> crate::harness::Running {
    let options = WorkerOptions { concurrency: Some(1), ..WorkerOptions::default() };
    let worker = circle.worker_with(options);
    circle.call(HoldLate::s("running".to_owned())).await;
    for number in 0..6 {
        circle.call(Note::s(json!(number))).await;
    }
    circle.probe.noted(1).await;
    worker
}

fn numbers(notes: &[Value]) -> Vec<Value> {
    notes.iter().filter_map(|note| note.get("note").cloned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_warm_shutdown_lets_the_running_task_end_and_hands_back_the_rest_in_order() {
    let circle = Circle::new();
    let mut worker = busy(&circle).await;
    worker.shutdown.warm.cancel();
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert!(!worker.has_ended());
    assert_eq!(circle.waiting("celery").await, 6);
    circle.probe.open(1);
    worker.ended().await.unwrap();
    assert_eq!(circle.probe.notes(), ["begin running", "end running"]);
    assert_eq!(circle.waiting("celery").await, 6);

    let options = WorkerOptions { concurrency: Some(1), ..WorkerOptions::default() };
    let _worker = circle.worker_with(options);
    let notes = circle.probe.noted(8).await;
    assert_eq!(numbers(&notes), [0, 1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_cold_shutdown_after_a_warm_one_stops_what_runs() {
    let circle = Circle::new();
    let mut worker = busy(&circle).await;
    worker.shutdown.warm.cancel();
    tokio::time::advance(Duration::from_secs(5)).await;
    worker.shutdown.cold.cancel();
    worker.ended().await.unwrap();
    assert_eq!(circle.probe.notes(), ["begin running", "dropped running"]);
    assert_eq!(circle.waiting("celery").await, 7);
}

#[tokio::test(start_paused = true)]
async fn a_soft_shutdown_gives_what_runs_some_time_first() {
    let circle = Circle::with(json!({"worker_soft_shutdown_timeout": 30}));
    let mut worker = busy(&circle).await;
    let start = Instant::now();
    worker.shutdown.cold.cancel();
    worker.ended().await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 30);
    assert_eq!(circle.probe.notes(), ["begin running", "dropped running"]);
    assert_eq!(circle.waiting("celery").await, 7);

    let circle = Circle::with(json!({"worker_soft_shutdown_timeout": 30}));
    let mut worker = busy(&circle).await;
    worker.shutdown.cold.cancel();
    circle.probe.open(1);
    let start = Instant::now();
    worker.ended().await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 0);
    assert_eq!(circle.probe.notes(), ["begin running", "end running"]);
}

#[tokio::test(start_paused = true)]
async fn the_wait_of_a_soft_shutdown_can_be_ended() {
    let circle = Circle::with(json!({"worker_soft_shutdown_timeout": 30}));
    let mut worker = busy(&circle).await;
    let start = Instant::now();
    worker.shutdown.cold.cancel();
    tokio::time::advance(Duration::from_secs(10)).await;
    worker.shutdown.now.cancel();
    worker.ended().await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 10);
    assert_eq!(circle.probe.notes(), ["begin running", "dropped running"]);
    assert_eq!(circle.waiting("celery").await, 7);
}

#[tokio::test(start_paused = true)]
async fn a_soft_shutdown_takes_its_time_on_idle_if_it_is_told_to() {
    let soft = json!({"worker_soft_shutdown_timeout": 30});
    let on_idle =
        json!({"worker_soft_shutdown_timeout": 30, "worker_enable_soft_shutdown_on_idle": true});
    for (settings, cold, took) in [(&soft, true, 0), (&on_idle, true, 30), (&on_idle, false, 0)] {
        let circle = Circle::with(settings.clone());
        let mut worker = circle.worker();
        circle.done(Add::s(1, 1)).await;
        let start = Instant::now();
        if cold { &worker.shutdown.cold } else { &worker.shutdown.warm }.cancel();
        worker.ended().await.unwrap();
        assert_eq!(start.elapsed().as_secs(), took, "{settings}, cold: {cold}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_stops_at_once() {
    let circle = Circle::new();
    let worker = circle.worker();
    circle.done(Add::s(1, 1)).await;
    let start = Instant::now();
    worker.stop().await;
    assert_eq!(start.elapsed().as_secs(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_handed_back_runs_on_another_worker_meanwhile() {
    let circle = Circle::new();
    let first = busy(&circle).await;
    let second = circle.worker();
    first.shutdown.warm.cancel();
    // In whatever order: those at the front come back when the other worker has begun with the rest.
    let mut numbers = numbers(&circle.probe.noted(7).await);
    numbers.sort_by_key(Value::as_i64);
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
    circle.probe.open(1);
    first.stop().await;
    second.stop().await;
}
