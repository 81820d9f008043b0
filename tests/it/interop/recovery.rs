//! What is lost on one side comes back on the other.

use std::{env, process::Stdio, time::Duration};

use celery::AsyncResult;
use peers::{LIMIT, PythonWorker, Space, service};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::{
    rust::RustWorker,
    tasks::{FleetHeld, Note},
};
use crate::harness::app;

/// Names the namespace of the test that started this process, whose worker it is to be.
const JOIN: &str = "CELERY_TEST_JOIN";

/// Starts this test again as the worker of its namespace, in a process of its own, so that signals can be sent to it.
fn worker_of(this_test: &str, space: &Space) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", this_test, "--nocapture"])
        .env(JOIN, &space.prefix)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// The namespace of the test that started this process.
fn joined(prefix: &str) -> Space {
    Space::at(&service("CELERY_TEST_REDIS_URL"), prefix)
}

/// What the process that [`worker_of`] starts does until it is killed.
async fn be_the_worker(space: &Space) {
    let _worker = RustWorker::start(&app(space), &["shared"], 1);
    tokio::time::timeout(LIMIT, std::future::pending::<()>()).await.unwrap_err();
}

fn short_visibility(space: Space) -> Space {
    space
        .with("task_default_queue", "shared")
        .with_transport_option("visibility_timeout", 2)
        .with_transport_option("unacked_restore_interval", 1)
}

