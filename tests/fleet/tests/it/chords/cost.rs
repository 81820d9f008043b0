//! What a chord costs the server.

use std::collections::BTreeMap;

use celery::{Signature, chord};
use peers::{LIMIT, Server, Space};
use serde_json::json;
use tokio::time::timeout;

use crate::harness::worker;

/// How often each command was asked for by clients and by scripts.
async fn calls(server: &Server) -> BTreeMap<String, u64> {
    let stats: String = server.command(&["INFO", "commandstats"]).await;
    let call = |line: &str| {
        let (name, numbers) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name.to_owned(), numbers.split(',').next()?.parse().ok()?))
    };
    stats.lines().filter_map(call).collect()
}

/// A part is one more order of its worker than a task that is none: it is stored and counted by one script, which parts that
/// are done at the same time share.
#[tokio::test]
async fn a_part_of_a_chord_costs_no_round_trip_beyond_that_of_its_result() {
    const PARTS: u64 = 1000;
    let server = Server::in_memory().await;
    let space = Space::at(&server.url(), "app:");
    let app = space.app();
    let _worker = worker(&space, &["-c", "8"]).await;
    let parts = || (0..PARTS).map(|number| Signature::named("fleet.part").args((number,)));
    let scripts = async || {
        let calls = calls(&server).await;
        ["eval", "evalsha"].iter().filter_map(|name| calls.get(*name)).sum::<u64>()
    };
    let before = scripts().await;
    let body = Signature::named("fleet.gather").args(("once",));
    let result = chord(parts(), body).with_app(&app).apply_async().await.expect("it is published");
    let got = timeout(LIMIT, result.get()).await.expect("it is called").expect("no part fails");
    assert_eq!(got, json!((0..PARTS).collect::<Vec<_>>()));
    let used = scripts().await - before;
    // One that stores and counts for each part at most, one that acknowledges, and what takes them from their queue, in batches.
    assert!(used < 3 * PARTS, "{used} scripts for {PARTS} parts");
    let calls = calls(&server).await;
    assert!(calls["zadd"] >= PARTS, "each part is counted: {calls:?}");
    // Nobody reads what is counted but who completes it.
    assert!(calls.get("zrange").copied().unwrap_or(0) < 50, "{calls:?}");
}
