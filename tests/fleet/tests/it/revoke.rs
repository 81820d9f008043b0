//! Revoking across the fleet: asked by Python and by us, and remembered for workers that start later.

use celery::{AsyncResult, Celery, State};
use peers::{LIMIT, Process, PythonWorker, Space, python, run};
use serde_json::{Value, json};

use crate::harness::{call, command, worker};

/// Runs a few lines of Python with the app; returns what they printed.
async fn asks(space: &Space, lines: &str) -> Value {
    let code = format!("import json\nfrom proj.celery import app\n{lines}");
    let said = run(python(space, "-c").arg(code)).await;
    if said.trim().is_empty() { Value::Null } else { serde_json::from_str(&said).expect("JSON") }
}

async fn is_revoked(result: &AsyncResult, reason: &str) {
    let meta = tokio::time::timeout(LIMIT, result.wait()).await.expect("it ends").expect("stored");
    assert_eq!(meta.state, State::Revoked);
    assert_eq!(meta.result["exc_message"], json!([reason]));
}

/// Waits until every one of these workers answers.
async fn listen(app: &Celery, nodes: usize) {
    let asking = async {
        loop {
            // What is said to one that does not listen yet is lost, so that it is said again after a second.
            let ping = app.control().ping().limit(nodes);
            if ping.replies().await.expect("the broker answers").len() == nodes {
                return;
            }
        }
    };
    tokio::time::timeout(LIMIT, asking).await.expect("every worker listens");
}

/// Waits until a worker says that it runs the task: Python's marks one that it has only received as `revoked`.
async fn runs_somewhere(app: &Celery, id: &str) {
    let inspect = app.control().inspect();
    let asking = async {
        loop {
            let answers = inspect.active().limit(1).answers().await;
            let mut nodes = answers.expect("the broker answers").into_iter();
            if nodes.any(|(_, tasks)| tasks.is_ok_and(|it| it.iter().any(|task| task.id == id))) {
                return;
            }
        }
    };
    tokio::time::timeout(LIMIT, asking).await.expect("a worker runs it");
}

/// Ends the worker, and expects nothing to be left of what it was given.
async fn nothing_is_left(space: &Space, worker: Process) {
    assert!(worker.stop().await.success());
    for key in ["{}celery", "{}unacked"] {
        let left: bool = space.redis("EXISTS", &[key]).await;
        assert!(!left, "something is left in {key}");
    }
}

#[tokio::test]
async fn python_revokes_what_waits_and_terminates_what_runs() {
    let space = Space::new();
    let app = space.app();
    let first = worker(&space, &["-c", "1"]).await;
    let runs = call(&app, "fleet.hold_late", json!(["gate"])).await;
    space.entered("gate").await;
    listen(&app, 1).await;
    let waits = call(&app, "fleet.hold", json!(["never"])).await;
    let others = [
        call(&app, "fleet.hold", json!(["never"])).await,
        call(&app, "fleet.hold", json!(["never"])).await,
    ];
    let not_due = app.send_task("fleet.hold").args(("never",)).countdown(1.0).send().await;
    let not_due: AsyncResult = not_due.expect("it is published").typed();

    let told = asks(
        &space,
        &format!(
            "told = app.control.revoke({:?}, reply=True, timeout=20, limit=1)\n\
             app.control.revoke([{:?}, {:?}])\n\
             app.AsyncResult({:?}).revoke()\n\
             print(json.dumps(told))",
            waits.id(),
            others[0].id(),
            others[1].id(),
            not_due.id()
        ),
    )
    .await;
    let node = told[0].as_object().expect("a reply").keys().next().expect("a node").clone();
    let flagged = json!({ "ok": format!("tasks {{'{}'}} flagged as revoked", waits.id()) });
    assert_eq!(told, json!([{ node.as_str(): flagged }]));
    // Each is told at once, though no slot is free.
    for result in [&waits, &others[0], &others[1], &not_due] {
        is_revoked(result, "revoked").await;
    }
    let told = asks(
        &space,
        &format!(
            "print(json.dumps(app.control.terminate({:?}, signal='KILL', reply=True, timeout=20, limit=1)))",
            runs.id()
        ),
    )
    .await;
    let terminated = json!({ "ok": format!("terminate: {}", runs.id()) });
    assert_eq!(told, json!([{ node: terminated }]));
    is_revoked(&runs, "terminated").await;
    let inspected =
        asks(&space, "print(json.dumps(app.control.inspect(timeout=20, limit=1).revoked()))").await;
    let ids: Vec<&str> = inspected
        .as_object()
        .expect("replies")
        .values()
        .next()
        .expect("one")
        .as_array()
        .expect("ids")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(ids, [waits.id(), others[0].id(), others[1].id(), not_due.id(), runs.id()]);
    // What comes after the one that is not due shows that it was refused.
    let after = app.send_task("fleet.add").args((1, 2)).countdown(1.2).send().await;
    let after: AsyncResult = after.expect("it is published").typed();
    assert_eq!(after.get().await.expect("it runs"), json!(3));
    nothing_is_left(&space, first).await;
    let entered: bool = space.redis("EXISTS", &["{}entered:never"]).await;
    assert!(!entered, "one that is revoked has run");
}

