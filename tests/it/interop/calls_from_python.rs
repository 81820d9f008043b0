//! Python calls, our worker runs, Python reads what came of it.

use peers::{PythonWorker, Report, Space, scenario};
use serde_json::json;

use super::rust::RustWorker;
use crate::harness::app;

fn at_least(report: &Report, case: &str, least: f64) {
    report.check(case, &json!({ "state": "SUCCESS" }));
    let late = report.case(case)["result"].as_f64().unwrap();
    assert!((least..10.0).contains(&late), "{case} ran {late} s after its time");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_of_calling_in_python_reaches_a_rust_worker() {
    let space = Space::new().with("task_default_queue", "rs").with("timezone", "Asia/Tokyo");
    let worker = RustWorker::start(&app(&space), &["rs"], 8);
    let report = scenario(&space, "calls").await;

    for case in [
        "args",
        "kwargs",
        "mixed",
        "apply_async",
        "expires",
        "expires_at",
        "link",
        "links",
        "protocol1",
    ] {
        report.returned(case, &json!(5));
    }
    report.returned("partial", &json!(7));
    report.returned("none", &json!(null));
    for case in ["eta", "eta_offset", "eta_naive", "countdown", "protocol1_eta"] {
        at_least(&report, case, 0.0);
    }
    let revoked = json!({ "state": "REVOKED", "/raised/class": "TaskRevokedError", "/raised/args": ["expired"] });
    for case in ["expired", "expires_before_eta", "protocol1_expired"] {
        report.check(case, &revoked);
    }

    report.check("priority", &json!({ "/result/priority": 6, "/result/routing_key": "rs" }));
    let headers = json!({ "x-trace": "abc", "nested": { "a": [1, null] } });
    report.check("headers", &json!({ "/result/headers": headers }));
    report.check("shadow", &json!({ "/result/shadow": "pretty name" }));
    let id = format!("own {}", space.prefix);
    report.check(
        "own_id",
        &json!({ "id": id, "/result/id": id, "/result/root_id": id, "/result/parent_id": null }),
    );
    report.check(
        "argsrepr",
        &json!({ "/result/argsrepr": "(secret)", "/result/ignore_result": null }),
    );
    report.check("time_limits", &json!({ "/result/timelimit": [60, 50.5] }));

    report.returned("soft_limit_heard", &json!("tidied up"));
    let soft = json!({ "state": "FAILURE", "/raised/class": "SoftTimeLimitExceeded", "/raised/module": "billiard.exceptions" });
    report.check("soft_limit", &soft);
    let hard = json!({ "state": "FAILURE", "/raised/class": "TimeLimitExceeded", "/raised/module": "billiard.exceptions", "/raised/args": [0.5] });
    report.check("hard_limit", &hard);

    report.returned("unicode", &json!("h\u{e9}llo \u{1f600} "));
    report.returned("big", &json!(1_u64 << 63));
    let bigger = report.case("bigger")["result"].to_string();
    assert!(
        bigger.contains("-1.267650600228229") || bigger == "-1267650600228229401496703205376",
        "{bigger}"
    );
    report.returned("floats", &json!([0.1, 1e300, 1.0]));
    for serializer in ["json", "msgpack", "yaml"] {
        report.returned(serializer, &json!([1, "two", null, true, { "three": 3.5 }]));
        for compression in ["zlib", "bzip2", "zstd"] {
            report.returned(&format!("{serializer}_{compression}"), &json!("x".repeat(5000)));
        }
    }

    report.returned("link_callback", &json!(50));
    let children = report.case("link_children");
    assert_eq!(
        children["ids"],
        json!([children["callback"]]),
        "the callback is a child of its task"
    );
    report.returned("links_first", &json!(6));
    report.returned("links_second", &json!(7));
    report.check("link_error", &json!({ "state": "FAILURE" }));
    report.returned("link_error_callback", &report.case("link_error")["id"]);
    report.returned("protocol1_link_callback", &json!(50));
    report.returned("protocol1_retry", &json!(["again", 1]));
    report.check(
        "protocol1_request",
        &json!({ "state": "SUCCESS", "/result/headers": {}, "/result/retries": 0 }),
    );
    report.check("ignore_result", &json!({ "state": "PENDING", "result": null }));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_sees_how_the_tasks_of_a_rust_worker_end() {
    let space = Space::new().with("task_default_queue", "rs");
    let worker = RustWorker::start(&app(&space), &["rs"], 8);
    let report = scenario(&space, "states").await;
    let raises = |case: &str, class: &str, module: &str, args: serde_json::Value| {
        let fields = json!({ "state": "FAILURE", "/raised/class": class, "/raised/module": module, "/raised/args": args });
        report.check(case, &fields);
    };

    raises("builtin", "ValueError", "builtins", json!(["bad", 3]));
    raises("ours", "OutOfCheese", "proj.tasks", json!(["gone", 7]));
    // Python makes up a class for what it cannot import.
    raises("by_name", "Strange", "celery.exceptions", json!(["odd"]));
    raises("rust_error", "OutOfTea", "celery.exceptions", json!(["there is no tea left"]));
    raises("panic", "Panic", "celery.exceptions", json!(["out of luck"]));
    for case in ["rust_error", "panic", "builtin"] {
        let traceback = report.case(case)["traceback"].as_str().unwrap_or_default();
        assert!(
            traceback.starts_with("Traceback (most recent call last):\n"),
            "{case}: {traceback:?}"
        );
    }
    let place = report.case("rust_error")["traceback"].as_str().unwrap().to_owned();
    assert!(place.contains("File \"tests/it/interop/tasks.rs\", line "), "{place}");
    for case in ["missing_argument", "surplus_argument", "unknown_argument", "wrong_type"] {
        report.check(case, &json!({ "state": "FAILURE", "/raised/class": "TypeError", "/raised/module": "builtins" }));
    }
    report.check(
        "missing_argument",
        &json!({ "/raised/text": "add() missing 1 required positional argument: 'y'" }),
    );
    raises("unregistered", "NotRegistered", "celery.exceptions", json!(["rs.nowhere"]));
    let exhausted = format!(
        "Can't retry rs.exhaust[{}] args:() kwargs:{{}}",
        report.case("exhausted")["id"].as_str().unwrap()
    );
    raises("exhausted", "MaxRetriesExceededError", "celery.exceptions", json!([exhausted]));
    report.check("expired", &json!({ "state": "REVOKED", "/raised/class": "TaskRevokedError" }));

    report.check("retry", &json!({ "class": "OutOfTea", "text": "there is no tea left" }));
    assert!(report.case("retry")["traceback"].is_string());
    report.returned("retried", &json!(["again", 1]));
    report.check("started", &json!({ "ready": false, "/info/pid": std::process::id() }));
    assert!(report.case("started")["info"]["hostname"].as_str().unwrap().starts_with("celery@"));
    report.returned("tracked", &json!("passed"));
    report.check("progress", &json!({ "info": { "done": 1, "total": 2 }, "ready": false }));
    report.returned("progressed", &json!("arrived"));
    report.check("ignored", &json!({ "state": "PENDING", "unknown": "PENDING" }));
    report.check("forgotten", &json!({ "state": "PENDING" }));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pythons_own_types_survive_the_way_through_a_rust_worker() {
    let space = Space::new().with("task_default_queue", "rs");
    let worker = RustWorker::start(&app(&space), &["rs"], 4);
    let report = scenario(&space, "values").await;
    for case in ["untouched", "typed"] {
        for kind in ["aware", "naive", "day", "hour", "price", "id", "text", "binary"] {
            report.check(case, &json!({ kind: true }));
        }
    }
    report.check("msgpack", &json!({ "equal": true }));
    report.check("yaml", &json!({ "equal": true }));
    report.check("special", &json!({ "repr": "[inf, -inf, nan, 1.0, [1, 2]]" }));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chains_of_python_run_alternately_in_rust_and_python() {
    let space = Space::new().with("task_default_queue", "rs");
    let ours = RustWorker::start(&app(&space), &["rs"], 4);
    let _theirs = PythonWorker::start(&space, &["-P", "solo", "-Q", "py"]).await;
    let report = scenario(&space, "chains").await;

    report.returned("alternating", &json!(35));
    report.check("steps", &json!({ "results": [3, 30, 35, 35] }));
    report.returned("python_first", &json!(21));
    report.returned("immutable", &json!(42));
    report.returned("retried_step", &json!(["r", 1]));
    report.returned("with_link", &json!(6));
    report.returned("with_link_callback", &json!(600));
    // A chain that breaks fails at its end, so that whoever waits there is told.
    report.check("fails_in_rust", &json!({ "state": "FAILURE", "/raised/class": "OutOfTea" }));
    report.check("fails_in_python", &json!({ "state": "FAILURE", "/raised/class": "OutOfCheese" }));
    report.check("family", &json!({ "roots": [true, true, true], "parents": [null, true, true] }));
    ours.stop().await;
}
