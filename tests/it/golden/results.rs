//! Results, as a worker stores them.

use celery::{Celery, Signature};
use celery_core::{
    codec::json as wire, signature::Untyped, state::TaskMeta, worker::WorkerOptions,
};
use peers::{LIMIT, Space};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    capture, neutral,
    tasks::{Echo, Fail, HardLimited, RetryExhaust, RetryOnce, RunAdd, SoftLimited, Tracked},
};
use crate::harness::app;
use crate::interop::rust::{RustWorker, options};

/// The recorded document, where the case is one.
fn recorded(capture: &Value, case: &str) -> Option<String> {
    let case = &capture["results"][case];
    let raw = case.pointer("/meta/raw").or_else(|| case.pointer("/raw"));
    raw.and_then(Value::as_str).map(str::to_owned)
}

/// The document without what varies: its id, the time, the place in the code, and who ran it.
fn comparable(raw: &str) -> String {
    let meta: Value = serde_json::from_str(raw).unwrap();
    let id = meta["task_id"].as_str().expect("a document has its id");
    let date = meta["date_done"].as_str();
    let traceback = meta["traceback"].as_str();
    let who = meta.pointer("/result/hostname").and_then(Value::as_str);
    let raw = &raw.replace("golden.add", "wireapp.add");
    let mut text = neutral(raw, &[("date", date), ("who", who)]).replace(id, "<id>");
    if let Some(traceback) = traceback {
        let written = wire::to_string(&traceback.replace(id, "<id>").into());
        text = text.replace(&written, "\"<traceback>\"");
    }
    match meta.pointer("/result/pid") {
        Some(pid) => text.replace(&format!("\"pid\": {pid}"), "\"pid\": 0"),
        None => text,
    }
}

/// The document that the worker stores, once it is in a state of that name.
async fn stored(space: &Space, app: &Celery, call: Signature<Untyped>, state: &str) -> String {
    let result = call.with_app(app).send().await.unwrap();
    let key = format!("{{}}celery-task-meta-{}", result.id());
    let waiting = async {
        loop {
            let raw: Option<String> = space.redis("GET", &[&key]).await;
            if let Some(raw) = raw
                && raw.contains(&format!("\"{state}\""))
            {
                return raw;
            }
        }
    };
    let raw = timeout(LIMIT, waiting).await.unwrap_or_else(|_| panic!("it never was {state}"));
    let ttl: u64 = space.redis("TTL", &[&key]).await;
    assert!((86_300..=86_400).contains(&ttl), "it lives for {ttl} s");
    raw
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_is_stored_as_celery_stores_it() {
    let golden = capture("results/states");
    let space = Space::new();
    let app = app(&space);
    let _worker = RustWorker::start(&app, &["celery"], 8);
    let check = async |case: &str, call: Signature<Untyped>, state: &str| {
        let ours = stored(&space, &app, call, state).await;
        let theirs = recorded(&golden, case).unwrap_or_else(|| panic!("no such case: {case}"));
        assert_eq!(comparable(&ours), comparable(&theirs), "{case}");
    };
    let successes = golden["results"].as_object().unwrap().keys();
    let successes: Vec<_> = successes.filter(|case| case.starts_with("success_")).collect();
    assert_eq!(successes.len(), 14);
    for case in successes {
        let meta: Value = serde_json::from_str(&recorded(&golden, case).unwrap()).unwrap();
        check(case, Echo::s(Some(meta["result"].clone())).untyped(), "SUCCESS").await;
    }
    check("failure_custom", Signature::named("wireapp.fail"), "FAILURE").await;
    check("retry_exhausted", RetryExhaust::s().untyped(), "FAILURE").await;
    check("soft_time_limit", SoftLimited::s().untyped(), "FAILURE").await;
    check("hard_time_limit", HardLimited::s().untyped(), "FAILURE").await;
    check("retry_state", RetryOnce::s(json!("x")).untyped(), "RETRY").await;
    check("started", Tracked::s("tr".to_owned()).untyped(), "STARTED").await;
    check("expired", RunAdd::s(1, 1).untyped().expires(-1.0), "REVOKED").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extended_result_is_stored_as_celery_stores_it() {
    let golden = capture("results/extended");
    let space = Space::new().with("result_extended", true);
    let app = app(&space);
    let hostname = Some("w1@wirehost".to_owned());
    let worker = RustWorker::with(&app, WorkerOptions { hostname, ..options(&["celery"], 2) });
    let check = async |case: &str, call: Signature<Untyped>, state: &str| {
        let ours = stored(&space, &app, call, state).await;
        let theirs = recorded(&golden, case).unwrap_or_else(|| panic!("no such case: {case}"));
        assert_eq!(comparable(&ours), comparable(&theirs), "{case}");
    };
    let add = Signature::named("golden.add").args((2,)).kwargs(json!({"y": 3}));
    check("success", add, "SUCCESS").await;
    let fail = Fail::s("gone".to_owned(), 7).untyped().args(("gone",)).kwargs(json!({"code": 7}));
    check("failure", fail, "FAILURE").await;
    check("queue_and_group", RunAdd::s(1, 1).untyped(), "SUCCESS").await;
    worker.stop().await;
}

#[test]
fn what_celery_stored_is_read_without_loss() {
    for name in ["results/states", "results/extended"] {
        let golden = capture(name);
        let cases = golden["results"].as_object().unwrap().keys();
        let documents = cases.filter_map(|case| Some((case, recorded(&golden, case)?)));
        let mut count = 0;
        for (case, raw) in documents {
            let Some(id) = wire::from_str(&raw).unwrap()["task_id"].as_str().map(str::to_owned)
            else {
                continue;
            };
            let meta = TaskMeta::from_value(&id, wire::from_str(&raw).unwrap()).unwrap();
            assert_eq!(wire::to_string(&meta.to_value()), raw, "{name}: {case}");
            count += 1;
        }
        assert!(count >= 4, "{name} has documents");
    }
}
