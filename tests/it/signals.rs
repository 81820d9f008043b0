//! Signals of the app, and the hooks of tasks: what is called, in which order, and that nothing of it changes a run.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use celery::{
    Context, Failure, Heartbeat, State, TaskError, WorkerOptions,
    core::{
        message::Message,
        protocol::TaskMessage,
        signals::{Publishing, RevokedHow, Signals, Unreadable},
    },
    prelude::*,
};
use serde_json::{Value, json};

use crate::{
    harness::{Circle, Log, NODE, Probe, faulty_with, memory_url, within},
    tasks::{Add, OutOfCheese},
};

/// Writes down what it hears.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

impl Recorder {
    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Signals for Recorder {
    fn before_task_publish(&self, publishing: &mut Publishing<'_>) {
        let message = &mut *publishing.message;
        message.extra_headers.insert("tenant".to_owned(), "acme".into());
        message.priority = Some(3);
        message.id = "not for a signal to say".to_owned();
        self.note(format!("before {} to {:?}", message.task, publishing.routing_key));
    }

    fn after_task_publish(&self, message: &TaskMessage, exchange: &str, routing_key: &str) {
        self.note(format!(
            "after {} {exchange:?} {routing_key:?}",
            message.extra_headers["tenant"]
        ));
    }

    fn task_received(&self, request: &TaskMessage) {
        self.note(format!("received {}", request.task));
    }

    fn task_prerun(&self, context: &Context) {
        assert!(Context::current().is_some());
        self.note(format!("prerun {}", context.task_name()));
    }

    fn task_postrun(&self, _: &Context, state: &State, result: Option<&Value>) {
        self.note(format!("postrun {state} {}", result.is_some()));
    }

    fn task_success(&self, _: &Context, result: &Value) {
        self.note(format!("success {result}"));
    }

    fn task_retry(&self, _: &Context, _: jiff::Timestamp, reason: Option<&Failure>) {
        self.note(format!("retry {}", reason.is_some()));
    }

    fn task_failure(&self, _: &Context, failure: &Failure) {
        self.note(format!("failure {}", failure.exception));
    }

    fn task_revoked(&self, _: &TaskMessage, how: RevokedHow) {
        self.note(format!("revoked {how:?}"));
    }

    fn task_rejected(&self, why: Unreadable<'_>) {
        self.note(format!("rejected {}", matches!(why, Unreadable::Protocol(_))));
    }

    fn task_unknown(&self, request: &TaskMessage) {
        self.note(format!("unknown {}", request.task));
    }

    fn task_internal_error(&self, reason: &str) {
        self.note(format!("internal error {reason}"));
    }

    fn heartbeat_sent(&self, hostname: &str) {
        self.note(format!("heartbeat_sent {hostname}"));
    }

    fn celeryd_init(&self, app: &Celery, hostname: &str) {
        self.note(format!("celeryd_init {} {hostname}", app.name()));
    }

    fn celeryd_after_setup(&self, _: &str, queues: &[&str]) {
        self.note(format!("celeryd_after_setup {queues:?}"));
    }

    fn worker_init(&self, _: &str) {
        self.note("worker_init".to_owned());
    }

    fn worker_ready(&self, _: &str) {
        self.note("worker_ready".to_owned());
    }

    fn worker_shutting_down(&self, _: &str, warm: bool) {
        self.note(format!("worker_shutting_down {warm}"));
    }

    fn worker_shutdown(&self, hostname: &str) {
        self.note(format!("worker_shutdown {hostname}"));
    }
}

impl Recorder {
    /// Waits until it has heard something that begins so; returns it.
    async fn hears(&self, beginning: &str) -> String {
        let hearing = async {
            loop {
                let heard = self.take().into_iter().find(|it| it.starts_with(beginning));
                if let Some(heard) = heard {
                    return heard;
                }
                tokio::time::advance(Duration::from_millis(100)).await;
            }
        };
        within(hearing).await
    }
}

/// Panics at whatever it hears of a run.
struct Clumsy;

impl Signals for Clumsy {
    fn task_prerun(&self, _: &Context) {
        panic!("clumsy before");
    }

