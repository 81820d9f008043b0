//! From `delay` to `get`: arguments, results, and what is stored in each state, held against what Celery stored.

use std::time::Duration;

use celery::{AsyncResult, Celery, Error, WorkerOptions};
use serde_json::{Value, json};

use crate::{
    harness::{Circle, NODE},
    tasks::*,
};

const STATES: &str = include_str!("../fixtures/golden/results/states.json");
const EXTENDED: &str = include_str!("../fixtures/golden/results/extended.json");

/// What Celery stored in that case.
fn golden(case: &str) -> Value {
    let states: Value = serde_json::from_str(STATES).unwrap();
    states["results"][case]["meta"]["decoded"].clone()
}

/// The document, key for key in its order, without what differs from run to run.
fn neutral(mut document: Value) -> String {
    let map = document.as_object_mut().unwrap();
    let id = map["task_id"].as_str().unwrap().to_owned();
    map["task_id"] = "<id>".into();
    for (key, to) in [
        ("traceback", "<text>"),
        ("date_done", "<date>"),
        ("parent_id", "<parent>"),
        ("group_id", "<group>"),
    ] {
        if map.get(key).is_some_and(Value::is_string) {
            map[key] = to.into();
        }
    }
    if let Some(result) = map["result"].as_object_mut() {
        let keys =
            [("pid", json!(1)), ("hostname", json!("<node>")), ("exc_type", json!("<type>"))];
        for (key, to) in keys.into_iter().chain([("exc_module", json!("<module>"))]) {
            if result.contains_key(key)
                && (result.get("exc_module") != Some(&json!("celery.exceptions")))
            {
                result[key] = to;
            }
        }
        if result.get("exc_module") == Some(&json!("<module>")) {
            result["exc_message"] = "<message>".into();
        }
    }
    let text = document.to_string().replace(&id, "<id>");
    // Children are tasks with ids of their own.
    let mut neutral = String::new();
    let mut rest = &*text;
    while let Some(at) = rest.find("[[\"") {
        let (before, tail) = rest.split_at(at + 3);
        neutral.push_str(before);
        neutral.push_str("<child>");
        rest = &tail[tail.find('"').unwrap()..];
    }
    neutral + rest
}

