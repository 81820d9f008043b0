//! Child processes: what kills one costs its task and nothing else, and none is left behind.

use std::{collections::HashSet, fs};

use celery::{AsyncResult, Celery, Error};
use peers::{LIMIT, Process, Space};
use serde_json::{Value, json};
use tokio::{
    process::Command,
    time::{Instant, timeout_at},
};

use crate::harness::{call, command, worker};

/// A worker with child processes.
pub(crate) async fn prefork(space: &Space, arguments: &[&str]) -> Process {
    worker(space, &[&["-P", "prefork"], arguments].concat()).await
}

pub(crate) fn space() -> Space {
    // The machine may be busy with other tests.
    Space::new().with("worker_proc_alive_timeout", 30)
}

/// The processes in the group of that one, itself not among them: its children, dead ones that nobody has reaped too.
fn children(of: &Process) -> HashSet<u32> {
    group(of, &["R", "S", "D", "T", "Z"])
}

/// Those of the group that are in one of these states.
pub(crate) fn group(of: &Process, states: &[&str]) -> HashSet<u32> {
    let leader = of.id();
    let ids = fs::read_dir("/proc").expect("Linux has it").filter_map(|entry| {
        let id: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name of the program, which is before it, may hold anything.
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let is_one = fields[2] == leader.to_string() && id != leader;
        (is_one && states.contains(&fields[0])).then_some(id)
    });
    ids.collect()
}

/// Waits until the worker has so many children, and all of them live.
async fn whole(worker: &Process, count: usize) {
    settled(worker, |all, dead| all.len() == count && dead.is_empty()).await;
}

/// Waits until nobody in the group lives, itself not counted.
///
/// A process that ends closes its files first: whoever saw its output end may see it alive for a moment more.
pub(crate) async fn deserted(of: &Process) {
    settled(of, |all, dead| all == dead).await;
}

/// Waits until this holds of its children, and of the dead among them that nobody has reaped.
async fn settled(of: &Process, holds: impl Fn(&HashSet<u32>, &HashSet<u32>) -> bool) {
    let end = Instant::now() + LIMIT;
    loop {
        // The dead are read last: one that dies in between is among both, not missing among the dead.
        let (all, dead) = (children(of), group(of, &["Z"]));
        if holds(&all, &dead) {
            return;
        }
        let rest = timeout_at(end, tokio::task::yield_now()).await;
        assert!(
            rest.is_ok() && Instant::now() < end,
            "{dead:?} of {all:?} are dead and not reaped"
        );
    }
}

/// The id of the process that runs the task.
async fn pid(app: &Celery, task: &str, args: Value) -> u32 {
    let pid = call(app, task, args).await.get().await.expect("the task succeeds");
    u32::try_from(pid.as_u64().expect("a process id")).expect("of 32 bits")
}

/// What the task failed with: its type and its message.
async fn failure(result: &AsyncResult<Value>) -> (String, String) {
    let error = result.get().await.expect_err("the task fails");
    let Error::Task { exception, .. } = &error else { panic!("{error:?}") };
    (exception.exc_type.clone(), exception.message())
}

#[tokio::test]
async fn a_task_runs_in_a_child_that_builds_its_own_state() {
    let space = space();
    let app = space.app();
    let worker = prefork(&space, &["-c", "2"]).await;
    let built = call(&app, "fleet.builder", json!([])).await.get().await.expect("it succeeds");
    assert_eq!(built[0], built[1]);
    assert_ne!(built[0], json!(worker.id()));
    let running = children(&worker);
    assert_eq!(running.len(), 2);
    assert!(running.contains(&u32::try_from(built[0].as_u64().expect("an id")).expect("it fits")));
    assert!(worker.stop().await.success());
}