    fn task_postrun(&self, _: &Context, _: &State, _: Option<&Value>) {
        panic!("clumsy after");
    }
}

fn circle(signals: impl FnOnce(celery::Builder) -> celery::Builder) -> Circle {
    let url = memory_url();
    Circle::build(|builder| signals(builder.broker(&url).backend(&url)), &json!({}))
}

fn tell(context: &Context, what: impl Into<Value>) {
    context.state::<Probe>().unwrap().note(what);
}

/// Tells of all of its hooks.
#[shared_task(
    max_retries = 1,
    before_start = before,
    on_success = succeeded,
    on_failure = failed,
    on_retry = retried,
    after_return = returned,
)]
async fn hooked(how: String, #[state] probe: Probe) -> Result<String, TaskError> {
    probe.note("run");
    match &*how {
        "fails" => Err(OutOfCheese("luck".to_owned()).into()),
        "retries" => {
            let task = Context::current().unwrap();
            Err(task.retry().countdown(1).cause(OutOfCheese("time".to_owned())).into())
        }
        "panics" => panic!("at the disco"),
        "ignores" => Err(Ignore.into()),
        _ => Ok(how),
    }
}

fn before(context: &Context) {
    assert_eq!(Context::current().unwrap().id(), context.id());
    tell(context, "before_start");
}

fn succeeded(context: &Context, result: &Value) {
    tell(context, json!(["on_success", result]));
}

fn failed(context: &Context, failure: &Failure) {
    tell(context, json!(["on_failure", failure.exception.exc_type]));
}

fn retried(context: &Context, reason: Option<&Failure>) {
    tell(context, json!(["on_retry", reason.unwrap().exception.exc_type]));
}

fn returned(context: &Context, state: &State, result: &Value) {
    tell(context, json!(["after_return", state.as_str(), result.is_null()]));
}

#[shared_task(before_start = clumsy, on_success = clumsy_success, after_return = clumsy_return)]
async fn stumbles(x: i64) -> i64 {
    x
}

fn clumsy(_: &Context) {
    panic!("a clumsy hook");
}

fn clumsy_success(_: &Context, _: &Value) {
    panic!("a clumsy hook");
}

fn clumsy_return(_: &Context, _: &State, _: &Value) {
    panic!("a clumsy hook");
}

#[tokio::test(start_paused = true)]
async fn signals_tell_of_calls_and_may_change_what_is_sent() {
    let recorder = Recorder::default();
    let circle = circle(|builder| builder.signals(recorder.clone()));
    let result = circle.call(Add::s(1, 2)).await;
    assert_eq!(
        recorder.take(),
        [
            format!("before {} to \"celery\"", Add::NAME),
            "after \"acme\" \"\" \"celery\"".to_owned(),
        ]
    );
    let _worker = circle.worker();
    assert_eq!(circle.stored(result.id()).await["result"], 3);
}

