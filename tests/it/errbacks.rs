//! Error callbacks that are run where the task failed, with all that is known of the failure.

use celery::{Task, prelude::*};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    harness::{
        Circle, Log, Probe,
        canvas::{chain, chord, group, set, si, sig},
    },
    tasks::{Add, Echo, Fail, Hard, Note, OutOfCheese, Rejects},
};

/// What an error callback looks at of the request of the task that failed.
#[derive(Deserialize, Serialize)]
struct FailedRequest {
    id: String,
    task: String,
    args: Vec<Value>,
    kwargs: Value,
    retries: u32,
    root_id: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct Raised {
    exc_type: String,
    exc_message: Vec<Value>,
}

#[shared_task]
async fn on_error(
    request: FailedRequest,
    exception: Raised,
    traceback: Option<String>,
    more: Option<String>,
    #[state] probe: Probe,
) {
    probe.note(
        json!({ "request": request, "exception": exception, "traceback": traceback, "more": more.unwrap_or_default() }),
    );
}

/// The same, on a thread.
#[shared_task]
fn on_error_on_a_thread(
    request: Value,
    exception: Value,
    _traceback: Value,
    #[state] probe: Probe,
) {
    probe.note(json!([request["id"], exception["exc_type"]]));
}

#[shared_task(time_limit = 5)]
async fn on_error_for_ever(_request: Value, _exception: Value, _traceback: Value) {
    std::future::pending::<()>().await;
}

#[shared_task]
async fn on_error_fails(
    _request: Value,
    _exception: Value,
    _traceback: Value,
) -> Result<(), OutOfCheese> {
    Err(OutOfCheese("luck".to_owned()))
}

fn failing(errbacks: &[Value]) -> Value {
    set(sig(Fail::NAME, json!(["cheese"])), "link_error", json!(errbacks))
}

#[tokio::test(start_paused = true)]
async fn one_that_takes_three_arguments_gets_request_exception_and_traceback() {
    let circle = Circle::new();
    let worker = circle.worker();
    let stored = circle.ran(failing(&[sig(OnError::NAME, json!([]))])).await;
    let note = circle.probe.noted(1).await.remove(0);
    let id = &stored["task_id"];
    assert_eq!(
        note["request"],
        json!({ "id": id, "task": Fail::NAME, "args": ["cheese"], "kwargs": {}, "retries": 0, "root_id": id })
    );
    assert_eq!(
        note["exception"],
        json!({ "exc_type": "OutOfCheese", "exc_message": ["no cheese"] })
    );
    assert_eq!(note["traceback"], stored["traceback"]);
    worker.stop().await;
    // It is no task of its own: nothing was sent.
    assert_eq!(stored["children"], json!([]));
    assert_eq!(circle.probe.notes().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_is_called_in_its_own_style() {
    let circle = Circle::new();
    let worker = circle.worker();
    let errbacks = [
        set(sig(OnError::NAME, json!([])), "priority", json!(3)),
        sig(Note::NAME, json!([])),
        json!({ "task": OnError::NAME, "kwargs": { "more": "of it" } }),
        sig(OnErrorOnAThread::NAME, json!([])),
        // One argument is left, and it gets the id.
        sig(Add::NAME, json!([1])),
    ];
    let stored = circle.ran(failing(&errbacks)).await;
    let notes = circle.probe.noted(4).await;
    let id = &stored["task_id"];
    assert_eq!((&notes[0]["request"]["id"], &notes[0]["more"]), (id, &json!("")));
    assert_eq!((&notes[1]["request"]["id"], &notes[1]["more"]), (id, &json!("of it")));
    assert_eq!(notes[2], json!([id, "OutOfCheese"]));
    assert_eq!(&notes[3]["note"], id);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_or_takes_too_long_stops_nothing() {
    let circle = Circle::new();
    let log = Log::start();
    let worker = circle.worker();
    let errbacks = [
        sig(OnErrorFails::NAME, json!([])),
        sig(OnErrorForEver::NAME, json!([])),
        // Its arguments are of other types.
        sig(Add::NAME, json!([])),
        sig(OnError::NAME, json!([])),
    ];
    circle.ran(failing(&errbacks)).await;
    circle.probe.noted(1).await;
    let log = log.take();
    for (errback, exception) in [
        (OnErrorFails::NAME, "OutOfCheese: no luck"),
        (OnErrorForEver::NAME, "TimeLimitExceeded: 5"),
        (Add::NAME, "TypeError"),
    ] {
        let told = log.lines().any(|line| {
            line.contains("an error callback failed")
                && line.contains(errback)
                && line.contains(exception)
        });
        assert!(told, "{errback} in {log}");
    }
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn they_are_called_for_a_task_that_was_stopped() {
    let circle = Circle::new();
    let worker = circle.worker();
    circle
        .ran(set(sig(Hard::NAME, json!([])), "link_error", json!([sig(OnError::NAME, json!([]))])))
        .await;
    let note = circle.probe.noted(2).await.pop().unwrap();
    assert_eq!(note["exception"], json!({ "exc_type": "TimeLimitExceeded", "exc_message": [7] }));
    assert_eq!(note["traceback"], Value::Null);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn they_are_called_for_a_task_that_rejects_its_message() {
    let circle = Circle::new();
    let worker = circle.worker();
    let errbacks = json!([sig(OnError::NAME, json!([])), sig(Note::NAME, json!([]))]);
    let result = circle.apply(set(sig(Rejects::NAME, json!([])), "link_error", errbacks)).await;
    let notes = circle.probe.noted(2).await;
    assert_eq!(notes[0]["exception"]["exc_message"], json!(["because", false]));
    assert_eq!(notes[1]["note"], json!(result.id));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn those_of_chains_groups_and_chords_are_called_where_they_fail() {
    let circle = Circle::new();
    let worker = circle.worker();
    let on_error = json!([sig(OnError::NAME, json!([]))]);
    let steps =
        [si(Add::NAME, json!([1, 1])), si(Fail::NAME, json!(["milk"])), sig(Echo::NAME, json!([]))];
    let result = circle.apply(set(chain(&steps), "link_error", on_error.clone())).await;
    let note = circle.probe.noted(1).await.remove(0);
    assert_eq!(note["request"]["id"], json!(result.parent.unwrap().id));
    assert_eq!(note["exception"]["exc_message"], json!(["no milk"]));

    let members = [failing(&[sig(OnError::NAME, json!([]))]), si(Add::NAME, json!([1, 1]))];
    let result = circle.apply(group(&members)).await;
    let note = circle.probe.noted(2).await.remove(1);
    assert_eq!(note["request"]["id"], result.leaves()[0]);

    let body = set(sig(Echo::NAME, json!([])), "link_error", on_error);
    let header = [si(Fail::NAME, json!(["eggs"])), si(Add::NAME, json!([1, 1]))];
    let result = circle.apply(chord(&header, body)).await;
    let note = circle.probe.noted(3).await.remove(2);
    assert_eq!(note["request"]["id"], json!(result.id));
    assert_eq!(note["request"]["task"], Echo::NAME);
    assert_eq!(note["exception"]["exc_type"], "ChordError");
    worker.stop().await;
    assert_eq!(circle.probe.notes().len(), 3);
}
