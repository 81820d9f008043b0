//! How a worker stops, in the middle of a task: nothing that waits is lost.

use crate::{
    process::Process,
    site::{Site, listen, wait_for_state},
};

const LATE: &str = "CELERY_TASK_ACKS_LATE = true\n";
/// The others put back what a killed worker held after three seconds.
const LATE_AND_WATCHED: &str =
    "CELERY_TASK_ACKS_LATE = true\nCELERY_BROKER_TRANSPORT_OPTIONS = { worker_timeout = 3 }\n";

/// A worker in the middle of a task, with more tasks in its hands. Returns the ids, the one that runs first.
fn busy(site: &Site, seconds: &str) -> (Process, Vec<String>) {
    let mut connection = site.connection();
    let mut states = listen(&mut connection);
    let mut worker = site.worker(&["-n", "busy@here", "-c", "1"]);
    let mut ids = vec![site.call("demoapp.tasks.sleep", seconds)];
    wait_for_state(&mut states, &ids[0], "PROGRESS");
    for number in ["1", "2", "3"] {
        ids.push(site.call("demoapp.tasks.add", &format!("[{number}, 1]")));
        worker.wait_for(&format!("[{}] received", ids.last().unwrap()));
    }
    (worker, ids)
}

/// The task that ran goes back beside those that waited, so that it may be anywhere among them.
#[track_caller]
fn assert_all_are_back(site: &Site, ids: &[String]) {
    let (ran, waited): (Vec<_>, Vec<_>) =
        site.waiting("celery").into_iter().partition(|id| *id == ids[0]);
    assert_eq!((ran.as_slice(), waited.as_slice()), ids.split_at(1));
}

#[test]
fn at_sigterm_the_task_that_runs_ends_and_those_that_wait_go_back_in_their_order() {
    let site = Site::new(12);
    let (mut worker, ids) = busy(&site, "[2]");
    worker.signal("TERM");
    worker.wait_for("worker: Warm shutdown (MainProcess)");
    worker.wait_for(&format!("demoapp.tasks.sleep[{}] succeeded", ids[0]));
    let ended = worker.end();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(site.waiting("celery"), ids[1..]);
    assert_eq!(site.result(&ids[0]), "2");

    let mut next = site.worker(&["-c", "1"]);
    for (id, sum) in ids[1..].iter().zip(["2", "3", "4"]) {
        next.wait_for(&format!("[{id}] succeeded"));
        assert_eq!(site.result(id), sum);
    }
}

#[test]
fn at_sigquit_what_is_acknowledged_late_goes_back_too() {
    let site = Site::with(13, LATE);
    let (worker, ids) = busy(&site, "[600]");
    worker.signal("QUIT");
    let ended = worker.end();
    assert!(ended.out.contains("worker: Cold shutdown (MainProcess)"), "{ended:#?}");
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert_all_are_back(&site, &ids);
}

#[test]
fn a_second_signal_does_not_wait_for_the_task_that_runs() {
    let site = Site::with(14, LATE);
    let (mut worker, ids) = busy(&site, "[600]");
    worker.signal("INT");
    worker.wait_for("worker: Warm shutdown (MainProcess)");
    worker.signal("INT");
    worker.wait_for("worker: Cold shutdown (MainProcess)");
    assert_eq!(worker.end().code, Some(1));
    assert_all_are_back(&site, &ids);
}

#[test]
fn what_a_killed_worker_was_running_is_run_by_another() {
    let site = Site::with(15, LATE_AND_WATCHED);
    let (worker, ids) = busy(&site, "[2]");
    worker.signal("KILL");
    assert_eq!(worker.end().code, None);
    assert_eq!(site.waiting("celery"), [""; 0]);

    let mut other = site.worker(&["-n", "other@here"]);
    other.wait_for("putting back what a worker left that died");
    assert_eq!(site.result(&ids[0]), "2");
    assert_eq!(site.result(&ids[3]), "4");
}