#[tokio::test(start_paused = true)]
async fn signals_tell_of_a_worker_and_of_its_tasks_in_celerys_order() {
    let recorder = Recorder::default();
    let circle = circle(|builder| builder.signals(recorder.clone()));
    let worker = circle.worker();
    circle.done(Hooked::s("works".to_owned())).await;
    let name = Hooked::NAME;
    let mut told = recorder.take();
    told.retain(|what| !what.starts_with("before") && !what.starts_with("after"));
    let expected = [
        format!("celeryd_init circle {NODE}"),
        "celeryd_after_setup [\"celery\"]".to_owned(),
        "worker_init".to_owned(),
        "worker_ready".to_owned(),
        format!("received {name}"),
        format!("prerun {name}"),
        "success \"works\"".to_owned(),
        "postrun SUCCESS true".to_owned(),
    ];
    assert_eq!(told, expected);
    for (how, expected) in [
        ("fails", vec!["failure OutOfCheese: no luck", "postrun FAILURE true"]),
        ("panics", vec!["failure Panic: at the disco", "postrun FAILURE true"]),
        (
            "retries",
            vec![
                "retry true",
                "postrun RETRY false",
                "failure OutOfCheese: no time",
                "postrun FAILURE true",
            ],
        ),
    ] {
        circle.done(Hooked::s(how.to_owned())).await;
        let mut told = recorder.take();
        told.retain(|what| ["fail", "retry", "post"].iter().any(|it| what.starts_with(it)));
        assert_eq!(told, expected);
    }
    circle.done(Add::s(1, 1).expires(-1)).await;
    assert!(
        recorder.take().contains(&"revoked RevokedHow { signum: None, expired: true }".to_owned())
    );
    circle.done(circle.app.send_task("no.such.task")).await;
    assert!(recorder.take().contains(&"unknown no.such.task".to_owned()));
    let headers = json!({ "task": Add::NAME, "id": "unread" });
    let message = Message {
        body: "[".into(),
        content_type: Some("application/json".to_owned()),
        headers: headers.as_object().unwrap().clone().into(),
        ..Message::default()
    };
    circle.push("celery", message).await;
    circle.stored("unread").await;
    worker.stop().await;
    let told = recorder.take();
    let expected =
        ["rejected true", "worker_shutting_down true", &format!("worker_shutdown {NODE}")];
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn several_are_told_in_order_and_one_that_panics_changes_nothing() {
    let (first, last) = (Recorder::default(), Recorder::default());
    let circle =
        circle(|builder| builder.signals(first.clone()).signals(Clumsy).signals(last.clone()));
    let log = Log::start();
    let worker = circle.worker();
    assert_eq!(circle.done(Add::s(1, 2)).await["result"], 3);
    worker.stop().await;
    let (first, last) = (first.take(), last.take());
    assert_eq!(first, last);
    assert!(last.contains(&"postrun SUCCESS true".to_owned()), "{last:?}");
    let said = log.take();
    assert!(
        said.contains("`task_prerun` panicked, which changes nothing: clumsy before"),
        "{said}"
    );
    assert!(said.contains("`task_postrun` panicked"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn the_hooks_of_a_task_are_called_around_its_run() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let mut seen = 0;
    let mut check = async |how: &str, expected: &[Value]| {
        circle.done(Hooked::s(how.to_owned())).await;
        let notes = circle.probe.notes();
        assert_eq!(notes[seen..], *expected, "{how}");
        seen = notes.len();
    };
    let (begin, run) = (json!("before_start"), json!("run"));
    let ended = |state: &str| json!(["after_return", state, false]);
    let failed = |what: &str| json!(["on_failure", what]);
    check("works", &[begin.clone(), run.clone(), json!(["on_success", "works"]), ended("SUCCESS")])
        .await;
    check("fails", &[begin.clone(), run.clone(), failed("OutOfCheese"), ended("FAILURE")]).await;
    check("panics", &[begin.clone(), run.clone(), failed("Panic"), ended("FAILURE")]).await;
    check(
        "retries",
        &[
            begin.clone(),
            run.clone(),
            json!(["on_retry", "OutOfCheese"]),
            begin,
            run,
            failed("OutOfCheese"),
            ended("FAILURE"),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_changes_nothing() {
    let circle = Circle::new();
    let log = Log::start();
    let worker = circle.worker();
    assert_eq!(circle.done(Stumbles::s(7)).await["result"], 7);
    worker.stop().await;
    let said = log.take();
    for hook in ["before_start", "on_success", "after_return"] {
        assert!(said.contains(&format!("`{hook}` panicked")), "{hook}: {said}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_signal_tells_of_each_heartbeat_and_of_none_where_there_is_none() {
    let recorder = Recorder::default();
    let circle = circle(|builder| builder.signals(recorder.clone()));
    let beats = |told: &[String]| told.iter().filter(|it| it.starts_with("heartbeat")).count();
    for (heartbeat, expected) in
        [(Heartbeat::Every(Duration::from_secs(5)), 2), (Heartbeat::Never, 0)]
    {
        let worker = circle.worker_with(WorkerOptions { heartbeat, ..WorkerOptions::default() });
        recorder.hears("worker_ready").await;
        tokio::time::sleep(Duration::from_secs(12)).await;
        worker.stop().await;
        let told = recorder.take();
        assert_eq!(beats(&told), expected, "{told:?}");
        let beat = format!("heartbeat_sent {NODE}");
        assert!(told.iter().all(|it| !it.starts_with("heartbeat") || *it == beat), "{told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_costs_a_worker_a_request_is_told_of_and_costs_no_more() {
    let recorder = Recorder::default();
    let (circle, servers) = faulty_with(|it| it.signals(recorder.clone()), &json!({}));
    let worker = circle.worker();
    servers.backend.panic();
    let lost = circle.call(Add::s(1, 2)).await;
    let told = recorder.hears("internal error").await;
    assert!(told.contains("panicked on purpose"), "{told}");
    assert_eq!(circle.stored_now(lost.id()).await, None);
    assert_eq!(circle.done(Add::s(1, 2)).await["result"], 3);
    worker.stop().await;
}