#[tokio::test(start_paused = true)]
async fn arguments_come_by_position_by_name_mixed_or_not_at_all() {
    let circle = Circle::new();
    let _worker = circle.worker();
    assert_eq!(circle.call(Add::s(2, 2)).await.get().await.unwrap(), 4);
    assert_eq!(circle.call(Mul::s(2, 3)).await.get().await.unwrap(), 6);
    let greet = async |args: Value, kwargs: Value| {
        let call = circle.app.send_task("it.tasks.greet").args(args).kwargs(kwargs);
        let result: AsyncResult<String> = call.send().await.unwrap().typed();
        result.get().await
    };
    assert_eq!(greet(json!(["you"]), json!({})).await.unwrap(), "hello you");
    assert_eq!(greet(json!([]), json!({"name": "you"})).await.unwrap(), "hello you");
    assert_eq!(
        greet(json!(["you"]), json!({"end": "!", "word": "bye"})).await.unwrap(),
        "bye you!"
    );
    assert_eq!(greet(json!(["you", "bye", null]), json!({})).await.unwrap(), "bye you");

    let complaint = async |args, kwargs| {
        let Err(Error::Task { exception, .. }) = greet(args, kwargs).await else {
            panic!("no failure")
        };
        assert_eq!((&*exception.exc_type, &*exception.exc_module), ("TypeError", "builtins"));
        exception.message()
    };
    assert_eq!(
        complaint(json!([]), json!({})).await,
        "greet() missing 1 required positional argument: 'name'"
    );
    assert_eq!(
        complaint(json!(["a"]), json!({"name": "b"})).await,
        "greet() got multiple values for argument 'name'"
    );
    assert_eq!(
        complaint(json!(["a"]), json!({"nome": "b"})).await,
        "greet() got an unexpected keyword argument 'nome'"
    );
    assert_eq!(
        complaint(json!([1, 2, 3, 4]), json!({})).await,
        "greet() takes from 1 to 3 positional arguments but 4 were given"
    );
    assert!(complaint(json!([1]), json!({})).await.contains("argument 'name'"));
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_is_what_celery_stores() {
    let circle = Circle::new();
    let worker = circle.worker();
    let check = |document: Value, case: &str| {
        assert_eq!(neutral(document), neutral(golden(case)), "{case}");
    };

    for case in [
        "int",
        "float",
        "str",
        "none",
        "bool",
        "list",
        "dict",
        "datetime",
        "decimal",
        "uuid",
        "bytes_binary",
    ] {
        let case = format!("success_{case}");
        let value = golden(&case)["result"].clone();
        check(circle.done(Echo::s(value)).await, &case);
    }
    check(circle.done(Fail::s("cheese".to_owned())).await, "failure_custom");
    check(circle.done(SoftRaised::s()).await, "soft_time_limit");
    check(circle.done(Hard::s()).await, "hard_time_limit");
    check(circle.done(Rejects::s()).await, "raise_Reject");
    check(circle.done(circle.app.send_task("no.such.task").args((1,))).await, "unregistered");
    check(circle.done(Add::s(1, 1).expires(-1)).await, "expired");
    check(circle.done(Spawn::s(5)).await, "children");
    check(circle.done(SpawnOnAThread::s(5)).await, "children");

    let exhausted = circle.done(Asks::s("default".to_owned())).await;
    let id = exhausted["task_id"].as_str().unwrap();
    let message = format!("Can't retry it.tasks.asks[{id}] args:('default',) kwargs:{{}}");
    assert_eq!(exhausted["result"]["exc_message"], json!([message]));
    assert_eq!(exhausted["result"]["exc_type"], "MaxRetriesExceededError");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_named_in_full() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let document = circle.done(Fail::s("cheese".to_owned())).await;
    assert_eq!(
        document["result"],
        json!({"exc_type": "OutOfCheese", "exc_message": ["no cheese"], "exc_module": "it.tasks"})
    );
    let traceback = document["traceback"].as_str().unwrap();
    assert!(
        traceback
            .starts_with("Traceback (most recent call last):\n  File \"tests/it/tasks.rs\", line "),
        "{traceback}"
    );
    assert!(
        traceback.ends_with(", in it.tasks.fail\nit.tasks.OutOfCheese: no cheese\n"),
        "{traceback}"
    );
    assert_eq!(
        circle.done(SoftRaised::s()).await["result"],
        json!({"exc_type": "SoftTimeLimitExceeded", "exc_message": [], "exc_module": "billiard.exceptions"})
    );
    assert_eq!(
        circle.done(Hard::s()).await["result"],
        json!({"exc_type": "TimeLimitExceeded", "exc_message": [7], "exc_module": "billiard.exceptions"})
    );
}

#[tokio::test(start_paused = true)]
async fn each_state_on_the_way_is_stored() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let result = circle.call(Progress::s()).await;
    assert_eq!(result.state().await.unwrap().as_str(), "PENDING");
    circle.probe.noted(1).await;
    let started = circle.stored_now(result.id()).await.unwrap();
    assert_eq!(started["result"], json!({"pid": std::process::id(), "hostname": NODE}));
    assert_eq!(neutral(started), neutral(golden("started")));
    circle.probe.open(1);
    circle.probe.noted(2).await;
    assert_eq!(
        neutral(circle.stored_now(result.id()).await.unwrap()),
        neutral(golden("custom_state"))
    );
    assert_eq!(result.info().await.unwrap(), json!({"done": 1, "total": 2}));
    assert!(!result.ready().await.unwrap());
    circle.probe.open(1);
    assert_eq!(neutral(circle.stored(result.id()).await), neutral(golden("started_then_success")));
    assert!(result.successful().await.unwrap() && !result.failed().await.unwrap());

    let result = circle.call(Flaky::s(1)).await;
    circle.probe.noted(3).await;
    let retried = loop {
        match circle.stored_now(result.id()).await {
            Some(document) if document["status"] == "RETRY" => break document,
            _ => tokio::task::yield_now().await,
        }
    };
    assert_eq!(neutral(retried.clone()), neutral(golden("retry_state")));
    assert_eq!(retried["result"]["exc_type"], "OutOfCheese");
    assert!(result.traceback().await.unwrap().unwrap().contains("OutOfCheese"));
    assert_eq!(result.get().await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_stored_where_nothing_is_to_be() {
    let circle = Circle::new();
    let worker = circle.worker();
    let ids = [
        circle.call(Ignored::s(1)).await.id().to_owned(),
        circle.call(Ignores::s()).await.id().to_owned(),
        circle.call(Add::s(1, 1).ignore_result(true)).await.id().to_owned(),
        circle.call(Fail::s("x".to_owned()).ignore_result(true)).await.id().to_owned(),
    ];
    let kept = circle.done(Ignored::s(1).ignore_result(false)).await;
    assert_eq!(kept["result"], 1);
    let error = circle.done(IgnoredButErrors::s()).await;
    assert_eq!(error["status"], "FAILURE");
    worker.stop().await;
    for id in ids {
        assert_eq!(circle.stored_now(&id).await, None);
    }
    let by_setting = Circle::with(json!({"task_ignore_result": true}));
    let worker = by_setting.worker();
    let dropped = by_setting.call(Add::s(1, 1)).await;
    by_setting.call(Note::s(json!(1))).await;
    by_setting.probe.noted(1).await;
    worker.stop().await;
    assert_eq!(by_setting.stored_now(dropped.id()).await, None);
}

#[tokio::test(start_paused = true)]
async fn an_ignored_result_is_not_waited_for() {
    let circle = Circle::new();
    let result = circle.call(Add::s(1, 1).ignore_result(true)).await;
    assert_eq!(result.clone().typed::<Option<i64>>().get().await.unwrap(), None);
    let error = result.get_within(Duration::from_secs(1)).await.unwrap_err().to_string();
    assert!(error.contains("was called with `ignore_result`"), "{error}");
    // Another handle of it knows nothing of that.
    let other = AsyncResult::<i64>::new(&circle.app, result.id());
    let error = other.get_within(Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_setting_adds_name_arguments_worker_retries_and_queue_to_a_result() {
    let circle = Circle::with(json!({"result_extended": true}));
    let _worker = circle.worker();
    let call = circle.app.send_task("it.tasks.add").args((2,)).kwargs(json!({"y": 3}));
    let document = circle.done(call).await;
    let golden: Value = serde_json::from_str(EXTENDED).unwrap();
    let mut expected = golden["results"]["success"]["decoded"].clone();
    expected["name"] = "it.tasks.add".into();
    expected["worker"] = NODE.into();
    assert_eq!(neutral(document), neutral(expected));
}

#[tokio::test(start_paused = true)]
async fn a_failure_elsewhere_comes_back_as_data() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let result = circle.call(Fail::s("cheese".to_owned())).await;
    let Err(error) = result.get().await else { panic!("no failure") };
    let exception = error.exception().unwrap();
    assert_eq!(
        (&*exception.exc_type, exception.message()),
        ("OutOfCheese", "no cheese".to_owned())
    );
    let Error::Task { traceback, .. } = &error else { panic!("{error}") };
    assert!(traceback.as_ref().unwrap().contains("tests/it/tasks.rs"));
    assert_eq!(error.to_string(), format!("task {} raised OutOfCheese: no cheese", result.id()));
    assert!(result.failed().await.unwrap());
    assert_eq!(result.wait().await.unwrap().state.as_str(), "FAILURE");

    result.clone().forget().await.unwrap();
    assert_eq!(result.state().await.unwrap().as_str(), "PENDING");
    let limit = Duration::from_millis(1500);
    let late = result.get_within(limit).await.unwrap_err();
    assert!(matches!(late, Error::Timeout { seconds: 1.5, .. }), "{late}");
}

#[tokio::test(start_paused = true)]
async fn the_current_app_is_that_of_the_scope_and_inside_a_task_that_of_the_worker() {
    let (one, other) = (Circle::new(), Circle::new());
    let _worker = one.worker();
    let _other_worker = other.worker();
    assert!(matches!(Celery::current(), Err(Error::NoApp)), "no test sets the app of the process");
    assert!(matches!(Add::delay(1, 1).await, Err(Error::NoApp)));
    let result = one.app.scope(Spawn::delay(5)).await.unwrap();
    let document = one.stored(result.id()).await;
    let child = document["children"][0][0][0].as_str().unwrap();
    assert_eq!(one.stored(child).await["result"], 6);
    assert_eq!(one.stored(child).await["parent_id"], result.id());
    assert_eq!(other.stored_now(child).await, None);
}

#[tokio::test(start_paused = true)]
async fn two_workers_share_a_thousand_tasks_and_run_each_once() {
    let circle = Circle::new();
    let options = || WorkerOptions { concurrency: Some(8), ..WorkerOptions::default() };
    let workers = [circle.worker_with(options()), circle.worker_with(options())];
    for number in 0..1000 {
        circle.call(Note::s(json!(number))).await;
    }
    let notes = circle.probe.noted(1000).await;
    for worker in workers {
        worker.stop().await;
    }
    let mut numbers: Vec<_> = notes.iter().map(|note| note["note"].as_i64().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
    assert_eq!(circle.probe.notes().len(), 1000);
    assert_eq!(circle.waiting("celery").await, 0);
}
