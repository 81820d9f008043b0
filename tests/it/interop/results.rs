//! What either side stores of a task, as the other reads it.

use celery::{AsyncResult, GroupResult};
use peers::{LIMIT, PythonWorker, Space, python, run, scenario};
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

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_saved_and_restored_by_either_side() {
    for (serializer, compression) in [("json", Value::Null), ("msgpack", json!("zlib"))] {
        let space = Space::new()
            .with("task_default_queue", "rs")
            .with("result_serializer", serializer)
            .with("result_compression", compression);
        let app = app(&space);
        let worker = RustWorker::start(&app, &["rs"], 2);
        let calls = (0..3).map(|number| app.send_task("rs.canvas.mul").args((number, 10)));
        let members = app.send_all(calls).await.unwrap();
        let ours = GroupResult::new(&app, format!("{}group", space.prefix), members);
        ours.save().await.unwrap();
        let printed = run(python(&space, "workflows.py").args(["groups", ours.id()])).await;
        let told: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(told["restored"], ours.as_tuple());
        assert_eq!((&told["values"], &told["completed"]), (&json!([0, 10, 20]), &json!(3)));
        assert_eq!((&told["live_a_day"], &told["deleted"]), (&json!([true, true]), &json!(true)));
        assert!(GroupResult::<i64>::restore(&app, ours.id()).await.unwrap().is_none());

        let id = told["saved"][0][0].as_str().unwrap();
        let theirs: GroupResult<i64> = GroupResult::restore(&app, id).await.unwrap().unwrap();
        assert_eq!(theirs.as_tuple(), told["saved"]);
        assert_eq!(theirs.join_within(LIMIT).await.unwrap(), [1, 2, 3]);
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_followed_a_task_is_drawn_and_collected_as_python_does() {
    let space = Space::new().with("task_default_queue", "rs");
    let app = app(&space);
    let worker = RustWorker::start(&app, &["rs"], 2);
    let add = |x: i64, y: i64| json!({ "task": "rs.canvas.add", "args": [x, y] });
    let side_by_side = json!({
        "task": "celery.group", "subtask_type": "group", "kwargs": { "tasks": [add(1, 2), add(3, 4)] },
    });
    let start = |what: Value| json!({ "task": "rs.canvas.start", "args": [what] });
    let outer = app.send_task("rs.canvas.start").args((start(side_by_side),));
    let outer: AsyncResult<AsyncResult<AsyncResult<Vec<i64>>>> =
        outer.send().await.unwrap().typed();
    let inner = outer.get_within(LIMIT).await.unwrap();
    let group = inner.get_within(LIMIT).await.unwrap();
    assert_eq!(group.get_within(LIMIT).await.unwrap(), [3, 7]);
    let given: AsyncResult<Vec<i64>> =
        app.send_task("rs.canvas.value_of").args((&group,)).send().await.unwrap().typed();
    assert_eq!(given.get_within(LIMIT).await.unwrap(), [3, 7]);

    let printed = run(python(&space, "workflows.py").args(["graph", outer.id()])).await;
    let told: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(told["drawn"], outer.graph().await.unwrap().to_dot());
    let (mut values, mut collected) = (outer.collect(), Vec::new());
    while let Some(next) = values.next().await {
        let (result, value) = next.unwrap();
        collected.push(json!([result.id(), value]));
    }
    assert_eq!(told["collected"], Value::Array(collected));
    worker.stop().await;
}
