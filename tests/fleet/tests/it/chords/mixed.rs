//! Chords whose parts and bodies are run by Python's workers and by ours, whoever began them.

use std::collections::BTreeSet;

use celery::{AsyncResult, Celery, Signature, chord};
use peers::{LIMIT, PythonWorker, Space, scenario};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::harness::worker;

/// Which queues the parts go to in turn, and which the body: the queue says whose worker runs it.
const CHORDS: [(&str, &[&str], &str); 4] = [
    ("python to rust", &["py"], "rs"),
    ("rust to python", &["rs"], "py"),
    ("both to rust", &["py", "rs"], "rs"),
    ("both to python", &["rs", "py"], "py"),
];

async fn send(
    app: &Celery,
    (name, parts, body): (&str, &[&str], &str),
    numbers: &[i64],
) -> AsyncResult<Value> {
    let queues = parts.iter().cycle();
    let header = numbers
        .iter()
        .zip(queues)
        .map(|(number, queue)| Signature::named("fleet.part").args((number,)).queue(*queue));
    let told = Signature::named("fleet.told").queue(body);
    let body = Signature::named("fleet.gather").args((name,)).queue(body).on_error(told);
    chord(header, body).with_app(app).apply_async().await.expect("it is published")
}

/// What ran of bodies, and what was told of those that did not.
async fn ran(space: &Space) -> (BTreeSet<String>, BTreeSet<String>) {
    let read = async |list: &str| {
        let items: Vec<String> = space.redis("LRANGE", &[list, "0", "-1"]).await;
        let set: BTreeSet<String> = items.iter().cloned().collect();
        assert_eq!(set.len(), items.len(), "nothing is called twice: {items:?}");
        set
    };
    (read("{}gathered").await, read("{}told").await)
}

/// The bodies that are expected to run, each by the side of its queue.
fn bodies() -> BTreeSet<String> {
    CHORDS.iter().map(|(name, _, body)| format!("{body} {name}")).collect()
}

#[tokio::test]
async fn chords_that_we_begin_are_completed_whoever_runs_the_parts_and_the_body() {
    let space = Space::new();
    let _python = PythonWorker::start(&space, &["-Q", "py", "-c", "2"]).await;
    let _ours = worker(&space, &["-Q", "rs"]).await;
    let app = space.app();
    let numbers: Vec<i64> = (0..10).collect();
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for it in CHORDS {
        good.push(send(&app, it, &numbers).await);
        bad.push(send(&app, it, &[0, 1, 2, -3, 4]).await);
    }
    for (result, (name, ..)) in good.iter().zip(CHORDS) {
        let got = timeout(LIMIT, result.get()).await.unwrap_or_else(|_| panic!("{name} hangs"));
        assert_eq!(got.expect("no part fails"), json!(numbers), "{name}");
    }
    for (result, (name, ..)) in bad.iter().zip(CHORDS) {
        let meta = timeout(LIMIT, result.wait()).await.unwrap_or_else(|_| panic!("{name} hangs"));
        let stored = meta.expect("Redis answers").result;
        assert_eq!(stored["exc_type"], "ChordError", "{name}");
        let text = stored["exc_message"].to_string();
        assert!(text.contains("Dependency ") && text.contains("bad -3"), "{name}: {text}");
        // Who waits for the body is told what the part has failed with, or that it has, whichever is known first.
        let raised = result.get().await.expect_err("a part fails").to_string();
        assert!(raised.contains("bad -3"), "{name}: {raised}");
    }
    peers::until("all error callbacks have run", || async { ran(&space).await.1.len() == 4 }).await;
    let ids = bad.iter().map(|result| result.id().to_owned()).collect();
    assert_eq!(ran(&space).await, (bodies(), ids));
    let joins = app.backend().await.expect("Redis answers").joins().expect("it counts parts");
    peers::until("what we kept is gone", || async {
        let left = joins.unfinished().await.expect("Redis answers");
        left.is_empty()
    })
    .await;
}

#[tokio::test]
async fn chords_that_python_begins_are_completed_whoever_runs_the_parts_and_the_body() {
    let space = Space::new();
    let _python = PythonWorker::start(&space, &["-Q", "py", "-c", "2"]).await;
    let _ours = worker(&space, &["-Q", "rs"]).await;
    let report = scenario(&space, "mixed_chords").await;
    let mut failed = BTreeSet::new();
    for (name, ..) in CHORDS {
        report.returned(name, &json!((0..10).collect::<Vec<_>>()));
        let case = report.case(&format!("{name}, failing"));
        // What is raised is what the part has failed with, and what is stored of the body says which part it was.
        let text = case["raised"]["text"].as_str().expect("an exception has a text");
        assert!(text.contains("bad -3"), "{name}: {text}");
        failed.insert(case["id"].as_str().expect("a result has an id").to_owned());
    }
    peers::until("all error callbacks have run", || async { ran(&space).await.1.len() == 4 }).await;
    assert_eq!(ran(&space).await, (bodies(), failed));
}
