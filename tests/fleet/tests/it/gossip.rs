//! What workers tell each other: at the start, and when one of them is to be elected.

use peers::{Process, PythonWorker, Space, python, run};
use serde_json::{Value, json};

use crate::harness::{command, listens};

/// Starts a worker that speaks to its neighbours, and waits until it is ready.
async fn worker(space: &Space, name: &str) -> Process {
    let worker =
        Process::start(command(space, &["worker", "-l", "DEBUG", "-c", "1"]).args(["-n", name]));
    worker.says(" ready.").await;
    worker
}

#[tokio::test]
async fn a_worker_that_starts_learns_what_a_python_worker_knows_is_revoked() {
    let space = Space::new();
    let theirs = PythonWorker::start(&space, &["-P", "solo", "-n", "python@mingle"]).await;
    let app = space.app();
    listens(&app, "python@mingle").await;
    let control = app.control();
    let asked = control.revoke(["some-id"]).destination(["python@mingle"]).limit(1);
    asked.replies().await.expect("the Python worker answers");
    let clock = control.inspect().clock().limit(1).answers().await.expect("it answers");
    let theirs_reads = clock[0].1.as_ref().expect("a clock").clock;

    let ours = worker(&space, "rust@mingle").await;
    ours.says("mingle: sync with 1 nodes").await;
    ours.says("mingle: sync complete").await;
    let inspect = control.inspect();
    let revoked = inspect.revoked().destination(["rust@mingle"]).answers().await;
    let revoked = revoked.expect("our worker answers").remove(0).1.expect("a list of ids");
    assert_eq!(revoked, ["some-id"]);
    let clock = inspect.clock().destination(["rust@mingle"]).answers().await.expect("it answers");
    assert!(clock[0].1.as_ref().expect("a clock").clock > theirs_reads);
    assert!(ours.stop().await.success());
    theirs.stop().await;
}

#[tokio::test]
async fn a_second_worker_of_one_name_is_warned() {
    let space = Space::new();
    let first = worker(&space, "same@name").await;
    first.says("mingle: all alone").await;
    let second = worker(&space, "same@name").await;
    let warning = "DuplicateNodenameWarning: Received multiple replies from node name: same@name.";
    second.says(warning).await;
    assert!(!first.log().contains("DuplicateNodenameWarning"));
}

#[tokio::test]
async fn workers_that_hold_an_election_act_once() {
    let space = Space::new();
    let first = worker(&space, "one@gossip").await;
    let second = worker(&space, "two@gossip").await;
    first.says("two@gossip joined the party").await;
    second.says("one@gossip joined the party").await;
    let action = json!({
        "task": "fleet.hold", "args": ["won"], "kwargs": {}, "options": {}, "subtask_type": null,
        "immutable": false,
    });
    space.app().control().election("e1", "task", action).send().await.expect("it is sent");
    for worker in [&first, &second] {
        worker.says("'e1'").await;
    }
    space.entered("won").await;
    let logs = [first.log(), second.log()];
    let count = |text: &str| logs.iter().filter(|log| log.contains(text)).count();
    assert_eq!((count("I won the election 'e1'"), count("elected for 'e1'")), (1, 1));
    space.open("won").await;
    for worker in [first, second] {
        assert!(worker.stop().await.success());
    }
    let again: u64 = space.redis("LLEN", &["{}entered:won"]).await;
    assert_eq!(again, 0, "it ran once");
}

#[tokio::test]
async fn a_python_worker_that_stands_for_election_is_heard_and_hears_of_ours() {
    let space = Space::new();
    let ours = worker(&space, "rust@gossip").await;
    let printed = run(&mut python(&space, "gossip.py")).await;
    let heard: Value = serde_json::from_str(&printed).expect("the script prints JSON");
    let keys = |event: &Value| {
        let fields = event.as_object().expect("an event");
        // The receiver adds the last.
        fields.keys().filter(|key| *key != "local_received").cloned().collect::<Vec<_>>()
    };
    let (elect, ack) = (&heard["worker-elect"], &heard["worker-elect-ack"]);
    assert_eq!(ack["hostname"], "rust@gossip");
    assert_eq!(
        (&elect["id"], &elect["topic"], &elect["cver"]),
        (&json!("ours"), &json!("task"), &json!(1))
    );
    assert_eq!(
        keys(elect),
        [
            "hostname",
            "utcoffset",
            "pid",
            "clock",
            "id",
            "topic",
            "action",
            "cver",
            "timestamp",
            "type"
        ]
    );
    assert_eq!(keys(ack), ["hostname", "utcoffset", "pid", "clock", "id", "timestamp", "type"]);
    assert!(ours.stop().await.success());
}
