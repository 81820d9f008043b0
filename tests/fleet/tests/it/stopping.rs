//! Signals that stop a worker.

use std::time::Duration;

use peers::{Process, Space};
use serde_json::json;
use tokio::time::Instant;

use crate::harness::{call, command, worker};

#[tokio::test]
async fn a_warm_shutdown_lets_a_task_end() {
    let space = Space::new();
    let app = space.app();
    let mut first = worker(&space, &["-c", "1"]).await;
    let result = call(&app, "fleet.hold", json!(["gate"])).await;
    space.entered("gate").await;
    first.signal("TERM").await;
    first.says("Warm shutdown").await;
    // A second one changes nothing.
    first.signal("TERM").await;
    // It still answers.
    let pong = app.control().ping().limit(1).timeout(peers::LIMIT).replies().await;
    assert_eq!(pong.expect("the broker answers").len(), 1);
    space.open("gate").await;
    assert_eq!(result.get().await.expect("the task succeeds"), json!("gate"));
    assert!(first.ended().await.success());
}

/// Starts a worker with a late task in it, and one that waits for what it hands back.
async fn two(space: &Space) -> (Process, celery::AsyncResult, Process) {
    let first = worker(space, &["-c", "1", "-n", "first@fleet"]).await;
    let result = call(&space.app(), "fleet.hold_late", json!(["gate"])).await;
    space.entered("gate").await;
    (first, result, worker(space, &["-c", "1", "-n", "second@fleet"]).await)
}

/// Expects another worker to run it within a second of `since`, once.
async fn is_run_again(space: &Space, result: celery::AsyncResult, since: Instant) {
    space.entered("gate").await;
    let took = since.elapsed();
    assert!(took < Duration::from_secs(1), "it was run again after {took:?}");
    space.open("gate").await;
    assert_eq!(result.get().await.expect("the task succeeds"), json!("gate"));
    let again: u64 = space.redis("LLEN", &["{}entered:gate"]).await;
    let waiting: u64 = space.redis("LLEN", &["{}celery"]).await;
    assert_eq!((again, waiting), (0, 0), "it is run once");
}

#[tokio::test]
async fn a_cold_shutdown_hands_back_at_once() {
    let space = Space::new();
    let (mut first, result, _second) = two(&space).await;
    first.signal("QUIT").await;
    is_run_again(&space, result, Instant::now()).await;
    assert_eq!(first.ended().await.code(), Some(1));
    assert!(first.log().contains("worker: Cold shutdown (MainProcess)"));
}

#[tokio::test]
async fn a_soft_shutdown_hands_back_after_its_time() {
    let space = Space::new().with("worker_soft_shutdown_timeout", 0.5);
    let (mut first, result, _second) = two(&space).await;
    let asked = Instant::now();
    first.signal("QUIT").await;
    is_run_again(&space, result, asked + Duration::from_millis(500)).await;
    assert!(asked.elapsed() >= Duration::from_millis(500));
    assert_eq!(first.ended().await.code(), Some(1));
    assert!(first.log().contains("Initiating Soft Shutdown, terminating in 0.5 seconds"));
}

#[tokio::test]
async fn a_soft_shutdown_lets_a_task_end_that_is_quick() {
    let space = Space::new().with("worker_soft_shutdown_timeout", 600);
    let (mut first, result, second) = two(&space).await;
    first.signal("QUIT").await;
    first.says("Initiating Soft Shutdown").await;
    space.open("gate").await;
    assert_eq!(result.get().await.expect("the task succeeds"), json!("gate"));
    assert_eq!(first.ended().await.code(), Some(1));
    assert!(second.stop().await.success());
}

#[tokio::test]
async fn a_second_quit_ends_the_wait_of_a_soft_shutdown() {
    let space = Space::new().with("worker_soft_shutdown_timeout", 600);
    let (mut first, result, _second) = two(&space).await;
    first.signal("QUIT").await;
    first.says("Initiating Soft Shutdown").await;
    first.signal("QUIT").await;
    is_run_again(&space, result, Instant::now()).await;
    assert_eq!(first.ended().await.code(), Some(1));
}

#[tokio::test]
async fn a_second_interrupt_is_cold() {
    let space = Space::new();
    let (mut first, result, _second) = two(&space).await;
    first.signal("INT").await;
    first.says("Hitting Ctrl+C again will initiate cold shutdown").await;
    first.signal("INT").await;
    is_run_again(&space, result, Instant::now()).await;
    assert_eq!(first.ended().await.code(), Some(1));
}

#[tokio::test]
async fn term_is_cold_where_it_is_remapped() {
    let space = Space::new();
    let mut line = command(&space, &["worker", "-l", "DEBUG", "-c", "1", "-n", "first@fleet"]);
    let mut first = Process::start(line.env("REMAP_SIGTERM", "SIGQUIT"));
    first.says(" ready.").await;
    let result = call(&space.app(), "fleet.hold_late", json!(["gate"])).await;
    space.entered("gate").await;
    let _second = worker(&space, &["-c", "1", "-n", "second@fleet"]).await;
    first.signal("TERM").await;
    is_run_again(&space, result, Instant::now()).await;
    assert_eq!(first.ended().await.code(), Some(1));
}

#[tokio::test]
async fn a_hangup_restarts_the_worker_in_its_process() {
    let space = Space::new();
    let app = space.app();
    let mut first = worker(&space, &["-c", "1"]).await;
    let before = call(&app, "fleet.hold", json!(["gate"])).await;
    space.entered("gate").await;
    first.signal("HUP").await;
    first.says("Restarting celery worker (").await;
    let after = call(&app, "fleet.add", json!([1, 2])).await;
    space.open("gate").await;
    assert_eq!(before.get().await.expect("the task succeeds"), json!("gate"));
    assert_eq!(after.get().await.expect("the task succeeds"), json!(3));
    assert_eq!(first.log().matches(" ready.").count(), 2);
    // It is the same process, so that it gets the signal.
    first.signal("TERM").await;
    assert!(first.ended().await.success());
}
