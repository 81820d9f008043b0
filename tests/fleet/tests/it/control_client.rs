//! Our client's half of remote control, spoken to a Python worker.

use celery::core::{
    broker::Queue,
    control::{Broadcast, Refusal},
    value::Value,
};
use peers::{LIMIT, Process, PythonWorker, Space, python};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::harness::{call, command, listens};

const NODE: &str = "python@control";

/// What the worker answers.
async fn answer<T: DeserializeOwned>(asked: Broadcast<T>) -> Result<T, Refusal> {
    let answers = asked.destination([NODE]).timeout(LIMIT).answers().await;
    answers.expect("the broker answers").remove(0).1
}

/// What the worker says that it did.
async fn done(told: Broadcast<String>) -> String {
    answer(told).await.expect("the worker does it")
}

#[tokio::test]
async fn a_python_worker_answers_what_our_client_asks() {
    let space = Space::new();
    let python = PythonWorker::start(&space, &["-P", "prefork", "-c", "1", "-n", NODE]).await;
    let app = space.app();
    listens(&app, NODE).await;
    let waits = app.send_task("proj.tasks.add").args((1, 2)).countdown(3600).send().await;
    let id = waits.expect("it is published").id().to_owned();
    python.says("received").await;
    let inspect = app.control().inspect();

    assert_eq!(answer(inspect.ping()).await.unwrap(), "pong");
    assert_eq!(answer(inspect.active()).await.unwrap(), []);
    assert_eq!(answer(inspect.active().argument("safe", true)).await.unwrap(), []);
    assert_eq!(answer(inspect.reserved()).await.unwrap(), []);
    let scheduled = answer(inspect.scheduled()).await.unwrap();
    assert_eq!((scheduled.len(), scheduled[0].request.id.as_str()), (1, id.as_str()));
    let known = answer(inspect.query_task([id.as_str()])).await.unwrap();
    assert_eq!(known[&id].1.name, "proj.tasks.add");
    assert_eq!(answer(inspect.revoked()).await.unwrap(), [""; 0]);
    let names = answer(inspect.registered(["max_retries"])).await.unwrap();
    assert!(names.contains(&"proj.tasks.add [max_retries=3]".to_owned()), "{names:?}");
    let stats = answer(inspect.stats()).await.unwrap();
    assert_eq!((stats.pid, &stats.pool["max-concurrency"]), (python.id(), &Value::from(1)));
    let queues = answer(inspect.active_queues()).await.unwrap();
    assert_eq!((queues.len(), queues[0].name.as_str()), (1, "celery"));
    assert!(answer(inspect.conf()).await.unwrap().contains_key("broker_url"));
    assert!(answer(inspect.conf_with_defaults()).await.unwrap().contains_key("task_routes"));
    assert!(answer(inspect.report()).await.unwrap().contains("software -> celery:"));
    let reading = answer(inspect.clock()).await.unwrap().clock;
    let hello = answer(inspect.hello("rust@control", &["gone".to_owned()])).await.unwrap();
    let hello = hello.expect("it is from another worker");
    assert_eq!(hello.revoked, ["gone"]);
    assert!(hello.clock > reading);
    assert_eq!(answer(inspect.hello(NODE, &[])).await.unwrap(), None);
    answer(inspect.memsample()).await.unwrap();
    assert!(answer(inspect.memdump(5)).await.unwrap().starts_with("- rss"));
    let refused = answer(inspect.objgraph("Request", 5, 2)).await.unwrap_err().to_string();
    assert_eq!(refused, "ImportError('Requires the objgraph library')");
    python.stop().await;
}

#[tokio::test]
async fn a_python_worker_does_what_our_client_tells_it() {
    let space = Space::new();
    let python = PythonWorker::start(&space, &["-P", "prefork", "-c", "1", "-n", NODE]).await;
    let app = space.app();
    listens(&app, NODE).await;
    let control = app.control();

    assert_eq!(done(control.ping()).await, "pong");
    let told = done(control.rate_limit("proj.tasks.add", "10/m")).await;
    assert_eq!(told, "new rate limit set successfully");
    assert_eq!(
        answer(control.rate_limit("no.task", 1)).await.unwrap_err().to_string(),
        "unknown task"
    );
    assert_eq!(
        done(control.time_limit("proj.tasks.add", 50.0, 60.5)).await,
        "time limits set successfully"
    );
    assert_eq!(done(control.add_consumer(&Queue::named("extra"))).await, "add consumer extra");
    assert_eq!(done(control.cancel_consumer("extra")).await, "no longer consuming from extra");
    // It was started without gossip and heartbeats, so that it tells nothing.
    for told in [control.enable_events(), control.disable_events()] {
        let refused = answer(told).await.unwrap_err().to_string();
        assert_eq!(refused, "event dispatcher unavailable");
    }
    assert_eq!(done(control.pool_grow(1)).await, "pool will grow");
    assert_eq!(done(control.pool_shrink(1)).await, "pool will shrink");
    let refused = answer(control.pool_restart()).await.unwrap_err().to_string();
    assert_eq!(refused, "ValueError('Pool restarts not enabled')");
    let refused = answer(control.autoscale(4, 2)).await.unwrap_err().to_string();
    assert_eq!(refused, "ValueError('Autoscale not enabled')");
    answer(control.heartbeat()).await.expect("it beats");
    assert!(answer(control.election("e", "task", Value::Null)).await.is_err());
    let revoked = control.revoke(["a"]).destination([NODE]).timeout(LIMIT).replies().await;
    let revoked = &revoked.expect("the broker answers")[0].1;
    assert_eq!(revoked["ok"], "tasks {'a'} flagged as revoked");
    let stamped = control.revoke_by_stamped_headers([("team", "blue")]).destination([NODE]);
    let stamped = &stamped.timeout(LIMIT).replies().await.expect("the broker answers")[0].1;
    assert_eq!(stamped["ok"], "headers {'team': 'blue'} flagged as revoked, but not terminated");

    for number in 0..3 {
        let sent = app.send_task("proj.tasks.add").args((number, 1)).queue("elsewhere").send();
        sent.await.expect("it is published");
    }
    let elsewhere = space.with("task_default_queue", "elsewhere").app();
    assert_eq!(elsewhere.control().purge().await.expect("the broker answers"), 3);
    control.shutdown().destination([NODE]).send().await.expect("it is sent");
    python.says("Got shutdown from remote").await;
}

