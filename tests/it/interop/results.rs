//! What either side stores of a task, as the other reads it.

use celery::AsyncResult;
use peers::{LIMIT, PythonWorker, Space, scenario};
use serde_json::{Value, json};

use super::rust::{RustWorker, options};
use crate::harness::app;
use celery_core::worker::WorkerOptions;

#[tokio::test(flavor = "multi_thread")]
async fn python_reads_extended_and_compressed_results_of_a_rust_worker() {
    for (serializer, compression) in [
        ("json", Value::Null),
        ("json", json!("zstd")),
        ("msgpack", json!("zlib")),
        ("yaml", Value::Null),
    ] {
        let space = Space::new()
            .with("task_default_queue", "rs")
            .with("result_extended", true)
            .with("result_serializer", serializer)
            .with("result_compression", compression.clone());
        let named =
            WorkerOptions { hostname: Some("rust@interop".to_owned()), ..options(&["rs"], 2) };
        let worker = RustWorker::with(&app(&space), named);
        let report = scenario(&space, "stored").await;
        let extended = |id: &Value, state: &str, name: &str, args: Value, kwargs: Value| {
            json!({
                "status": state, "task_id": id, "name": name, "args": args, "kwargs": kwargs,
                "worker": "rust@interop", "retries": 0, "queue": "rs",
            })
        };
        let id = |case: &str| report.case(case)["id"].clone();
        report.returned("success", &json!(5));
        report.check("success", &json!({ "meta": extended(&id("success"), "SUCCESS", "rs.add", json!([2]), json!({"y": 3})) }));
        let args = json!(["proj.tasks", "OutOfCheese", ["gone", 7]]);
        report.check(
            "failure",
            &json!({
                "/raised/class": "OutOfCheese",
                "/raised/args": ["gone", 7],
                "meta": extended(&id("failure"), "FAILURE", "rs.fail", args, json!({})),
            }),
        );
        report.returned("large", &json!("x".repeat(3000)));
        for case in ["success", "failure", "large"] {
            let expected = json!({ "date_done": true, "lives_a_day": true, "compressed": !compression.is_null() });
            report.check(case, &expected);
        }
        let small = report.case("large")["bytes"].as_u64().unwrap() < 2000;
        assert_eq!(small, !compression.is_null(), "{compression} in {serializer}");
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rust_reads_extended_and_compressed_results_of_a_python_worker() {
    for (serializer, compression) in [("json", "zstd"), ("msgpack", "zlib")] {
        let space = Space::new()
            .with("task_default_queue", "py")
            .with("result_extended", true)
            .with("result_serializer", serializer)
            .with("result_compression", compression);
        let app = app(&space);
        let worker =
            PythonWorker::start(&space, &["-P", "solo", "-Q", "py", "-n", "python@interop"]).await;
        let large = "x".repeat(3000);
        let call = app.send_task("proj.tasks.echo").args((&large,)).send().await.unwrap();
        assert_eq!(call.get_within(LIMIT).await.unwrap(), json!(large));
        let failure = app.send_task("proj.tasks.fail").args(("gone",)).kwargs(json!({"code": 7}));
        let failure: AsyncResult = failure.send().await.unwrap();
        let error = failure.get_within(LIMIT).await.unwrap_err();
        assert_eq!(error.exception().unwrap().to_string(), r#"OutOfCheese: ["gone",7]"#);
        let meta = failure.meta().await.unwrap();
        let extended = meta.extended.expect("it is extended");
        assert_eq!(extended.name.as_deref(), Some("proj.tasks.fail"));
        assert_eq!((extended.args, extended.kwargs), (json!(["gone"]), json!({"code": 7})));
        assert_eq!(extended.worker.as_deref(), Some("python@interop"));
        assert_eq!((extended.retries, extended.queue.as_deref()), (Some(0), Some("py")));
        assert!(meta.date_done.is_some());
        worker.kill();
    }
}
