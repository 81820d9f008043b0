//! How many tasks run at once, and how many messages are held.

use celery::{Worker, WorkerOptions};
use serde_json::json;

use crate::{harness::Circle, tasks::*};

fn options(concurrency: usize, prefetch_multiplier: u32) -> WorkerOptions {
    WorkerOptions {
        concurrency: Some(concurrency),
        prefetch_multiplier: Some(prefetch_multiplier),
        ..WorkerOptions::default()
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_tasks_run_than_there_are_slots_and_no_more_are_held_than_the_prefetch_allows() {
    let circle = Circle::new();
    for number in 0..20 {
        circle.call(HoldLate::s(number.to_string())).await;
    }
    let worker = circle.worker_with(options(3, 2));
    circle.probe.noted(3).await;
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    // Three run, three more are held.
    assert_eq!(circle.waiting("celery").await, 20 - 6);
    assert_eq!(circle.probe.notes().len(), 3);
    circle.probe.open(20);
    circle.probe.noted(40).await;
    worker.stop().await;
    assert_eq!(circle.probe.most(), 3);
    // They begin in the order in which they were sent.
    let notes = circle.probe.notes();
    let begun = notes.iter().filter(|note| note.as_str().unwrap().starts_with("begin"));
    let expected: Vec<_> = (0..20).map(|number| format!("begin {number}")).collect();
    assert!(begun.eq(expected.iter()), "{notes:?}");
}

#[tokio::test(start_paused = true)]
async fn early_acknowledged_tasks_do_not_count_against_the_prefetch() {
    let circle = Circle::new();
    for number in 0..10 {
        circle.call(Hold::s(number.to_string())).await;
    }
    let _worker = circle.worker_with(options(2, 1));
    circle.probe.noted(2).await;
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    // Two run, two are held.
    assert_eq!(circle.waiting("celery").await, 10 - 4);
}

#[tokio::test(start_paused = true)]
async fn without_a_prefetch_limit_everything_is_taken() {
    let circle = Circle::new();
    for number in 0..50 {
        circle.call(HoldLate::s(number.to_string())).await;
    }
    let _worker = circle.worker_with(options(1, 0));
    circle.probe.noted(1).await;
    assert_eq!(circle.waiting("celery").await, 0);
    assert_eq!(circle.probe.most(), 1);
}

#[tokio::test]
async fn functions_run_on_threads_and_no_more_than_there_are_slots() {
    let circle = Circle::new();
    for number in 0..12 {
        circle.call(HoldThread::s(number.to_string())).await;
    }
    let worker = circle.worker_with(options(4, 4));
    circle.probe.noted(4).await;
    circle.probe.open(12);
    circle.probe.noted(24).await;
    worker.stop().await;
    assert_eq!(circle.probe.most(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_tasks_that_are_not_due_keep_nobody_waiting() {
    let circle = Circle::new();
    for _ in 0..1000 {
        circle.call(Add::s(1, 1).countdown(86_400)).await;
    }
    let _worker = circle.worker_with(options(1, 1));
    let start = tokio::time::Instant::now();
    assert_eq!(circle.done(Add::s(1, 2)).await["result"], 3);
    assert!(start.elapsed().as_secs() < 1);
}

#[test]
fn the_solo_pool_runs_one_task_at_a_time_whatever_the_concurrency() {
    let circle = Circle::with(json!({"worker_pool": "solo", "worker_concurrency": 8}));
    let options = WorkerOptions { concurrency: Some(4), ..WorkerOptions::default() };
    assert_eq!(Worker::new(&circle.app, options).unwrap().concurrency(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_blocks_its_thread_keeps_those_behind_it_from_nothing() {
    let circle = Circle::new();
    let blocks = circle.call(HoldTheThread::s()).await;
    let behind = circle.call(LetGo::s()).await;
    let worker = circle.worker_with(options(2, 4));
    behind.get().await.expect("it runs on the other thread");
    assert!(blocks.get().await.expect("it ends"), "the task behind it came too late");
    worker.stop().await;
}
