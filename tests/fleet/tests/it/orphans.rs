//! What becomes of child processes when their worker ends, and of those of several workers in one program.

use std::collections::HashSet;

use celery::AsyncResult;
use peers::Process;
use serde_json::json;
use tokio::process::Command;

use crate::{
    children::{deserted, group, prefork, space},
    harness::{call, command, worker},
};

/// The states of processes that are not dead.
const ALIVE: [&str; 4] = ["R", "S", "D", "T"];

#[tokio::test]
async fn no_child_outlives_a_worker_that_is_killed() {
    let space = space();
    let app = space.app();
    let mut worker = prefork(&space, &["-c", "3"]).await;
    call(&app, "fleet.spin", json!(["spin"])).await;
    call(&app, "fleet.hold", json!(["gate"])).await;
    space.entered("spin").await;
    space.entered("gate").await;
    assert_eq!(group(&worker, &ALIVE).len(), 3);
    worker.signal("KILL").await;
    // Its output ends when nobody is left who could write there.
    worker.ended().await;
    deserted(&worker).await;
}

#[tokio::test]
async fn no_isolated_task_outlives_a_worker_that_is_killed() {
    let space = space();
    let app = space.app();
    let mut worker = worker(&space, &["-c", "1"]).await;
    call(&app, "fleet.isolated_spin", json!(["spin"])).await;
    space.entered("spin").await;
    assert_eq!(group(&worker, &ALIVE).len(), 1);
    worker.signal("KILL").await;
    // Its output ends when nobody is left who could write there.
    worker.ended().await;
    deserted(&worker).await;
}

#[tokio::test]
async fn what_stops_the_whole_group_is_for_the_worker_to_decide() {
    for (signal, code) in [("TERM", 0), ("INT", 1)] {
        let space = space();
        let app = space.app();
        let mut worker = prefork(&space, &["-c", "1"]).await;
        let held = call(&app, "fleet.hold", json!(["gate"])).await;
        space.entered("gate").await;
        let group = format!("-{}", worker.id());
        peers::run(Command::new("kill").args(["-s", signal, "--", &group])).await;
        worker.says("Warm shutdown").await;
        space.open("gate").await;
        assert_eq!(held.get().await.expect("its child lives on"), json!("gate"));
        assert_eq!(worker.ended().await.code(), Some(code));
    }
}

#[tokio::test]
async fn a_cold_shutdown_kills_the_children_and_hands_back_what_is_late() {
    let space = space();
    let app = space.app();
    let mut first = prefork(&space, &["-c", "2"]).await;
    let late = call(&app, "fleet.hold_late", json!(["gate"])).await;
    space.entered("gate").await;
    call(&app, "fleet.spin", json!(["spin"])).await;
    space.entered("spin").await;
    first.signal("QUIT").await;
    assert_eq!(first.ended().await.code(), Some(1));
    deserted(&first).await;
    assert!(
        !first.log().contains("ForkPoolWorker-3"),
        "none takes the place of one that is killed"
    );
    let second = prefork(&space, &["-c", "1"]).await;
    space.entered("gate").await;
    space.open("gate").await;
    assert_eq!(late.get().await.expect("another worker runs it"), json!("gate"));
    assert!(second.stop().await.success());
}

#[tokio::test]
async fn the_workers_of_one_program_have_children_of_their_own() {
    let space = space().with("worker_pool", "prefork").with("worker_max_tasks_per_child", 1);
    let app = space.app();
    let mut program = Process::start(command(&space, &[]).env("FLEET_MAIN", "two"));
    let mut pids = HashSet::new();
    for queue in ["one", "two", "one", "two"] {
        let result = app.send_task("fleet.pid").queue(queue).send().await.expect("published");
        let result: AsyncResult<u32> = result.typed();
        pids.insert(result.get().await.expect("it runs"));
        space.entered("shutdown").await;
    }
    assert_eq!(pids.len(), 4);
    assert!(!pids.contains(&program.id()));
    program.signal("TERM").await;
    program.ended().await;
    deserted(&program).await;
}

#[tokio::test]
async fn a_worker_that_is_dropped_has_no_children_any_more_and_starts_none() {
    let space = space().with("worker_pool", "prefork");
    let app = space.app();
    let mut program = Process::start(command(&space, &[]).env("FLEET_MAIN", "dropped"));
    space.entered("init").await;
    app.send_task("fleet.hold").queue("one").args(("gate",)).send().await.expect("published");
    // The first worker is dropped in the middle of its task, and there is another one in the same program.
    space.entered("gate").await;
    space.open("drop").await;
    space.entered("init").await;
    let pid = app.send_task("fleet.pid").queue("two").send().await.expect("published");
    let pid: AsyncResult<u32> = pid.typed();
    let pid = pid.get().await.expect("it runs");
    assert_eq!(group(&program, &ALIVE), HashSet::from([pid]));
    space.open("stop").await;
    assert!(program.ended().await.success());
    let started: u64 = space.redis("LLEN", &["{}entered:init"]).await;
    assert_eq!(started, 0, "so many were started besides");
}

#[tokio::test]
async fn a_child_has_no_part_in_a_broker_inside_its_worker() {
    let space = space();
    let printed = peers::run(command(&space, &[]).env("FLEET_MAIN", "embedded")).await;
    assert!(printed.contains("isolated: true\n"), "{printed}");
    assert!(printed.contains("sent: `memory://` is inside the worker"), "{printed}");
}

#[tokio::test]
async fn a_child_whose_worker_dies_before_it_has_started_ends_and_is_no_worker() {
    let space = space();
    let line = ["worker", "-P", "prefork", "-c", "2"];
    let mut worker = Process::start(command(&space, &line).env("FLEET_CHILD", "late"));
    space.entered("late").await;
    space.entered("late").await;
    worker.signal("KILL").await;
    space.open("late").await;
    space.open("late").await;
    // Its output ends when nobody is left who could write there.
    worker.ended().await;
    deserted(&worker).await;
}
