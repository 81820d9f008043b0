//! Pools that change while their worker runs, by remote control and by themselves.

use celery::{AsyncResult, Celery, Error};
use peers::{Process, Space, scenario};
use serde_json::{Value, json};

use crate::harness::{call, command};

fn space() -> Space {
    // The machine may be busy with other tests.
    Space::new().with("worker_proc_alive_timeout", 30)
}

/// Starts a worker, and waits until it runs tasks and can be asked.
async fn worker(space: &Space, arguments: &[&str]) -> Process {
    let worker = crate::harness::worker(space, arguments).await;
    space.declares("celery.pidbox").await;
    worker
}

/// What the one worker answers.
async fn ask(app: &Celery, command: &str, arguments: Value) -> Value {
    let arguments = arguments.as_object().expect("keyword arguments").clone();
    let replies = app.control().broadcast(command, arguments).limit(1).replies().await;
    let mut replies = replies.expect("Redis answers");
    replies.pop().unwrap_or_else(|| panic!("nobody answers {command}")).1
}

async fn pool(app: &Celery) -> Value {
    ask(app, "stats", json!({})).await["pool"].clone()
}

async fn failure(result: &AsyncResult<Value>) -> Value {
    let error = result.get().await.expect_err("the task fails");
    let Error::Task { state, exception, .. } = &error else { panic!("{error:?}") };
    json!([state.as_str(), exception.exc_type, exception.exc_message])
}

#[tokio::test]
async fn a_pool_of_children_grows_and_shrinks_and_its_prefetch_with_it() {
    let space = space();
    let app = space.app();
    let worker = worker(&space, &["-P", "prefork", "-c", "1", "--max-tasks-per-child", "9"]).await;
    worker.says("ForkPoolWorker-1 is ready").await;
    let held = call(&app, "fleet.hold", json!(["gate"])).await;
    space.entered("gate").await;
    assert_eq!(ask(&app, "pool_grow", json!({ "n": 2 })).await, json!({ "ok": "pool will grow" }));
    // They start side by side.
    worker.says("ForkPoolWorker-2 is ready").await;
    worker.says("ForkPoolWorker-3 is ready").await;
    let stats = ask(&app, "stats", json!({})).await;
    assert_eq!(stats["prefetch_count"], 12);
    assert_eq!(stats["pool"]["max-concurrency"], 3);
    assert_eq!(stats["pool"]["processes"].as_array().map(Vec::len), Some(3));
    assert_eq!(stats["pool"]["max-tasks-per-child"], 9);
    assert_eq!(
        stats["pool"]["writes"],
        json!({
            "total": 1, "avg": "0.33", "all": "1.00, 0.00, 0.00", "raw": "1, 0, 0",
            "strategy": "fair", "inqueues": { "total": 3, "active": 1 },
        })
    );
    let busy = stats["pool"]["processes"][0].clone();
    let reply = ask(&app, "pool_shrink", json!({ "n": 2 })).await;
    assert_eq!(reply, json!({ "ok": "pool will shrink" }));
    worker.says("ForkPoolWorker-2 has ended").await;
    worker.says("ForkPoolWorker-3 has ended").await;
    assert_eq!(pool(&app).await["processes"], json!([busy]));
    space.open("gate").await;
    held.get().await.expect("it is not disturbed");
    assert_eq!(ask(&app, "stats", json!({})).await["prefetch_count"], 4);
    let refused = ask(&app, "pool_grow", json!({ "n": -1 })).await;
    assert_eq!(refused["error"], "ValueError('a pool has from 0 to 65535 places, and not -1')");
    assert!(worker.stop().await.success());
}

#[tokio::test]
async fn a_pool_is_restarted_where_the_settings_allow_it() {
    let space = space().with("worker_pool_restarts", true);
    let app = space.app();
    let worker = worker(&space, &["-P", "prefork", "-c", "2"]).await;
    for number in [1, 2] {
        worker.says(&format!("ForkPoolWorker-{number} is ready")).await;
    }
    let held = call(&app, "fleet.hold", json!(["gate"])).await;
    space.entered("gate").await;
    let reply = ask(&app, "pool_restart", json!({})).await;
    assert_eq!(reply, json!({ "ok": "reload started" }));
    worker.says("ForkPoolWorker-3 is ready").await;
    // The one that is busy is replaced when its task is done.
    space.open("gate").await;
    held.get().await.expect("it is not disturbed");
    worker.says("ForkPoolWorker-4 is ready").await;
    assert!(worker.stop().await.success());
}

#[tokio::test]
async fn a_pool_is_not_restarted_or_scaled_where_nobody_asked_for_that() {
    let space = space();
    let app = space.app();
    let first = worker(&space, &["-c", "2"]).await;
    let restart = ask(&app, "pool_restart", json!({})).await;
    assert_eq!(restart, json!({ "error": "ValueError('Pool restarts not enabled')" }));
    let autoscale = ask(&app, "autoscale", json!({ "max": 4, "min": 2 })).await;
    assert_eq!(autoscale, json!({ "error": "ValueError('Autoscale not enabled')" }));
    assert_eq!(ask(&app, "pool_grow", json!({})).await, json!({ "ok": "pool will grow" }));
    assert_eq!(pool(&app).await["max-concurrency"], 3);
    assert!(first.stop().await.success());
    let second = worker(&space, &["-P", "solo"]).await;
    let grow = ask(&app, "pool_grow", json!({})).await;
    let why = r#"AttributeError("'TaskPool' object has no attribute 'grow'")"#;
    assert_eq!(grow, json!({ "error": why }));
    assert!(second.stop().await.success());
}

