//! We call, a Python worker runs, we read what came of it.

use std::time::Duration;

use celery::{AsyncResult, Celery, Error, Signature};
use celery_core::{clock, date, state::State, value::python};
use jiff::civil;
use peers::{LIMIT, PythonWorker, Space};
use serde_json::{Value, json};

use super::{
    rust::RustWorker,
    tasks::{self, Add, Echo, Kinds, Mul, PyAdd, PyMul, PyRequest, seconds_now},
};
use crate::harness::app;

async fn returned(result: Result<AsyncResult<Value>, Error>) -> Value {
    result.expect("it is sent").get_within(LIMIT).await.expect("it returns")
}

/// Waits until the task is in the state.
async fn until(result: &AsyncResult<Value>, state: State) -> Value {
    let waiting = async {
        loop {
            let meta = result.meta().await.unwrap();
            if meta.state == state {
                return meta.result;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, waiting).await.unwrap_or_else(|_| panic!("it never was {state}"))
}

/// What the task failed with: class, module and arguments.
async fn raised(
    call: Signature<celery_core::signature::Untyped>,
) -> (String, String, Value, String) {
    let result = call.send().await.unwrap();
    match result.get_within(LIMIT).await {
        Err(Error::Task { exception, traceback, state, .. }) => {
            assert!(state.is_propagated());
            (
                exception.exc_type,
                exception.exc_module,
                Value::Array(exception.exc_message),
                traceback.unwrap_or_default(),
            )
        }
        other => panic!("{other:?}"),
    }
}

fn py(app: &Celery, name: &str) -> Signature<celery_core::signature::Untyped> {
    app.send_task(format!("proj.tasks.{name}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_of_calling_in_rust_reaches_a_python_worker() {
    let space = Space::new().with("task_default_queue", "py").with("timezone", "Asia/Tokyo");
    let app = app(&space);
    let worker = PythonWorker::start(&space, &["-P", "solo", "-Q", "py"]).await;

    let typed = PyAdd::s(2, 3).with_app(&app).apply_async().await.unwrap();
    let sum: i64 = typed.get_within(LIMIT).await.unwrap();
    assert_eq!(sum, 5);
    assert_eq!(app.scope(PyAdd::delay(4, 5)).await.unwrap().get_within(LIMIT).await.unwrap(), 9);
    let args = py(&app, "add").args((2, 3));
    assert_eq!(returned(args.clone().send().await).await, json!(5));
    assert_eq!(
        returned(py(&app, "add").kwargs(json!({"x": 2, "y": 3})).send().await).await,
        json!(5)
    );
    assert_eq!(
        returned(py(&app, "add").args((2,)).kwargs(json!({"y": 3})).send().await).await,
        json!(5)
    );
    assert_eq!(returned(args.clone().expires(60).send().await).await, json!(5));
    for serializer in ["json", "msgpack", "yaml"] {
        for compression in ["zlib", "bzip2", "zstd"] {
            let value = json!([1, "tw\u{f6}", null, true, { "three": 3.5 }, "x".repeat(2000)]);
            let call =
                py(&app, "echo").args((&value,)).serializer(serializer).compression(compression);
            assert_eq!(returned(call.send().await).await, value, "{serializer} {compression}");
        }
    }

    let now = seconds_now();
    for call in [
        py(&app, "due").args((now + 1.0,)).countdown(1),
        py(&app, "due").args((now + 1.0,)).eta(clock::now() + Duration::from_secs(1)),
    ] {
        let late = returned(call.send().await).await.as_f64().unwrap();
        assert!((-0.001..10.0).contains(&late), "it ran {late} s after its time");
    }
    let expired = raised(args.clone().expires_at(clock::now() - Duration::from_secs(5))).await;
    assert_eq!((expired.0.as_str(), expired.2), ("TaskRevokedError", json!(["expired"])));

    let call = PyRequest::s()
        .with_app(&app)
        .untyped()
        .task_id(format!("own {}", space.prefix))
        .priority(6);
    let call = call.header("x-trace", "abc").shadow("pretty").time_limit(60).soft_time_limit(50.5);
    let request = returned(call.send().await).await;
    let seen = |name: &str| request.get(name).cloned().unwrap_or_default();
    assert_eq!(seen("headers")["x-trace"], json!("abc"), "{request:#}");
    assert_eq!(seen("timelimit"), json!([60, 50.5]));
    assert_eq!(seen("shadow"), json!("pretty"));
    assert_eq!(seen("priority"), json!(6));
    assert_eq!(seen("id"), json!(format!("own {}", space.prefix)));
    assert_eq!((seen("root_id"), seen("parent_id")), (seen("id"), Value::Null));
    assert_eq!(
        (seen("argsrepr"), seen("retries"), seen("ignore_result")),
        (json!("()"), json!(0), json!(false))
    );
    assert!(seen("origin").as_str().unwrap().starts_with(&format!("gen{}@", std::process::id())));
    assert_eq!(seen("reply_to"), json!(app.reply_id()));

    let ignored = py(&app, "note").args(("ignored",)).ignore_result(true).send().await.unwrap();
    assert_eq!(space.take("noted", 1).await, ["ignored"]);
    assert_eq!(returned(args.send().await).await, json!(5));
    assert_eq!(ignored.state().await.unwrap(), State::Pending);
    worker.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn rust_sees_how_the_tasks_of_a_python_worker_end() {
    let space = Space::new().with("task_default_queue", "py");
    let app = app(&space);
    let worker = PythonWorker::start(&space, &["-P", "prefork", "-c", "2", "-Q", "py"]).await;

    let (class, module, args, traceback) = raised(py(&app, "fail").args(("gone", 7))).await;
    assert_eq!(
        (class.as_str(), module.as_str(), args),
        ("OutOfCheese", "proj.tasks", json!(["gone", 7]))
    );
    assert!(traceback.contains("raise OutOfCheese"), "{traceback}");
    let (class, module, args, _) = raised(py(&app, "fail_value").args(("odd",))).await;
    assert_eq!((class.as_str(), module.as_str(), args), ("ValueError", "builtins", json!(["odd"])));
    let (class, _, args, _) = raised(py(&app, "add").args((1,))).await;
    assert_eq!(class, "TypeError");
    assert!(
        args[0].as_str().unwrap().contains("missing 1 required positional argument: 'y'"),
        "{args}"
    );
    assert_eq!(raised(py(&app, "exhaust")).await.0, "MaxRetriesExceededError");
    assert_eq!(raised(py(&app, "endless").soft_time_limit(1)).await.0, "SoftTimeLimitExceeded");
    let (class, module, args, _) = raised(py(&app, "endless").time_limit(1)).await;
    assert_eq!(
        (class.as_str(), module.as_str(), args),
        ("TimeLimitExceeded", "billiard.exceptions", json!([1]))
    );

    let retried = py(&app, "retry_once").args(("again", 1)).send().await.unwrap();
    assert_eq!(retried.state().await.unwrap(), State::Pending);
    let seen = until(&retried, State::Retry).await;
    assert_eq!((&seen["exc_type"], &seen["exc_message"]), (&json!("KeyError"), &json!(["first"])));
    assert_eq!(retried.get_within(LIMIT).await.unwrap(), json!(["again", 1]));

    let tracked = py(&app, "tracked").args(("tracked",)).send().await.unwrap();
    let info = until(&tracked, State::Started).await;
    assert!(
        info["pid"].is_u64() && info["hostname"].as_str().unwrap().starts_with("celery@"),
        "{info}"
    );
    space.open("tracked").await;
    assert_eq!(tracked.get_within(LIMIT).await.unwrap(), json!("passed"));
    let progress = py(&app, "progress").args(("progress",)).send().await.unwrap();
    let info = until(&progress, State::Custom("PROGRESS".to_owned())).await;
    assert_eq!(info, json!({ "done": 1, "total": 2 }));
    assert!(!progress.ready().await.unwrap());
    space.open("progress").await;
    assert_eq!(progress.get_within(LIMIT).await.unwrap(), json!("arrived"));
    assert!(progress.successful().await.unwrap());
    let nothing = py(&app, "ignore").send().await.unwrap();
    assert_eq!(returned(py(&app, "add").args((2, 3)).send().await).await, json!(5));
    assert_eq!(nothing.state().await.unwrap(), State::Pending);
    worker.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_rust_are_pythons_own_types_in_a_python_worker() {
    let space = Space::new().with("task_default_queue", "py");
    let app = app(&space);
    let worker = PythonWorker::start(&space, &["-P", "solo", "-Q", "py"]).await;
    let at = date::parse("2024-05-06T07:08:09.123456+02:00", &jiff::tz::TimeZone::UTC).unwrap();
    let kinds = || Kinds {
        aware: python::DateTime::Aware(at, jiff::tz::offset(2)),
        naive: python::DateTime::Naive(civil::datetime(2024, 5, 6, 7, 8, 9, 0)),
        day: python::Date(civil::date(2024, 5, 6)),
        hour: python::Time(civil::time(7, 8, 9, 1_000_000)),
        price: python::Decimal("1.50".to_owned()),
        id: python::Uuid(uuid::Uuid::from_u128(5)),
        text: python::Bytes("h\u{e9}".into()),
        binary: python::Bytes(vec![255, 0]),
    };
    let answer = returned(py(&app, "kinds").kwargs(kinds()).send().await).await;
    let types = json!({
        "aware": "datetime", "naive": "datetime", "day": "date", "hour": "time",
        "price": "Decimal", "id": "UUID", "text": "bytes", "binary": "bytes",
    });
    assert_eq!(answer["types"], types);
    let back: Kinds = celery_core::value::from_value(answer["values"].clone()).unwrap();
    assert_eq!(back, kinds());

    let plain =
        json!([0.1, 1e300, -1, 1_u64 << 63, "\u{1f600}\u{7f}\u{0}", null, {"b": 1, "a": [true]}]);
    assert_eq!(returned(py(&app, "echo").args((&plain,)).send().await).await, plain);
    let special =
        returned(py(&app, "echo").args(((f64::INFINITY, -f64::INFINITY),)).send().await).await;
    let special: (f64, f64) = celery_core::value::from_value(special).unwrap();
    assert_eq!(special, (f64::INFINITY, -f64::INFINITY));
    worker.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_go_from_rust_to_python_and_back() {
    let space = Space::new().with("task_default_queue", "rs");
    let app = app(&space);
    let ours = RustWorker::start(&app, &["rs"], 4);
    let theirs = PythonWorker::start(&space, &["-P", "solo", "-Q", "py"]).await;
    let id = |name: &str| format!("{}{name}", space.prefix);
    let result =
        async |name: &str| AsyncResult::<Value>::new(&app, id(name)).get_within(LIMIT).await;

    // Ours, then Python's, then ours again.
    let last = Mul::partial(2).task_id(id("last")).queue("rs");
    let middle = PyMul::partial(10).task_id(id("middle")).link(last);
    Add::s(1, 2).with_app(&app).link(middle).apply_async().await.unwrap();
    assert_eq!(result("last").await.unwrap(), json!(60));
    assert_eq!(result("middle").await.unwrap(), json!(30));

    // Python's, then ours, with Python's as its error callback, which is given the id.
    let told = py(&app, "echo").queue("py").task_id(id("told"));
    let fails = tasks::MakeTea::s().with_app(&app).untyped().task_id(id("fails")).link_error(told);
    let fails = fails.queue("rs");
    PyAdd::s(1, 2).with_app(&app).link(fails).apply_async().await.unwrap();
    let error = result("fails").await.unwrap_err();
    assert_eq!(error.exception().unwrap().exc_type, "OutOfTea");
    assert_eq!(result("told").await.unwrap(), json!(id("fails")));

    // Python's fails, and ours is told.
    let told = Echo::partial().task_id(id("told by python")).queue("rs");
    let fails = py(&app, "fail").queue("py").task_id(id("fails there")).link_error(told.untyped());
    fails.send().await.unwrap();
    assert_eq!(result("told by python").await.unwrap(), json!(id("fails there")));
    ours.stop().await;
    theirs.kill();
}