#[tokio::test]
async fn what_waits_for_its_eta_stays_revoked_for_longer_than_a_worker_would_know_it() {
    let space = Space::new();
    // A revocation is known for a second, but for what waits.
    let brief = ("CELERY_WORKER_REVOKE_EXPIRES", "1");
    let variables = [(brief.0.to_owned(), brief.1.to_owned())];
    let app = space.builder().environment_from(variables).build().expect("settings of ours");
    let begin = async |name: &str| {
        let line = ["worker", "-n", name, "-l", "INFO", "--without-mingle", "--without-gossip"];
        let worker = Process::start(command(&space, &line).env(brief.0, brief.1));
        worker.says(" ready.").await;
        worker
    };
    let first = begin("first@here").await;
    listen(&app, 1).await;
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let sent = app.send_task("fleet.hold").args(("never",)).countdown(12.0).send().await;
        waiting.push(sent.expect("it is published").typed::<Value>());
    }
    let all_wait = async {
        while space.redis::<u64>("ZCARD", &["{}unacked_index"]).await < 2
            || space.redis::<u64>("LLEN", &["{}celery"]).await > 0
        {}
    };
    tokio::time::timeout(LIMIT, all_wait).await.expect("both wait in the broker");
    asks(&space, &format!("app.control.revoke({:?})", waiting[0].id())).await;
    first.says("Tasks flagged as revoked").await;
    assert!(first.stop().await.success());
    // Nobody listens to this.
    waiting[1].revoke().await.expect("the broker is told");

    let second = begin("second@here").await;
    for result in &waiting {
        is_revoked(result, "revoked").await;
    }
    nothing_is_left(&space, second).await;
    let entered: bool = space.redis("EXISTS", &["{}entered:never"]).await;
    assert!(!entered, "one that is revoked has run");
}

#[tokio::test]
async fn python_revokes_by_stamped_header() {
    let space = Space::new();
    let app = space.app();
    let first = worker(&space, &["-c", "2"]).await;
    listen(&app, 1).await;
    let send = |gate: &str, team: &str| {
        let lines = format!(
            "print(json.dumps(app.signature('fleet.hold', args=[{gate:?}]).apply_async(stamped_headers=['team'], team={team:?}).id))"
        );
        let (space, app) = (space.clone(), app.clone());
        async move {
            let id = asks(&space, &lines).await;
            AsyncResult::<Value>::new(&app, id.as_str().expect("an id"))
        }
    };
    let (blue, green) = (send("blue", "blue").await, send("green", "green").await);
    space.entered("blue").await;
    space.entered("green").await;
    let told = asks(
        &space,
        "print(json.dumps(app.control.revoke_by_stamped_headers({'team': ['blue', 'red']}, terminate=True, reply=True, timeout=20, limit=1)))",
    )
    .await;
    let reply = told[0].as_object().expect("a reply").values().next().expect("one");
    assert_eq!(
        reply,
        &json!({ "ok": "headers defaultdict(<class 'set'>, {'team': {'blue'}}) revoked" })
    );
    is_revoked(&blue, "terminated").await;
    is_revoked(&send("never", "red").await, "revoked").await;
    space.open("green").await;
    assert_eq!(green.get().await.expect("it runs"), json!("green"));
    assert!(first.stop().await.success());

    // A new worker has it from the broker.
    let _second = worker(&space, &["-c", "2", "-n", "second@fleet"]).await;
    is_revoked(&send("never", "blue").await, "revoked").await;
}

