//! Python and Rust workers on one queue.

use std::collections::{BTreeMap, HashMap};

use celery::Celery;
use peers::{LIMIT, PythonWorker, Space, scenario};
use serde_json::{Value, json};

use super::{rust::RustWorker, tasks::Count};
use crate::harness::app;

/// Half of the messages from either side.
async fn publish(space: &Space, app: &Celery, count: u64, countdown: f64) {
    let wanted = json!({ "count": count / 2, "countdown": countdown }).to_string();
    let _: Value = space.redis::<String>("SET", &["{}wanted", &wanted]).await.into();
    scenario(space, "publish_counts").await;
    for number in count / 2..count {
        let call = Count::s(number).with_app(app).ignore_result(true);
        let delay = countdown + f64::from(u32::try_from(number % 10).unwrap()) / 10.0;
        let call = if countdown > 0.0 { call.countdown(delay) } else { call };
        call.apply_async().await.unwrap();
    }
}

/// Waits until every task has run; returns how many each side ran, once it is sure that none ran twice.
async fn runs(space: &Space, count: usize) -> HashMap<String, usize> {
    let mut by_side = HashMap::new();
    let mut by_number = BTreeMap::<u64, Vec<String>>::new();
    for run in space.take("counted", count).await {
        let (side, number) = run.split_once(' ').unwrap();
        *by_side.entry(side.to_owned()).or_default() += 1;
        by_number.entry(number.parse().unwrap()).or_default().push(side.to_owned());
    }
    let twice: Vec<_> = by_number.iter().filter(|(_, sides)| sides.len() > 1).collect();
    assert!(twice.is_empty(), "these ran more than once: {twice:?}");
    assert_eq!(by_number.len(), count);
    by_side
}

/// Waits until every message is acknowledged. Python's worker does that some time after it began the task, and one
/// that is stopped in between forgets it.
async fn all_is_acknowledged(space: &Space) {
    let waiting = async {
        loop {
            let held: Vec<String> = space.redis("HVALS", &["{}unacked"]).await;
            if held.is_empty() {
                return;
            }
        }
    };
    tokio::time::timeout(LIMIT, waiting).await.expect("every message is acknowledged");
}

/// Nothing is left that could run, and nothing more has run.
async fn nothing_is_left(space: &Space) {
    let waiting: u64 = space.redis("LLEN", &["{}shared"]).await;
    let held: u64 = space.redis("HLEN", &["{}unacked"]).await;
    let index: u64 = space.redis("ZCARD", &["{}unacked_index"]).await;
    let more: u64 = space.redis("LLEN", &["{}counted"]).await;
    assert_eq!(
        (waiting, held, index, more),
        (0, 0, 0, 0),
        "waiting, held, in the index, run once more"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_tasks_on_a_shared_queue_run_exactly_once_each() {
    let space = Space::new().with("task_default_queue", "shared");
    let app = app(&space);
    let theirs = PythonWorker::start(&space, &["-P", "prefork", "-c", "2", "-Q", "shared"]).await;
    // A small window, so that ours does not take everything before Python has looked.
    let ours = RustWorker::start(&app, &["shared"], 2);
    publish(&space, &app, 2000, 0.0).await;
    let by_side = runs(&space, 2000).await;
    all_is_acknowledged(&space).await;
    ours.stop().await;
    theirs.stop().await;
    nothing_is_left(&space).await;
    assert!(by_side["py"] > 0 && by_side["rs"] > 0, "both take part: {by_side:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_with_an_eta_run_exactly_once_in_a_mixed_fleet() {
    let space = Space::new().with("task_default_queue", "shared");
    let app = app(&space);
    let theirs = PythonWorker::start(&space, &["-P", "solo", "-Q", "shared"]).await;
    let ours = RustWorker::start(&app, &["shared"], 2);
    publish(&space, &app, 100, 0.5).await;
    runs(&space, 100).await;
    all_is_acknowledged(&space).await;
    ours.stop().await;
    theirs.stop().await;
    nothing_is_left(&space).await;
}
