//! Tasks, and etas, that are three times as far away as the visibility timeout.

use peers::{Ledger, Runs, Space};
use tokio::time::Instant;

use super::{
    load::{Books, Member, send},
    report, size,
};

/// In seconds.
const VISIBILITY_TIMEOUT: f64 = 1.0;

/// In milliseconds.
const THRICE: u64 = 3000;

/// A namespace in which Python looks for what is overdue as often as it can.
fn space() -> Space {
    Space::new()
        .with_transport_option("visibility_timeout", VISIBILITY_TIMEOUT)
        .with_transport_option("unacked_restore_interval", 1)
        .with_transport_option("unacked_restore_throttle", 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_task_of_three_visibility_timeouts_runs_once_beside_workers_that_look_for_it() {
    let (space, start) = (space().with("task_acks_late", true), Instant::now());
    let (ledger, app, tasks) = (Ledger::new(), space.app(), size(6, 60));
    let mut book = ledger.follow();
    let slots = tasks.to_string();
    let mut first = Member::new(&space, &ledger, "first@long", &["-c", &slots]);
    send(&app, "celery", (0..tasks).map(|number| (number, THRICE)).collect()).await;
    book.until("all have begun", |runs| runs.of.len() as u64 == tasks).await;
    // Both have nothing to do but to look for what is overdue.
    let mut second = Member::new(&space, &ledger, "second@long", &["-c", &slots]);
    let mut python = Member::python(&space, &ledger, "python@long", &["-P", "solo"]);
    python.process().says(" ready.").await;
    book.until("all are done", |runs| runs.done() as u64 == tasks).await;
    Books::of(&space).await.emptied().await;
    for worker in [&mut first, &mut second, &mut python] {
        worker.stop().await;
    }
    book.until_now(&ledger).await;
    counted("long tasks", &book.runs(), tasks, start);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_eta_of_three_visibility_timeouts_that_one_of_ours_took_first_runs_once_and_on_time() {
    let (space, start) = (space(), Instant::now());
    let (ledger, app, tasks) = (Ledger::new(), space.app(), size(40, 400));
    let mut book = ledger.follow();
    let mut ours = Member::new(&space, &ledger, "ours@eta", &["-c", "4"]);
    let sent_at = ledger.now().await;
    for number in 0..tasks {
        let task = app.send_task("fleet.work").args((number, 1_u64));
        task.countdown(3.0 * VISIBILITY_TIMEOUT).send().await.expect("it is published");
    }
    space.runs_out("celery").await;
    // It looks for what is overdue from its first second on.
    let mut python = Member::python(&space, &ledger, "python@eta", &["-P", "solo"]);
    book.until("all are done", |runs| runs.done() as u64 == tasks).await;
    Books::of(&space).await.emptied().await;
    python.process().says(" ready.").await;
    ours.stop().await;
    python.stop().await;
    book.until_now(&ledger).await;
    let early =
        book.runs().of.values().flatten().filter(|run| run.began < sent_at + THRICE * 1000).count();
    assert_eq!(early, 0, "some ran before their time");
    counted("far etas", &book.runs(), tasks, start);
}

fn counted(scenario: &str, runs: &Runs, sent: u64, start: Instant) {
    let done = runs.done() as u64;
    report(
        scenario,
        &[
            ("sent", sent),
            ("done", done),
            ("executed more than once", runs.again() as u64),
            ("lost", sent - done),
            ("restarts", 0),
            ("seconds", start.elapsed().as_secs()),
        ],
    );
    let again: Vec<_> = runs.of.iter().filter(|(_, runs)| runs.len() > 1).collect();
    assert!(again.is_empty(), "run again: {again:?}");
}