#[tokio::test]
async fn a_worker_that_starts_later_knows_what_is_revoked() {
    let space = Space::new();
    let app = space.app();
    let told = app.send_task("fleet.hold").args(("never",)).send().await.expect("it is published");
    // Nobody is alive.
    told.revoke().await.expect("the broker takes it");
    let first = worker(&space, &["-c", "1"]).await;
    is_revoked(&told.typed(), "revoked").await;
    // What Python says is remembered by the worker that hears it, and is known when it is restarted, and by a new one.
    listen(&app, 1).await;
    asks(&space, "app.control.revoke(['restarted', 'new'], reply=True, timeout=20, limit=1)").await;
    first.kill();
    for id in ["restarted", "new"] {
        let next = worker(&space, &["-c", "1", "-n", &format!("{id}@fleet")]).await;
        let sent = app.send_task("fleet.hold").args(("never",)).task_id(id).send().await;
        is_revoked(&sent.expect("it is published").typed(), "revoked").await;
        assert!(next.stop().await.success());
    }
    let ttl: i64 = space.redis("TTL", &["{}celery-set.revoked"]).await;
    assert!((10_700..=10_801).contains(&ttl), "what is revoked goes by itself, in {ttl} s");
}

#[tokio::test]
async fn python_workers_hear_what_we_revoke() {
    let space = Space::new();
    let app = space.app();
    let theirs = PythonWorker::start(&space, &["-P", "prefork", "-c", "1", "-l", "INFO"]).await;
    listen(&app, 1).await;
    let sent = app.send_task("proj.tasks.endless").send().await.expect("it is published");
    let runs: AsyncResult = sent.typed();
    theirs.says(&format!("Task proj.tasks.endless[{}] received", runs.id())).await;
    runs_somewhere(&app, runs.id()).await;
    let waits = app.send_task("proj.tasks.add").args((1, 2)).send().await.expect("published");
    waits.revoke().await.expect("the broker takes it");
    is_revoked(&waits.typed(), "revoked").await;
    runs.terminate("SIGKILL").await.expect("the broker takes it");
    is_revoked(&runs, "terminated").await;
    theirs.stop().await;
}

#[tokio::test]
async fn python_terminates_a_child_process_with_the_signal_that_it_names() {
    let space = Space::new().with("worker_proc_alive_timeout", 30);
    let app = space.app();
    let worker = worker(&space, &["-P", "prefork", "-c", "2", "-E"]).await;
    listen(&app, 1).await;
    for signal in ["SIGTERM", "SIGKILL"] {
        let busy = call(&app, "fleet.spin", json!(["spin"])).await;
        let other = call(&app, "fleet.hold", json!([signal])).await;
        space.entered("spin").await;
        space.entered(signal).await;
        let id = busy.id();
        asks(&space, &format!("app.control.revoke('{id}', terminate=True, signal='{signal}')"))
            .await;
        is_revoked(&busy, "terminated").await;
        // What runs beside it is not disturbed.
        space.open(signal).await;
        assert_eq!(other.get().await.expect("it succeeds"), json!(signal));
    }
    nothing_is_left(&space, worker).await;
}

#[tokio::test]
async fn a_worker_with_a_state_file_knows_after_a_restart_what_is_revoked_without_the_broker() {
    let space = Space::new();
    let app = space.app();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("worker.state");
    let file = file.to_str().expect("a path of text");
    let first = worker(&space, &["--statedb", file]).await;
    listen(&app, 1).await;
    let id = "00000000-0000-4000-8000-000000000001";
    asks(&space, &format!("app.control.revoke('{id}', reply=True, timeout=20, limit=1)")).await;
    assert!(first.stop().await.success());
    let _: u64 = space.redis("DEL", &["{}celery-set.revoked"]).await;
    let second = worker(&space, &["--statedb", file]).await;
    let task = app.send_task("fleet.add").args((1, 2)).task_id(id).send().await;
    is_revoked(&task.expect("it is published").typed(), "revoked").await;
    nothing_is_left(&space, second).await;
}
