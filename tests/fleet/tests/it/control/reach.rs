//! Which workers Python's client reaches, and commands that only some worker has.

use std::collections::BTreeMap;

use peers::{Process, Space, python, run};
use serde_json::{Value, json};

use super::{NODE, Scene, captured};
use crate::harness::{command, listens, worker};

const SECOND: &str = "w2@wirehost";

/// What came of the cases, each of which says what is sent, and how.
async fn outcomes(space: &Space, cases: &Value) -> Value {
    let mut control = python(space, "control.py");
    let printed = run(control.args([cases.to_string().as_str(), NODE])).await;
    serde_json::from_str(&printed).expect("the script prints JSON")
}

/// Two workers that speak to each other, and listen.
async fn two_workers(space: &Space) -> [Process; 2] {
    let start = |name: &'static str| {
        let line = ["worker", "-l", "DEBUG", "-c", "1", "--without-mingle", "-n", name];
        Process::start(&mut command(space, &line))
    };
    let workers = [start(NODE), start(SECOND)];
    for (worker, other) in [(&workers[0], SECOND), (&workers[1], NODE)] {
        worker.says(&format!("{other} joined the party")).await;
    }
    let app = space.app();
    listens(&app, NODE).await;
    listens(&app, SECOND).await;
    workers
}

/// The replies by node, which come in any order.
fn by_node(replies: &Value) -> BTreeMap<&String, &Value> {
    let replies = replies.as_array().expect("a list of replies");
    let nodes: BTreeMap<_, _> =
        replies.iter().flat_map(|reply| reply.as_object().expect("a node's reply")).collect();
    assert_eq!(nodes.len(), replies.len(), "a node replied twice: {replies:?}");
    nodes
}

#[tokio::test(flavor = "multi_thread")]
async fn python_reaches_all_workers_or_those_that_a_pattern_says_or_so_many() {
    let space = Space::new();
    let workers = two_workers(&space).await;
    let (requests, celerys) = captured();
    let election = &requests["election"]["arguments"];
    let replies = outcomes(
        &space,
        &json!([
            ["ping_all", "ping", {}, { "destination": null, "limit": 2 }],
            ["ping_pattern", "ping", {},
                { "destination": null, "pattern": "w2*", "matcher": "glob", "timeout": 2 }],
            ["ping_pattern_pcre", "ping", {},
                { "destination": null, "pattern": "w[12]@.*", "matcher": "pcre", "limit": 2 }],
            ["pcre_of_one", "ping", {},
                { "destination": null, "pattern": "w[2-9]", "matcher": "pcre", "timeout": 2 }],
            ["ping_limit", "ping", {}, { "destination": null, "limit": 1 }],
            ["ping_unknown_destination", "ping", {},
                { "destination": ["nobody@nowhere"], "timeout": 0.5 }],
            ["gossip_election", "election", election, { "destination": [NODE, SECOND] }],
            ["gossip_election_unknown_topic", "election", { "id": "e2", "topic": "nope", "action": null },
                { "destination": [NODE, SECOND] }],
        ]),
    )
    .await;
    for case in [
        "ping_all",
        "ping_pattern",
        "ping_pattern_pcre",
        "ping_unknown_destination",
        "gossip_election",
        "gossip_election_unknown_topic",
    ] {
        assert_eq!(by_node(&replies[case]), by_node(&celerys[case]["replies"]), "{case}");
    }
    assert_eq!(replies["pcre_of_one"], celerys["ping_pattern"]["replies"]);
    // Which of the two is first is not said.
    let first = by_node(&replies["ping_limit"]);
    assert_eq!(first.into_values().collect::<Vec<_>>(), [&json!({ "ok": "pong" })]);
    for worker in workers {
        assert!(worker.stop().await.success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_may_be_restarted_says_so_as_celerys_does() {
    let space = Space::new().with("worker_pool_restarts", true);
    let worker = worker(&space, &["-P", "prefork", "-c", "1", "-n", NODE]).await;
    worker.says("ForkPoolWorker-1 is ready").await;
    let scene = Scene { space, worker, ids: BTreeMap::new() };
    scene.check(&[], &["pool_restart"]).await;
    scene.worker.says("ForkPoolWorker-2 is ready").await;
    assert!(scene.worker.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn python_calls_commands_of_the_programs_own() {
    let space = Space::new().with("worker_prefetch_multiplier", 4);
    let worker = worker(&space, &["-c", "2", "-n", NODE]).await;
    let replies = outcomes(
        &space,
        &json!([
            ["before", "held_at_most", {}],
            ["fewer", "hold_fewer", { "by": 3 }],
            ["after", "held_at_most", { "note": "by name" }],
            ["none", "hold_fewer", { "by": 5 }],
            ["strange", "hold_fewer", { "much": 5 }],
        ]),
    )
    .await;
    let one = |case: &str| replies[case][0][NODE].clone();
    assert_eq!(one("before"), json!({ "most": 8, "node": NODE, "note": "so it is" }));
    assert_eq!(one("fewer"), json!({ "ok": "holds 5 at most" }));
    assert_eq!(one("after"), json!({ "most": 5, "node": NODE, "note": "by name" }));
    assert_eq!(one("none"), json!({ "error": "ValueError('one is held at least')" }));
    let strange = one("strange");
    let strange = strange["error"].as_str().expect("a complaint");
    assert!(strange.contains("unexpected keyword argument 'much'"), "{strange}");
    assert!(worker.stop().await.success());
}