#[tokio::test]
async fn whatever_kills_a_child_costs_its_task_alone() {
    let space = space();
    let app = space.app();
    let worker = prefork(&space, &["-c", "2"]).await;
    let other = call(&app, "fleet.hold", json!(["gate"])).await;
    space.entered("gate").await;
    let ends = [
        ("KILL", "signal 9 (SIGKILL)"),
        ("SEGV", "signal 11 (SIGSEGV)"),
        ("abort", "signal 6 (SIGABRT)"),
        ("memory", "signal 6 (SIGABRT)"),
        ("exit", "exitcode 3"),
    ];
    for (job, (how, told)) in (1..).zip(ends) {
        let result = call(&app, "fleet.die", json!([how])).await;
        let message = format!("Worker exited prematurely: {told} Job: {job}.");
        assert_eq!(failure(&result).await, ("WorkerLostError".to_owned(), message));
        whole(&worker, 2).await;
    }
    space.open("gate").await;
    assert_eq!(other.get().await.expect("it is unharmed"), json!("gate"));
    assert_eq!(call(&app, "fleet.add", json!([1, 2])).await.get().await.expect("it runs"), 3);
    let mut worker = worker;
    worker.signal("TERM").await;
    assert!(worker.ended().await.success());
    assert!(worker.log().contains("exited with 'signal 9 (SIGKILL)'"));
}

#[tokio::test]
async fn the_hard_limit_kills_a_child_that_never_awaits() {
    let space = space();
    let app = space.app();
    let worker = prefork(&space, &["-c", "2"]).await;
    let other = call(&app, "fleet.hold", json!(["gate"])).await;
    space.entered("gate").await;
    let spinning = app.send_task("fleet.spin").args(("spin",)).time_limit(2).send().await;
    let spinning = spinning.expect("it is published").typed();
    space.entered("spin").await;
    assert_eq!(failure(&spinning).await, ("TimeLimitExceeded".to_owned(), "2".to_owned()));
    whole(&worker, 2).await;
    space.open("gate").await;
    other.get().await.expect("it is unharmed");
    call(&app, "fleet.add", json!([1, 2])).await.get().await.expect("there is a new child");
    assert!(worker.stop().await.success());
}

#[tokio::test]
async fn the_soft_limit_reaches_a_task_in_its_child() {
    let space = space();
    let app = space.app();
    let worker = prefork(&space, &["-c", "1"]).await;
    let told = app.send_task("fleet.listen").soft_time_limit(1).send().await.expect("published");
    let told: AsyncResult<Value> = told.typed();
    assert_eq!(told.get().await.expect("it ends"), json!("the soft time limit was exceeded"));
    assert!(worker.stop().await.success());
}

#[tokio::test]
async fn a_panic_in_a_child_is_a_failure_like_any_other() {
    let space = space();
    let app = space.app();
    let worker = prefork(&space, &["-c", "1"]).await;
    let before = pid(&app, "fleet.pid", json!([])).await;
    let result = call(&app, "fleet.die", json!(["panic"])).await;
    assert_eq!(failure(&result).await, ("Panic".to_owned(), "as it was told".to_owned()));
    assert_eq!(pid(&app, "fleet.pid", json!([])).await, before);
    assert!(worker.stop().await.success());
}

#[tokio::test]
async fn a_task_in_a_child_ends_in_every_way_that_a_task_can_end() {
    let space = space();
    let app = space.app();
    let worker = prefork(&space, &["-c", "1"]).await;
    let end = async |how: &str| call(&app, "fleet.end", json!([how])).await;
    assert_eq!(end("retry").await.get().await.expect("it is retried"), json!("retried"));
    assert_eq!(failure(&end("odd").await).await, ("Error".to_owned(), "odd".to_owned()));
    assert_eq!(failure(&end("reject").await).await.0, "Reject");
    let ignored = end("ignore").await;
    worker.says(&format!("fleet.end[{}] ignored", ignored.id())).await;
    assert_eq!(ignored.state().await.expect("Redis answers").as_str(), "PENDING");
    // Only the child has the error itself, by whose type it is retried.
    let again = call(&app, "fleet.again", json!(["none"])).await;
    assert_eq!(again.get().await.expect("it is retried"), 7);
    assert!(worker.stop().await.success());
}

