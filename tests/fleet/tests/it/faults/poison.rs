//! Tasks that kill whoever runs them, and the queue behind them.

use std::time::Duration;

use celery::{AsyncResult, Error};
use peers::{Ledger, Space};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    load::{Books, Member, send},
    report,
};

/// After how many deliveries a message is set aside.
const DELIVERIES: u64 = 3;

/// How many tasks wait behind it.
const BEHIND: u64 = 30;

fn space() -> Space {
    Space::new()
        .with_transport_option("worker_timeout", 3)
        .with("task_acks_late", true)
        .with("task_max_deliveries", DELIVERIES)
}

/// Sends the task, and others behind it, to a worker that is started again whenever it has died; expects the task to be set
/// aside after so many deliveries, its caller to be told, and the others to be run.
async fn is_set_aside(task: &str, how: &str, dies: bool) {
    let (space, start) = (space(), Instant::now());
    let (ledger, app) = (Ledger::new(), space.app());
    let mut book = ledger.follow();
    let poison = app.send_task(task).args((0, how)).send().await.expect("it is published");
    send(&app, "celery", (1..=BEHIND).map(|number| (number, 1)).collect()).await;
    let mut worker = Member::new(&space, &ledger, "worker@poison", &["-c", "1"]);
    let all = |runs: &peers::Runs| runs.done() as u64 == BEHIND;
    while !book.holds_within(Duration::from_millis(50), all).await {
        worker.start_if_over().await;
        assert!(start.elapsed() < peers::LIMIT, "the queue does not move on: {:?}", book.runs());
    }
    let poison: AsyncResult<Value> = poison.typed();
    let failure = poison.get_within(peers::LIMIT).await.expect_err("it never returns");
    let broker = app.broker().await.expect("Redis answers");
    let aside = broker.quarantined("celery").await.expect("Redis answers");
    Books::of(&space).await.emptied().await;
    let restarts = u64::from(worker.restarts());
    worker.stop().await;
    book.until_now(&ledger).await;
    let runs = book.runs().of[&0].len() as u64;
    report(
        &format!("{task} by {how}"),
        &[
            ("sent", BEHIND + 1),
            ("done", BEHIND),
            ("deliveries of the poison", runs),
            ("quarantined", aside.len() as u64),
            ("restarts", restarts),
            ("seconds", start.elapsed().as_secs()),
        ],
    );
    assert!(matches!(failure, Error::Task { .. }), "{failure:?}");
    assert_eq!(runs, DELIVERIES, "so often it was delivered");
    assert_eq!(restarts, if dies { DELIVERIES } else { 0 });
    let [set_aside] = &aside[..] else { panic!("one is set aside: {aside:?}") };
    assert!(String::from_utf8_lossy(&set_aside.raw).contains(poison.id()), "{set_aside:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_kills_its_worker_every_time_is_set_aside_and_the_queue_moves_on() {
    is_set_aside("fleet.kill_worker", "KILL", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_aborts_its_worker_every_time_is_set_aside_and_the_queue_moves_on() {
    is_set_aside("fleet.kill_worker", "abort", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_kills_its_child_every_time_is_set_aside_and_the_worker_lives() {
    is_set_aside("fleet.kill_child", "KILL", false).await;
}
