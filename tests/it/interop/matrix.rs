//! Canvases of every kind, sent and run by either side, and what comes of each: what comes of it with Python alone.
//!
//! The canvases are those of `tests/python/workflows.py`. What comes of them with Python alone is recorded, and the first test shows
//! that it still does; with `CELERY_RECORD` in its environment it is recorded anew.

use std::{collections::BTreeMap, fmt::Write as _};

use celery::core::signature::Spec;
use peers::{PythonWorker, Space, python, run};
use serde_json::{Map, Value, json};

use super::rust::RustWorker;
use crate::harness::app;

/// What comes of each canvas with Python alone.
const RECORDED: &str = include_str!("../../fixtures/workflows.json");

/// What comes of those that differ, for a reason:
/// - *sent by rust*: the result of a chord whose body has several steps knows all of them. Of those of Celery's `chord()` it knows the
///   header alone; and the header of a chord within a header has one id in the result and another where it is listed as a child.
/// - *run by rust*: a chord that fails within the header of another fails that one. Error callbacks of a body are not listed as its
///   children. A body inherits the priority of the part before it.
const OURS: &str = include_str!("../../fixtures/workflows_ours.json");

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/workflows.json");

type Cases = BTreeMap<String, Value>;

fn space(default_queue: &str) -> Space {
    Space::new()
        .with("task_default_queue", default_queue)
        .with("task_inherit_parent_priority", true)
}

async fn asked(space: &Space, arguments: &[&str]) -> Value {
    let printed = run(python(space, "workflows.py").args(arguments)).await;
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
}

async fn sent_by_python(space: &Space, whose: &str) {
    asked(space, &["send", whose]).await;
}

/// Sends the same signatures, which are read from what Python writes of them.
async fn sent_by_rust(space: &Space, whose: &str) {
    let app = app(space);
    let described = asked(space, &["describe", whose]).await;
    let mut sent = Map::new();
    for (name, case) in described.as_object().expect("cases by name") {
        let spec = Spec::from_value(case["signature"].clone());
        let spec = spec.unwrap_or_else(|error| panic!("{name}: {error}"));
        let result = app.apply(spec).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let kept = json!({
            "result": result.to_value(), "told": case["told"], "comes": case["comes"],
        });
        sent.insert(name.clone(), kept);
    }
    let _: () = space.redis("SET", &["{}sent", &Value::Object(sent).to_string()]).await;
}

async fn seen(space: &Space) -> Cases {
    serde_json::from_value(asked(space, &["look"]).await).expect("cases by name")
}

fn rust_worker(space: &Space) -> RustWorker {
    RustWorker::start(&app(space), &["rs"], 4)
}

async fn python_worker(space: &Space) -> PythonWorker {
    PythonWorker::start(space, &["-Q", "py", "-c", "4", "-P", "threads"]).await
}

fn ours(of: &str) -> Cases {
    let mut all: BTreeMap<String, Cases> = serde_json::from_str(OURS).expect("cases by reason");
    all.remove(of).expect("a reason")
}

/// Where a Python worker fails the body of a chord that is a chain, its first step stays as it is.
fn left_pending() -> Cases {
    let name = "body is a chain and the header fails";
    let mut case = ours("sent by rust").remove(name).expect("a case");
    let step = case["stored"]["parent"].as_object_mut().expect("the step before the last");
    step.remove("raised");
    step.extend([("state".to_owned(), json!("PENDING")), ("result".to_owned(), Value::Null)]);
    Cases::from([(name.to_owned(), case)])
}

/// Expects of each canvas what comes of it with Python alone, or else what `ours` says. Where it depends on who runs which part it
/// may be what `perhaps` says.
#[track_caller]
fn are_as_recorded(seen: &Cases, ours: &[Cases], perhaps: &[Cases]) {
    let mut expected: Cases = serde_json::from_str(RECORDED).expect("what was recorded");
    for (name, value) in ours.iter().flatten() {
        assert_ne!(expected.insert(name.clone(), value.clone()).as_ref(), Some(value), "{name}");
    }
    let mut complaints = String::new();
    for (name, expected) in &expected {
        let seen = seen.get(name).unwrap_or(&Value::Null);
        let perhaps = perhaps.iter().filter_map(|cases| cases.get(name));
        if !perhaps.chain([expected]).any(|expected| seen == expected) {
            // Writing to a string does not fail.
            _ = writeln!(complaints, "{name}\n  expected {expected}\n  saw      {seen}");
        }
    }
    let unknown: Vec<_> = seen.keys().filter(|name| !expected.contains_key(*name)).collect();
    assert!(complaints.is_empty() && unknown.is_empty(), "{unknown:?}\n{complaints}");
}

#[tokio::test(flavor = "multi_thread")]
async fn python_alone_gives_what_is_recorded() {
    let space = space("py");
    let worker = python_worker(&space).await;
    sent_by_python(&space, "python").await;
    let seen = seen(&space).await;
    worker.stop().await;
    if std::env::var_os("CELERY_RECORD").is_some() {
        let lines = seen.iter().map(|(name, value)| format!("{}: {value}", json!(name)));
        let lines = lines.collect::<Vec<_>>().join(",\n");
        std::fs::write(PATH, format!("{{\n{lines}\n}}\n")).expect("it can be written");
        return;
    }
    are_as_recorded(&seen, &[], &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rust_worker_runs_what_python_sends() {
    let space = space("rs");
    let worker = rust_worker(&space);
    sent_by_python(&space, "rust").await;
    let seen = seen(&space).await;
    worker.stop().await;
    are_as_recorded(&seen, &[ours("run by rust")], &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_worker_runs_what_rust_sends() {
    let space = space("py");
    let worker = python_worker(&space).await;
    sent_by_rust(&space, "python").await;
    let seen = seen(&space).await;
    worker.stop().await;
    are_as_recorded(&seen, &[ours("sent by rust"), left_pending()], &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rust_worker_runs_what_rust_sends() {
    let space = space("rs");
    let worker = rust_worker(&space);
    sent_by_rust(&space, "rust").await;
    let seen = seen(&space).await;
    worker.stop().await;
    are_as_recorded(&seen, &[ours("sent by rust"), ours("run by rust")], &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_run_parts_of_what_python_sends() {
    let space = space("py");
    let (rust, other) = (rust_worker(&space), python_worker(&space).await);
    sent_by_python(&space, "mixed").await;
    let seen = seen(&space).await;
    rust.stop().await;
    other.stop().await;
    are_as_recorded(&seen, &[], &[ours("run by rust")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_run_parts_of_what_rust_sends() {
    let space = space("rs");
    let (rust, other) = (rust_worker(&space), python_worker(&space).await);
    sent_by_rust(&space, "mixed").await;
    let seen = seen(&space).await;
    rust.stop().await;
    other.stop().await;
    are_as_recorded(&seen, &[ours("sent by rust")], &[ours("run by rust"), left_pending()]);
}