#[tokio::test]
async fn a_task_in_a_child_publishes_and_tells_of_itself() {
    let space = space();
    let app = space.app();
    let worker = prefork(&space, &["-c", "2"]).await;
    let result = call(&app, "fleet.delegate", json!(["gate"])).await;
    space.entered("gate").await;
    assert_eq!(result.state().await.expect("Redis answers").as_str(), "PROGRESS");
    space.open("gate").await;
    let sent = result.get().await.expect("it succeeds");
    let sent: AsyncResult<i64> = AsyncResult::new(&app, sent.as_str().expect("an id"));
    assert_eq!(sent.get().await.expect("it runs"), 42);
    let backend = app.backend().await.expect("Redis answers");
    let stored = backend.get(result.id()).await.expect("Redis answers").expect("it is stored");
    assert_eq!(stored.children, Some(vec![json!([[sent.id(), null], null])]));
    assert!(worker.stop().await.success());
}

#[tokio::test]
async fn a_message_whose_child_died_is_put_back_or_retried_as_its_task_says() {
    let space = space();
    let app = space.app();
    let worker = prefork(&space, &["-c", "1"]).await;
    let runs = async |task: &str, args: Value| {
        let _: u64 = space.redis("DEL", &["{}runs"]).await;
        call(&app, task, args).await
    };
    let once = runs("fleet.die_once", json!(["KILL"])).await;
    assert_eq!(once.get().await.expect("the second run returns"), 2);
    let retried = runs("fleet.die_and_retry", json!([1])).await;
    assert_eq!(retried.get().await.expect("the retry returns"), 2);
    let lost = runs("fleet.die_and_retry", json!([9])).await;
    assert_eq!(failure(&lost).await.0, "WorkerLostError");
    assert!(worker.stop().await.success());
}

#[tokio::test]
async fn the_settings_say_what_becomes_of_a_message_whose_child_died() {
    let (put_back, retried) = ("task_reject_on_worker_lost", "task_retry_on_worker_lost");
    for (setting, end) in
        [(None, None), (Some(put_back), Some(json!([2, 0]))), (Some(retried), Some(json!([2, 1])))]
    {
        let space = space();
        let space = if let Some(setting) = setting { space.with(setting, true) } else { space };
        let app = space.app();
        let worker = prefork(&space, &["-c", "1"]).await;
        let result = call(&app, "fleet.die_late", json!([1])).await;
        if let Some(end) = end {
            assert_eq!(result.get().await.expect("it comes again"), end, "{setting:?}");
        } else {
            assert_eq!(failure(&result).await.0, "WorkerLostError");
        }
        assert!(worker.stop().await.success());
    }
}

#[tokio::test]
async fn a_child_is_replaced_after_so_many_tasks_or_with_so_much_memory() {
    let space = space();
    let app = space.app();
    let first = prefork(&space, &["-c", "1", "--max-tasks-per-child", "2"]).await;
    let mut pids = Vec::new();
    for _ in 0..5 {
        pids.push(pid(&app, "fleet.pid", json!([])).await);
    }
    assert_eq!((pids[0], pids[2]), (pids[1], pids[3]));
    assert_eq!(HashSet::<u32>::from_iter(pids).len(), 3);
    assert!(first.stop().await.success());
    let second = prefork(&space, &["-c", "1", "--max-memory-per-child", "100000"]).await;
    let before = pid(&app, "fleet.pid", json!([])).await;
    assert_eq!(pid(&app, "fleet.eat", json!([1])).await, before);
    assert_eq!(pid(&app, "fleet.eat", json!([200])).await, before);
    second.says("child process exiting after exceeding memory limit").await;
    assert_ne!(pid(&app, "fleet.pid", json!([])).await, before);
    assert!(second.stop().await.success());
}

#[tokio::test]
async fn one_task_may_have_a_child_of_its_own_in_any_pool() {
    let space = space();
    let app = space.app();
    let worker = worker(&space, &["-c", "1"]).await;
    assert_eq!(children(&worker).len(), 0);
    assert_eq!(pid(&app, "fleet.pid", json!([])).await, worker.id());
    let isolated = pid(&app, "fleet.isolated", json!([])).await;
    assert_eq!(children(&worker), HashSet::from([isolated]));
    assert_eq!(pid(&app, "fleet.isolated", json!([])).await, isolated);
    let lost = call(&app, "fleet.isolated_abort", json!([])).await;
    assert_eq!(failure(&lost).await.0, "WorkerLostError");
    assert_ne!(pid(&app, "fleet.isolated", json!([])).await, isolated);
    assert_eq!(pid(&app, "fleet.pid", json!([])).await, worker.id());
    assert!(worker.stop().await.success());
}