#[tokio::test]
async fn a_python_worker_with_neighbours_does_what_the_others_refuse() {
    let space = Space::new().with("worker_pool_restarts", true);
    let options = ["--with-gossip", "-P", "prefork", "--autoscale=3,1", "-n", NODE];
    let worker = PythonWorker::start(&space, &options).await;
    let app = space.app();
    listens(&app, NODE).await;
    let control = app.control();

    for (told, says) in [
        (control.enable_events(), "task events enabled"),
        (control.enable_events(), "task events already enabled"),
        (control.disable_events(), "task events disabled"),
        (control.disable_events(), "task events already disabled"),
        (control.autoscale(4, 2), "autoscale now max=4 min=2"),
    ] {
        assert_eq!(done(told).await, says);
    }
    let range = answer(control.inspect().stats()).await.unwrap().autoscaler.expect("a range");
    assert_eq!((&range["max"], &range["min"]), (&json!(4), &json!(2)));

    // A Python worker that is the only candidate dies of it, so that ours stands before it.
    let line = ["worker", "-l", "DEBUG", "-n", "rust@control", "-Q", "rust", "--without-mingle"];
    let rust = Process::start(&mut command(&space, &line));
    rust.says("python@control joined the party").await;
    listens(&app, "rust@control").await;
    let listener = Process::start(python(&space, "events.py").arg("listen"));
    listener.says("worker-heartbeat").await;
    let action = json!({
        "task": "proj.tasks.note", "args": ["won"], "kwargs": {}, "options": {}, "subtask_type": null,
        "immutable": false,
    });
    let election = control.election("e1", "task", action);
    election.clone().destination(["rust@control"]).send().await.expect("it is sent");
    listener.says("worker-elect").await;
    answer(election).await.expect("it stands for it");
    worker.says("'e1'").await;
    rust.says("'e1'").await;
    assert_eq!(space.take("noted", 1).await, ["won"]);
    assert!(rust.stop().await.success());

    let processes = async || {
        let stats = answer(control.inspect().stats()).await.unwrap();
        stats.pool["processes"].as_array().expect("a list of ids").clone()
    };
    let before = processes().await;
    assert_eq!(done(control.pool_restart()).await, "reload started");
    let noted = call(&app, "proj.tasks.note", json!(["restarted"])).await;
    assert_eq!(noted.get().await.expect("a child process runs it"), "restarted");
    let after = processes().await;
    assert!(!after.iter().any(|process| before.contains(process)), "{before:?} {after:?}");
    worker.stop().await;
}

#[tokio::test]
async fn a_task_that_a_python_worker_runs_is_terminated() {
    let space = Space::new();
    let python = PythonWorker::start(&space, &["-P", "prefork", "-c", "1", "-n", NODE]).await;
    let app = space.app();
    listens(&app, NODE).await;
    let held = call(&app, "fleet.held", json!(["gate"])).await;
    let child = space.entered("gate").await;
    let asked = app.control().revoke([held.id()]).terminate("SIGKILL").destination([NODE]);
    let replies = asked.timeout(LIMIT).replies().await.expect("the broker answers");
    assert_eq!(replies, [(NODE.to_owned(), json!({ "ok": format!("terminate: {}", held.id()) }))]);
    let ended = held.get().await.expect_err("it was terminated");
    assert!(ended.to_string().contains("terminated"), "{ended}");
    assert_eq!(held.state().await.expect("it is stored").as_str(), "REVOKED");
    // The next one runs in another child process.
    let next = call(&app, "fleet.held", json!(["next"])).await;
    assert_ne!(space.entered("next").await, child);
    space.open("next").await;
    assert_eq!(next.get().await.expect("it is done"), "python");
    python.stop().await;
}