#[tokio::test]
async fn a_pool_follows_what_there_is_to_do() {
    for kind in ["async", "prefork"] {
        let space = space();
        let app = space.app();
        let line = ["worker", "-l", "DEBUG", "-P", kind, "--autoscale=3,1"];
        let worker = Process::start(command(&space, &line).env("AUTOSCALE_KEEPALIVE", "0.3"));
        worker.says(" ready.").await;
        space.declares("celery.pidbox").await;
        assert_eq!(pool(&app).await["max-concurrency"], 1);
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(call(&app, "fleet.hold", json!(["gate"])).await);
        }
        for _ in 0..3 {
            space.entered("gate").await;
        }
        let stats = ask(&app, "stats", json!({})).await;
        assert_eq!(stats["autoscaler"], json!({ "max": 3, "min": 1, "current": 3, "qty": 4 }));
        assert_eq!(stats["prefetch_count"], 12);
        for _ in 0..4 {
            space.open("gate").await;
        }
        for held in held {
            held.get().await.expect("it is run");
        }
        worker.says("Scaling down 2 processes.").await;
        assert_eq!(pool(&app).await["max-concurrency"], 1);
        let refused = ask(&app, "pool_grow", json!({ "n": 1 })).await;
        let why = "pool_grow is not supported with autoscale. Adjust autoscale range instead.";
        assert_eq!(refused, json!({ "error": why }));
        let range = ask(&app, "autoscale", json!({ "max": 4, "min": 2 })).await;
        assert_eq!(range, json!({ "ok": "autoscale now max=4 min=2" }));
        let stats = ask(&app, "stats", json!({})).await;
        assert_eq!(stats["autoscaler"], json!({ "max": 4, "min": 2, "current": 2, "qty": 0 }));
        assert_eq!(stats["prefetch_count"], 16);
        assert!(worker.stop().await.success());
    }
}

#[tokio::test]
async fn the_limits_of_a_task_are_set_by_remote_control() {
    let space = space();
    let app = space.app();
    let worker = worker(&space, &["-P", "prefork", "-c", "1"]).await;
    let unknown = ask(&app, "time_limit", json!({ "task_name": "no.task", "hard": 60 })).await;
    assert_eq!(unknown, json!({ "error": "unknown task" }));
    let reply =
        ask(&app, "time_limit", json!({ "task_name": "fleet.spin", "hard": 1, "soft": null }))
            .await;
    assert_eq!(reply, json!({ "ok": "time limits set successfully" }));
    let spinning = call(&app, "fleet.spin", json!(["spin"])).await;
    assert_eq!(failure(&spinning).await, json!(["FAILURE", "TimeLimitExceeded", [1]]));
    ask(&app, "time_limit", json!({ "task_name": "fleet.listen", "soft": 0.5 })).await;
    let listening = call(&app, "fleet.listen", json!([])).await;
    listening.get().await.expect("it is told to stop");
    assert!(worker.stop().await.success());
}

#[tokio::test]
async fn a_task_that_is_terminated_goes_with_its_child() {
    let space = space();
    let app = space.app();
    let worker = worker(&space, &["-P", "prefork", "-c", "2"]).await;
    let other = call(&app, "fleet.hold", json!(["gate"])).await;
    space.entered("gate").await;
    for signal in ["SIGTERM", "SIGKILL", "SIGUSR1"] {
        let spinning = call(&app, "fleet.spin", json!(["spin"])).await;
        space.entered("spin").await;
        app.control().revoke([spinning.id()]).terminate(signal).send().await.expect("it is sent");
        let revoked = json!(["REVOKED", "TaskRevokedError", ["terminated"]]);
        assert_eq!(failure(&spinning).await, revoked);
    }
    space.open("gate").await;
    other.get().await.expect("it is unharmed");
    assert_eq!(call(&app, "fleet.add", json!([1, 2])).await.get().await.expect("it runs"), 3);
    assert!(worker.stop().await.success());
}

#[tokio::test]
async fn python_raises_what_became_of_a_child() {
    let space = space();
    let worker = worker(&space, &["-P", "prefork", "-c", "1"]).await;
    let report = scenario(&space, "children").await;
    let told = "Worker exited prematurely: signal 9 (SIGKILL) Job: 0.";
    report.check(
        "killed",
        &json!({
            "state": "FAILURE", "traceback": null, "/raised/class": "WorkerLostError",
            "/raised/module": "billiard.exceptions", "/raised/args": [told],
        }),
    );
    report.check(
        "spinning",
        &json!({
            "state": "FAILURE", "traceback": null, "/raised/class": "TimeLimitExceeded",
            "/raised/module": "billiard.exceptions", "/raised/args": [1],
        }),
    );
    report.returned("after", &json!(3));
    assert!(worker.stop().await.success());
}