#[tokio::test]
async fn an_idle_child_that_is_killed_is_replaced_and_reaped() {
    let space = space();
    let app = space.app();
    let worker = prefork(&space, &["-c", "1"]).await;
    let before = pid(&app, "fleet.pid", json!([])).await;
    peers::run(Command::new("kill").args(["-KILL", &before.to_string()])).await;
    worker.says("exited with 'signal 9 (SIGKILL)'").await;
    let after = pid(&app, "fleet.pid", json!([])).await;
    assert_eq!(children(&worker), HashSet::from([after]));
    assert_ne!(after, before);
    assert!(worker.stop().await.success());
}

#[tokio::test]
async fn a_child_begins_and_ends_with_the_hooks_of_its_app() {
    let space = space();
    let worker = prefork(&space, &["-c", "2"]).await;
    space.entered("init").await;
    space.entered("init").await;
    assert!(worker.stop().await.success());
    space.entered("shutdown").await;
    space.entered("shutdown").await;
}

#[tokio::test]
async fn a_worker_whose_children_cannot_start_stops_and_says_why() {
    for (how, why) in [
        ("fail", "`worker_process_init` failed: no licence"),
        ("hang", "it did not report in within 500ms"),
    ] {
        let space = Space::new().with("worker_proc_alive_timeout", 0.5);
        let line = ["worker", "-l", "INFO", "-P", "prefork", "-c", "2"];
        let mut worker = Process::start(command(&space, &line).env("FLEET_INIT", how));
        assert_eq!(worker.ended().await.code(), Some(1));
        let log = worker.log();
        assert!(log.contains(&format!("no child process can be started: {why}")), "{log}");
    }
}

#[tokio::test]
async fn much_is_given_to_a_child_and_taken_from_it() {
    let space = space();
    let app = space.app();
    let worker = prefork(&space, &["-c", "1"]).await;
    let given = "x".repeat(2 << 20);
    let text = call(&app, "fleet.text", json!([3, given])).await.get().await.expect("it returns");
    assert_eq!(text.as_str().map(str::len), Some(6 << 20));
    assert!(worker.stop().await.success());
}

#[tokio::test]
async fn what_a_child_logs_is_in_the_workers_log_under_its_name_or_in_a_file_of_its_own() {
    let space = space();
    let app = space.app();
    let first = prefork(&space, &["-c", "1"]).await;
    call(&app, "fleet.say", json!(["well"])).await.get().await.expect("it succeeds");
    first.says("INFO/ForkPoolWorker-1] well").await;
    assert!(first.stop().await.success());
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("worker%I.log");
    let line = ["worker", "-l", "INFO", "-P", "prefork", "-c", "1", "-f"];
    let line = [&line[..], &[file.to_str().expect("a path")]].concat();
    let second = Process::start(&mut command(&space, &line));
    call(&app, "fleet.say", json!(["unheard"])).await.get().await.expect("it succeeds");
    assert!(second.stop().await.success());
    let read = |name| fs::read_to_string(folder.path().join(name)).expect("it is written");
    assert!(read("worker-1.log").contains("INFO/ForkPoolWorker-1] unheard"));
    assert!(read("worker.log").contains("INFO/MainProcess] Task fleet.say"));
    assert!(!read("worker.log").contains("unheard"));
}

#[tokio::test]
async fn the_hooks_of_a_task_are_called_where_it_runs_or_by_the_worker_when_that_was_killed() {
    let space = space();
    let app = space.app();
    let worker = prefork(&space, &["-c", "1"]).await;
    let child = pid(&app, "fleet.pid", json!([])).await;
    call(&app, "fleet.die_watched", json!(["panic"])).await;
    worker.says(&format!("hook: begins in {child}")).await;
    worker.says(&format!("hook: Panic in {child}")).await;
    call(&app, "fleet.die_watched", json!(["KILL"])).await;
    worker.says(&format!("hook: WorkerLostError in {}", worker.id())).await;
    call(&app, "fleet.die_watched", json!(["hang"])).await;
    worker.says(&format!("hook: TimeLimitExceeded in {}", worker.id())).await;
    worker.stop().await;
}