/// The database of the test that tells connections by theirs. Nothing else here is in one beyond the usual sixteen.
const ITS_OWN: u32 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn rust_runs_what_a_killed_python_worker_held() {
    let space = short_visibility(Space::new());
    let app = app(&space);
    let theirs = PythonWorker::start(&space, &["-P", "prefork", "-c", "1", "-Q", "shared"]).await;
    let result = FleetHeld::s("gate".to_owned()).with_app(&app).apply_async().await.unwrap();
    let pid = space.entered("gate").await;
    assert_ne!(pid, "rust");
    theirs.kill();

    let ours = RustWorker::start(&app, &["shared"], 1);
    assert_eq!(space.entered("gate").await, "rust");
    space.open("gate").await;
    assert_eq!(result.get_within(LIMIT).await.unwrap(), "rust");
    ours.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_runs_what_a_killed_rust_worker_held() {
    if let Ok(prefix) = env::var(JOIN) {
        return be_the_worker(&short_visibility(joined(&prefix))).await;
    }
    let space = short_visibility(Space::new());
    let app = app(&space);
    let this_test = "interop::recovery::python_runs_what_a_killed_rust_worker_held";
    let mut ours = worker_of(this_test, &space);
    let result = FleetHeld::s("gate".to_owned()).with_app(&app).apply_async().await.unwrap();
    assert_eq!(space.entered("gate").await, "rust");
    // What is held for longer than a moment is where Python finds it.
    let in_kombus_books = async { while space.redis::<u64>("HLEN", &["{}unacked"]).await == 0 {} };
    tokio::time::timeout(LIMIT, in_kombus_books).await.expect("the worker holds it for a while");
    ours.kill().await.unwrap();

    let theirs = PythonWorker::start(&space, &["-P", "solo", "-Q", "shared"]).await;
    assert_ne!(space.entered("gate").await, "rust");
    space.open("gate").await;
    assert_eq!(result.get_within(LIMIT).await.unwrap(), "python");
    theirs.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_slept_leaves_what_others_took_and_goes_on() {
    let of = |space: Space| {
        let space = space.with("task_default_queue", "shared");
        space.with("worker_prefetch_multiplier", 4).with_transport_option("worker_timeout", 3)
    };
    if let Ok(prefix) = env::var(JOIN) {
        return be_the_worker(&of(joined(&prefix))).await;
    }
    let space = of(Space::new());
    let app = app(&space);
    let this_test = "interop::recovery::a_worker_that_slept_leaves_what_others_took_and_goes_on";
    let mut sleeper = worker_of(this_test, &space);
    let pid = sleeper.id().unwrap().to_string();
    let signal = async |name: &str| {
        let sent = Command::new("kill").args([name, &pid]).status().await.unwrap();
        assert!(sent.success(), "{name}");
    };
    // One task runs and is acknowledged late, two have been fetched and have not begun.
    let held = FleetHeld::s("gate".to_owned()).with_app(&app).apply_async().await.unwrap();
    assert_eq!(space.entered("gate").await, "rust");
    for word in ["one", "two"] {
        Note::s(word.to_owned()).with_app(&app).apply_async().await.unwrap();
    }
    let fetched = async {
        while space.redis::<u64>("SCARD", &[&held_by_the_only_one(&space).await]).await < 3 {}
    };
    tokio::time::timeout(LIMIT, fetched).await.expect("the worker fetches what it may hold");
    signal("-STOP").await;

    let awake = RustWorker::start(&app, &["shared"], 2);
    assert_eq!(space.entered("gate").await, "rust");
    let mut noted = space.take("noted", 2).await;
    noted.sort();
    assert_eq!(noted, ["one", "two"]);
    signal("-CONT").await;
    // Both runs of the task that was acknowledged late end, and each is only asked to forget the message.
    space.open("gate").await;
    space.open("gate").await;
    assert_eq!(held.get_within(LIMIT).await.unwrap(), "rust");
    awake.stop().await;
    // It consumes on, and what was taken from it is not run again before that.
    Note::s("three".to_owned()).with_app(&app).apply_async().await.unwrap();
    assert_eq!(space.take("noted", 1).await, ["three"]);
    let emptied = async { while space.redis::<u64>("HLEN", &["{}unacked"]).await > 0 {} };
    tokio::time::timeout(LIMIT, emptied).await.expect("all is acknowledged");
    assert_eq!(space.redis::<u64>("LLEN", &["{}noted"]).await, 0, "something ran twice");
    assert_eq!(space.redis::<u64>("LLEN", &["{}shared"]).await, 0, "something was put back");
    sleeper.kill().await.unwrap();
}

/// The key of what the only process holds, once there is one.
async fn held_by_the_only_one(space: &Space) -> String {
    let processes: Vec<String> = space.redis("ZRANGE", &["{}celery-processes", "0", "-1"]).await;
    format!("{{}}celery-held.{}", processes.first().map_or("", String::as_str))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_task_of_rust_is_not_restored_by_kombu_while_it_runs() {
    let space = short_visibility(Space::new());
    let app = app(&space);
    let ours = RustWorker::start(&app, &["shared"], 1);
    let result = FleetHeld::s("gate".to_owned()).with_app(&app).apply_async().await.unwrap();
    assert_eq!(space.entered("gate").await, "rust");
    // A worker of Python looks for what is overdue when it starts, and every ten seconds.
    for _ in 0..2 {
        let began: (u64, u64) = space.redis("TIME", &[]).await;
        let theirs = PythonWorker::start(&space, &["-P", "solo", "-Q", "shared"]).await;
        let nobody: Option<(String, String)> = space.redis("BLPOP", &["{}entered:gate", "3"]).await;
        assert_eq!(nobody, None, "it ran again, after {began:?}");
        theirs.stop().await;
    }
    space.open("gate").await;
    assert_eq!(result.get_within(LIMIT).await.unwrap(), "rust");
    ours.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_consumes_on_after_its_connections_are_killed() {
    let url = service("CELERY_TEST_REDIS_URL");
    let database = url.strip_suffix("/0").expect("the url ends with a database");
    // A database of its own, by which its connections are known.
    let space =
        Space::at(&format!("{database}/{ITS_OWN}"), &format!("it-{}:", uuid::Uuid::new_v4()))
            .with("task_default_queue", "rs");
    let app = app(&space);
    let ours = RustWorker::start(&app, &["rs"], 2);
    let held = FleetHeld::s("gate".to_owned()).with_app(&app).apply_async().await.unwrap();
    assert_eq!(space.entered("gate").await, "rust");
    let is_ours = |line: &&str| line.contains(&format!(" db={ITS_OWN} "));
    // The connection that has just heard of the task at the gate has waited, too.
    let waits = |line: &str| line.contains(" cmd=blpop");
    let waits_now = |line: &str| waits(line) && line.contains(" flags=b ");
    for round in 0..3 {
        // The task at the gate is let come to its wait, lest its connection be taken for one of the worker's.
        let clients = tokio::time::timeout(LIMIT, async {
            loop {
                let clients: String = space.redis("CLIENT", &["LIST"]).await;
                if clients.lines().filter(is_ours).any(waits_now) {
                    return clients;
                }
            }
        })
        .await
        .expect("the task waits at the gate");
        let of_ours = clients.lines().filter(is_ours).filter(|line| !line.contains(" cmd=client"));
        // The task at the gate waits on a connection that is not the worker's.
        let workers = of_ours.filter(|line| !waits(line));
        let mut killed = 0;
        for line in workers {
            let id = line.split(' ').find_map(|field| field.strip_prefix("id=")).unwrap();
            killed += space.redis::<u64>("CLIENT", &["KILL", "ID", id]).await;
        }
        assert!(killed > 0, "round {round}: {clients}");
        let word = format!("round {round}");
        let result = Note::s(word.clone()).with_app(&app).apply_async().await.unwrap();
        assert_eq!(space.take("noted", 1).await, [word.as_str()]);
        assert_eq!(result.get_within(LIMIT).await.unwrap(), word);
    }
    space.open("gate").await;
    assert_eq!(held.get_within(LIMIT).await.unwrap(), "rust");
    let other: AsyncResult<Value> = app.send_task("rs.add").args((1, 2)).send().await.unwrap();
    assert_eq!(other.get_within(Duration::from_secs(20)).await.unwrap(), json!(3));
    ours.stop().await;
    let again: u64 = space.redis("LLEN", &["{}entered:gate"]).await;
    assert_eq!(again, 0, "the held task ran again");
}
