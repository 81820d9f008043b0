//! The same worker on a Redis server, where time runs: what depends on the driver.

use std::time::Duration;

use celery::WorkerOptions;
use serde_json::{Value, json};

use crate::{harness::Circle, tasks::*};

/// No server takes as long for what is tested here.
async fn within<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), test).await.expect("it comes to an end")
}

#[tokio::test]
async fn calls_failures_and_retries_come_back_through_redis() {
    within(Box::pin(async {
        let circle = Circle::redis();
        let worker = circle.worker();
        assert_eq!(circle.call(Add::s(2, 2)).await.get().await.unwrap(), 4);
        let failed = circle.done(Fail::s("cheese".to_owned())).await;
        assert_eq!(
            failed["result"],
            json!({"exc_type": "OutOfCheese", "exc_message": ["no cheese"], "exc_module": "it.tasks"})
        );
        let retried = circle.done(Asks::s("other args".to_owned())).await;
        assert_eq!((&retried["result"], &retried["parent_id"]), (&json!("done"), &retried["task_id"]));
        let start = tokio::time::Instant::now();
        assert_eq!(circle.done(Add::s(1, 2).countdown(0.5)).await["result"], 3);
        assert!(start.elapsed() >= Duration::from_millis(499));
        circle.done(Add::s(2, 3).link(Note::partial().untyped())).await;
        assert_eq!(circle.probe.noted(3).await[2]["note"], 5);
        worker.stop().await;
        assert_eq!(circle.waiting("celery").await, 0);
    }))
    .await;
}

#[tokio::test]
async fn two_workers_share_a_thousand_tasks_of_a_redis_queue_and_run_each_once() {
    within(Box::pin(async {
        let circle = Circle::redis();
        let options = || WorkerOptions { concurrency: Some(8), ..WorkerOptions::default() };
        let workers = [circle.worker_with(options()), circle.worker_with(options())];
        for number in 0..1000 {
            circle.call(Note::s(json!(number)).ignore_result(true)).await;
        }
        circle.probe.noted(1000).await;
        for worker in workers {
            worker.stop().await;
        }
        let notes = circle.probe.notes();
        let mut numbers: Vec<_> = notes.iter().filter_map(|note| note["note"].as_i64()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
        assert_eq!(circle.waiting("celery").await, 0);
    }))
    .await;
}

#[tokio::test]
async fn what_a_worker_hands_back_to_redis_runs_on_the_next_in_order() {
    within(Box::pin(async {
        let circle = Circle::redis();
        let options = || WorkerOptions { concurrency: Some(1), ..WorkerOptions::default() };
        let mut worker = circle.worker_with(options());
        let late = circle.call(HoldLate::s("late".to_owned())).await;
        circle.probe.noted(1).await;
        for number in 0..6 {
            circle.call(Note::s(json!(number))).await;
        }
        worker.shutdown.cold.cancel();
        worker.ended().await.unwrap();
        assert_eq!(circle.probe.notes(), ["begin late", "dropped late"]);
        assert_eq!(circle.waiting("celery").await, 7);
        circle.probe.open(1);
        let worker = circle.worker_with(options());
        assert_eq!(circle.stored(late.id()).await["result"], "late");
        let notes = circle.probe.noted(10).await;
        let numbers: Vec<&Value> = notes.iter().filter_map(|note| note.get("note")).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
        worker.stop().await;
    }))
    .await;
}

#[tokio::test]
async fn a_message_of_redis_that_nobody_knows_is_kept() {
    within(Box::pin(async {
        let circle = Circle::redis();
        let worker = circle.worker();
        let document = circle.done(circle.app.send_task("no.such.task")).await;
        assert_eq!(document["result"]["exc_type"], "NotRegistered");
        worker.stop().await;
        assert!(circle.quarantined("celery").await[0].reason.contains("`no.such.task`"));
        assert_eq!(circle.waiting("celery").await, 0);
    }))
    .await;
}
