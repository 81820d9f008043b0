//! Which queue a call goes to, and which queues a worker serves.

use celery::{Worker, WorkerOptions, core::exception::with_sources};
use serde_json::json;

use crate::{
    harness::{Circle, memory_url},
    tasks::*,
};

#[tokio::test(start_paused = true)]
async fn a_route_by_glob_by_name_and_by_pattern_leads_to_its_queue() {
    let circle = Circle::with(json!({
        "task_default_queue": "main",
        "task_routes": [{"it.tasks.mul": {"queue": "products"}, "it.tasks.f*": {"queue": "failing"}}],
    }));
    circle.call(Mul::s(1, 1)).await;
    circle.call(Fail::s("x".to_owned())).await;
    circle.call(Flaky::s(1)).await;
    circle.call(Add::s(1, 1)).await;
    circle.call(Mul::s(1, 1).queue("by-hand")).await;
    for (queue, count) in
        [("products", 1), ("failing", 2), ("main", 1), ("by-hand", 1), ("celery", 0)]
    {
        assert_eq!(circle.waiting(queue).await, count, "{queue}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_serves_the_queues_that_it_is_told_to() {
    let circle =
        Circle::with(json!({"task_queues": ["one", "two", "three"], "task_default_queue": "one"}));
    let queues = |options| {
        let worker = Worker::new(&circle.app, options).unwrap();
        worker.queues().iter().map(|queue| queue.name.clone()).collect::<Vec<_>>()
    };
    let named = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
    assert_eq!(queues(WorkerOptions::default()), ["one", "two", "three"]);
    assert_eq!(
        queues(WorkerOptions { queues: named(&["two"]), ..WorkerOptions::default() }),
        ["two"]
    );
    let without =
        WorkerOptions { exclude_queues: vec!["two".to_owned()], ..WorkerOptions::default() };
    assert_eq!(queues(without), ["one", "three"]);
    let none = WorkerOptions {
        queues: named(&["two"]),
        exclude_queues: vec!["two".to_owned()],
        ..WorkerOptions::default()
    };
    assert!(Worker::new(&circle.app, none).unwrap_err().to_string().contains("no queue is left"));

    let _worker =
        circle.worker_with(WorkerOptions { queues: named(&["two"]), ..WorkerOptions::default() });
    assert_eq!(circle.done(Add::s(1, 1).queue("two")).await["result"], 2);
    let waits = circle.call(Add::s(1, 1)).await;
    assert_eq!(circle.done(Add::s(2, 1).queue("two")).await["result"], 3);
    assert_eq!(circle.stored_now(waits.id()).await, None);
    assert_eq!(circle.waiting("one").await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_retry_goes_back_to_the_queue_that_it_came_from() {
    let circle = Circle::new();
    let queues = Some(vec!["slow".to_owned()]);
    let _worker = circle.worker_with(WorkerOptions { queues, ..WorkerOptions::default() });
    assert_eq!(circle.done(Flaky::s(2).queue("slow")).await["result"], 2);
    assert_eq!(circle.probe.notes()[2]["routing_key"], "slow");
}

#[tokio::test(start_paused = true)]
async fn urgent_tasks_go_first() {
    let circle = Circle::new();
    for (name, priority) in [("later", 9), ("soon", 3), ("now", 0), ("now too", 0)] {
        circle.call(Note::s(json!(name)).priority(priority)).await;
    }
    let options = WorkerOptions { concurrency: Some(1), ..WorkerOptions::default() };
    let _worker = circle.worker_with(options);
    let notes = circle.probe.noted(4).await;
    let names: Vec<_> = notes.iter().map(|note| note["note"].clone()).collect();
    assert_eq!(names, ["now", "now too", "soon", "later"]);
}

#[tokio::test(start_paused = true)]
async fn messages_go_to_the_broker_for_writing_and_come_from_the_one_for_reading() {
    let (read, write) = (memory_url(), memory_url());
    let settings = json!({"broker_read_url": read, "broker_write_url": write});
    let circle = Circle::build(|builder| builder.backend(&read), &settings);
    circle.call(Note::s(json!("written"))).await;
    let publisher = circle.app.publisher().await.unwrap();
    assert_eq!(publisher.queue_len("celery").await.unwrap(), 1);
    assert_eq!(circle.waiting("celery").await, 0);

    // A worker of the broker that was written to.
    let other = Circle::build(|builder| builder.broker(&write).backend(&read), &json!({}));
    let _worker = other.worker();
    other.probe.noted(1).await;
    assert_eq!(publisher.queue_len("celery").await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_program_that_only_publishes_needs_no_other_broker() {
    let write = memory_url();
    let circle = Circle::build(|builder| builder, &json!({"broker_write_url": write}));
    circle.call(Note::s(json!("written"))).await;
    let error = circle.app.broker().await.unwrap_err();
    assert!(with_sources(&error).contains("set `broker_url`"), "{error}");
}
