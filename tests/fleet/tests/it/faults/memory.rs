//! How much memory a worker has, whatever waits in its broker.

use std::fs;

use deadpool_redis::redis::{cmd, pipe};
use peers::{Ledger, Server, Space};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    load::{Member, send},
    report, size,
};

/// By how much a worker may grow, in KiB: for what it holds and for the buffers of a batch.
const GROWS_BY: u64 = 12 << 10;

/// How many messages are pushed together.
const AT_ONCE: u64 = 5_000;

/// The resident memory of the process, in KiB.
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux says it");
    line.split_whitespace().nth(1).and_then(|size| size.parse().ok()).expect("a number")
}

/// Copies the only message of the queue, so often, each with an id and a tag of its own.
async fn multiply(space: &Space, queue: &str, times: u64) {
    let mut connection = space.connect().await;
    let key = format!("{}{queue}", space.prefix);
    let item: String = space.redis("LPOP", &[&format!("{{}}{queue}")]).await;
    let envelope: serde_json::Value = serde_json::from_str(&item).expect("kombu's envelope");
    let id = envelope["headers"]["id"].as_str().expect("an id");
    let tag = envelope["properties"]["delivery_tag"].as_str().expect("a tag");
    let mut left = times;
    while left > 0 {
        let mut pipeline = pipe();
        let now = left.min(AT_ONCE);
        for _ in 0..now {
            let copy = item.replace(id, &Uuid::new_v4().to_string());
            let copy = copy.replace(tag, &Uuid::new_v4().to_string());
            pipeline.add_command(cmd("LPUSH").arg(&key).arg(copy).to_owned()).ignore();
        }
        pipeline.query_async::<()>(&mut connection).await.expect("Redis answers");
        left -= now;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_no_larger_for_what_waits_in_its_queue_or_for_its_time() {
    let (messages, start) = (size(50_000, 1_000_000), Instant::now());
    // One that writes nothing to a file: it has enough to do.
    let server = Server::in_memory().await;
    let space = Space::at(&server.url(), "memory:").with("task_ignore_result", true);
    let (ledger, app) = (Ledger::new(), space.app());
    let mut book = ledger.follow();
    let mut worker = Member::new(&space, &ledger, "worker@memory", &["-c", "8", "-Q", "celery"]);
    // What it needs once is not what it grows by.
    send(&app, "celery", (0..200).map(|number| (number, 1)).collect()).await;
    book.until("it works", |runs| runs.done() == 200).await;
    let id = worker.process().id();
    let before = resident(id);

    // These take all slots: the rest waits.
    for _ in 0..8 {
        app.send_task("fleet.hold").args(("gate",)).send().await.expect("it is published");
        space.entered("gate").await;
    }
    app.send_task("fleet.add").args((1, 1)).queue("seed").send().await.expect("it is published");
    multiply(&space, "seed", messages).await;
    space.redis::<()>("RENAME", &["{}seed", "{}celery"]).await;
    let queued = resident(id);
    for _ in 0..8 {
        space.open("gate").await;
    }
    space.runs_out("celery").await;
    let drained = resident(id);

    let later = app.send_task("fleet.add").args((1, 1)).countdown(86_400.0).queue("seed");
    later.send().await.expect("it is published");
    multiply(&space, "seed", messages).await;
    space.redis::<()>("RENAME", &["{}seed", "{}celery"]).await;
    space.runs_out("celery").await;
    let waiting = resident(id);
    worker.stop().await;
    let deferred: u64 = space.redis("ZCARD", &["{}unacked_index"]).await;
    report(
        "memory of a worker",
        &[
            ("messages", messages),
            ("KiB before", before),
            ("KiB with them in the queue", queued),
            ("KiB when they are done", drained),
            ("KiB with as many etas", waiting),
            ("seconds", start.elapsed().as_secs()),
        ],
    );
    assert_eq!(deferred, messages, "all wait in the broker");
    for after in [queued, drained, waiting] {
        assert!(after < before + GROWS_BY, "from {before} to {after} KiB");
    }
}
