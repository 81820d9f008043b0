//! What a worker tells of its tasks and of itself, in Celery's events.

use std::time::Duration;

use celery::{
    Heartbeat, WorkerOptions,
    core::{
        broker::{Queue, Subscription},
        codec::json,
        conformance::faulty::Call,
        events,
    },
};
use serde_json::{Map, Value, json};

use crate::{
    golden::capture,
    harness::{Circle, NODE, faulty, within},
    revoke::listens,
    tasks::*,
};

/// What a monitor hears.
pub(crate) struct Monitor {
    heard: Box<dyn Subscription>,
    ready: Vec<Map<String, Value>>,
}

impl Monitor {
    pub(crate) async fn of(circle: &Circle) -> Self {
        let exchange = events::exchange(&circle.app.config().event);
        let queue = Queue { exchange, routing_key: "#".to_owned(), ..Queue::named("monitor") };
        let heard = circle.broker().await.subscribe(&queue).await.unwrap();
        Self { heard, ready: Vec::new() }
    }

    async fn next(&mut self) -> Map<String, Value> {
        while self.ready.is_empty() {
            let message = within(self.heard.next()).await.unwrap();
            self.ready = match json::from_slice(&message.body).unwrap() {
                Value::Array(list) => {
                    list.iter().map(|it| it.as_object().unwrap().clone()).collect()
                }
                one => vec![one.as_object().unwrap().clone()],
            };
        }
        self.ready.remove(0)
    }

    /// The next events but heartbeats, up to one of this type.
    pub(crate) async fn until(&mut self, last: &str) -> Vec<Map<String, Value>> {
        let mut seen = Vec::new();
        while seen.last().is_none_or(|event: &Map<_, _>| event["type"] != last) {
            let event = self.next().await;
            if event["type"] != "worker-heartbeat" {
                seen.push(event);
            }
        }
        seen
    }

    /// The types of these.
    async fn kinds(&mut self, last: &str) -> Vec<String> {
        let events = self.until(last).await;
        events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }
}

pub(crate) fn with_events() -> WorkerOptions {
    WorkerOptions { task_events: Some(true), ..without_events() }
}

fn without_events() -> WorkerOptions {
    let heartbeat = Heartbeat::Every(Duration::from_secs(60));
    WorkerOptions { concurrency: Some(1), heartbeat, ..WorkerOptions::default() }
}

/// The event has the fields of Celery's, of the same kinds.
fn check_shape(event: &Map<String, Value>, golden: &Value) {
    let kind = event["type"].as_str().unwrap();
    let samples = golden["samples"][kind].as_array().unwrap_or_else(|| panic!("no {kind}"));
    let keys = |map: &Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
    let sample = |sample: &Value| sample["event"].as_object().unwrap().clone();
    let samples: Vec<_> = samples.iter().map(sample).collect();
    assert!(samples.iter().any(|sample| keys(sample) == keys(event)), "{kind}: {event:?}");
    for (name, value) in event {
        let same = |other: &Value| std::mem::discriminant(other) == std::mem::discriminant(value);
        let float = |other: &Value| other.is_f64() == value.is_f64();
        let fits = samples.iter().any(|sample| same(&sample[name]) && float(&sample[name]));
        // No captured task has a parent; that of a retry is itself.
        let parent = name == "parent_id" && value.is_string();
        assert!(fits || parent, "{kind}: `{name}` is {value}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_event_has_celerys_fields_in_celerys_order() {
    let circle = Circle::with(json!({ "task_send_sent_event": true }));
    let mut monitor = Monitor::of(&circle).await;
    let worker = circle.worker_with(with_events());
    circle.done(Add::s(2, 3).expires(60)).await;
    circle.done(Fail::s("all".to_owned())).await;
    circle.done(Flaky::s(1)).await;
    circle.done(Rejects::s()).await;
    circle.done(Add::s(2, 3).countdown(5).expires(1)).await;
    circle.done(Add::s(2, 3).countdown(5)).await;
    worker.stop().await;
    let golden = capture("events/by_type");
    let mut seen = std::collections::BTreeSet::new();
    for event in monitor.until("worker-offline").await {
        check_shape(&event, &golden);
        seen.insert(event["type"].as_str().unwrap().to_owned());
    }
    let expected = [
        "task-failed",
        "task-received",
        "task-rejected",
        "task-retried",
        "task-revoked",
        "task-sent",
        "task-started",
        "task-succeeded",
        "worker-offline",
        "worker-online",
    ];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected);
}

#[tokio::test(start_paused = true)]
async fn events_come_in_the_order_in_which_things_happen() {
    let circle = Circle::new();
    let mut monitor = Monitor::of(&circle).await;
    let worker = circle.worker_with(with_events());
    assert_eq!(monitor.kinds("worker-online").await, ["worker-online"]);

    circle.call(Add::s(2, 3)).await;
    let events = monitor.until("task-succeeded").await;
    let clocks: Vec<_> = events.iter().map(|event| event["clock"].as_u64().unwrap()).collect();
    assert!(clocks.is_sorted_by(|a, b| a < b), "{clocks:?}");
    assert_eq!(events[0]["args"], "(2, 3)");
    assert_eq!(events[0]["hostname"], NODE);
    assert_eq!(events[2]["result"], "5");

    circle.call(Flaky::s(1)).await;
    let (received, started) = ("task-received", "task-started");
    let retried = [received, started, "task-retried", received, started, "task-succeeded"];
    assert_eq!(monitor.kinds("task-succeeded").await, retried);

    circle.call(Fail::s("all".to_owned())).await;
    let events = monitor.until("task-failed").await;
    assert_eq!(events[2]["exception"], "OutOfCheese('no all')");

    circle.call(Hard::s()).await;
    let events = monitor.until("task-failed").await;
    assert_eq!(events[2]["exception"], "TimeLimitExceeded(7)");
    assert!(events[2]["traceback"].as_str().unwrap().ends_with("TimeLimitExceeded: 7\n"));

    circle.call(Rejects::s()).await;
    let events = monitor.until("task-rejected").await;
    assert_eq!(events[2]["exception"], "reject requeue=False: because");
    assert_eq!(
        (&events[3]["type"], &events[3]["requeue"]),
        (&json!("task-rejected"), &json!(false))
    );

    circle.call(RejectsOnce::s()).await;
    let rejected = [received, started, "task-rejected", received, started, "task-succeeded"];
    assert_eq!(monitor.kinds("task-succeeded").await, rejected);

    circle.call(FailUnacknowledged::s()).await;
    assert_eq!(
        monitor.kinds("task-rejected").await,
        [received, started, "task-failed", "task-rejected"]
    );
    worker.stop().await;
    assert_eq!(monitor.kinds("worker-offline").await, ["worker-offline"]);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_until_it_is_due_is_received_once() {
    let circle = Circle::new();
    let mut monitor = Monitor::of(&circle).await;
    let _worker = circle.worker_with(with_events());
    circle.call(Add::s(2, 3).countdown(3600)).await;
    let events = monitor.until("task-succeeded").await;
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["worker-online", "task-received", "task-started", "task-succeeded"]);
    assert!(events[1]["eta"].is_string());
    let waited =
        events[2]["timestamp"].as_f64().unwrap() - events[1]["timestamp"].as_f64().unwrap();
    assert!((3599.0..3601.0).contains(&waited), "{waited}");
}

#[tokio::test(start_paused = true)]
async fn what_expired_is_revoked_and_what_nobody_knows_has_failed() {
    let circle = Circle::new();
    let mut monitor = Monitor::of(&circle).await;
    circle.call(Add::s(2, 3).expires(1)).await;
    tokio::time::advance(Duration::from_secs(2)).await;
    let _worker = circle.worker_with(with_events());
    let events = monitor.until("task-revoked").await;
    assert_eq!(events.len(), 2);
    assert_eq!(events[1]["expired"], true);
    assert_eq!((&events[1]["terminated"], &events[1]["signum"]), (&json!(false), &json!(null)));

    circle.app.send_task("it's.unknown").send().await.unwrap();
    let events = monitor.until("task-failed").await;
    assert_eq!(events[0]["exception"], r#"NotRegistered("it's.unknown")"#);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_terminated_is_revoked_with_the_number_of_the_signal() {
    let circle = Circle::new();
    let mut monitor = Monitor::of(&circle).await;
    let _worker = circle.worker_with(with_events());
    let result = circle.call(HoldLate::s("late".to_owned())).await;
    monitor.until("task-started").await;
    listens(&circle).await;
    circle.app.control().revoke([result.id()]).terminate("KILL").send().await.unwrap();
    let event = monitor.until("task-revoked").await.pop().unwrap();
    check_shape(&event, &capture("events/by_type"));
    assert_eq!((&event["uuid"], &event["hostname"]), (&json!(result.id()), &json!(NODE)));
    assert_eq!((&event["terminated"], &event["signum"]), (&json!(true), &json!(9)));
    assert_eq!(event["expired"], false);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_a_cold_shutdown_ends_is_cancelled() {
    let circle = Circle::new();
    let mut monitor = Monitor::of(&circle).await;
    let mut worker = circle.worker_with(with_events());
    let result = circle.call(HoldLate::s("late".to_owned())).await;
    let started = monitor.until("task-started").await.pop().unwrap();
    worker.shutdown.cold.cancel();
    worker.ended().await.unwrap();
    let events = monitor.until("worker-offline").await;
    let [cancelled, _offline] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(cancelled["type"], "task-cancelled");
    assert_eq!((&cancelled["uuid"], &cancelled["hostname"]), (&json!(result.id()), &json!(NODE)));
    assert!(cancelled["clock"].as_u64() > started["clock"].as_u64());
    // As Celery's, it has the id of the task and no field besides, in the order in which `task-started` has them.
    let mut golden = capture("events/by_type");
    golden["samples"]["task-cancelled"] = golden["samples"]["task-started"].take();
    check_shape(cancelled, &golden);
}

#[tokio::test(start_paused = true)]
async fn of_some_tasks_and_by_most_workers_nothing_is_told() {
    let circle = Circle::new();
    let mut monitor = Monitor::of(&circle).await;
    let worker = circle.worker_with(without_events());
    circle.done(Add::s(1, 1)).await;
    worker.stop().await;
    assert_eq!(monitor.kinds("worker-offline").await, ["worker-online", "worker-offline"]);

    let worker = circle.worker_with(with_events());
    circle.done(Discreet::s()).await;
    worker.stop().await;
    assert_eq!(monitor.kinds("worker-offline").await, ["worker-online", "worker-offline"]);
}

#[tokio::test(start_paused = true)]
async fn a_task_tells_an_event_of_its_own() {
    let circle = Circle::new();
    let mut monitor = Monitor::of(&circle).await;
    let _worker = circle.worker_with(without_events());
    let id = circle.call(Outspoken::s()).await.id().to_owned();
    let event = monitor.until("task-progress").await.pop().unwrap();
    assert_eq!((&event["uuid"], &event["done"]), (&json!(id), &json!(3)));
    assert_eq!(event["hostname"], NODE);
}

#[tokio::test(start_paused = true)]
async fn a_worker_says_that_it_lives_and_what_it_does() {
    let circle = Circle::new();
    let mut monitor = Monitor::of(&circle).await;
    let options = WorkerOptions {
        heartbeat: Heartbeat::Every(Duration::from_secs(5)),
        ..WorkerOptions::default()
    };
    let _worker = circle.worker_with(options);
    let golden = capture("events/by_type");
    let online = monitor.next().await;
    check_shape(&online, &golden);
    circle.done(Add::s(1, 1)).await;
    circle.call(Hold::s("busy".to_owned())).await;
    let first = monitor.next().await;
    check_shape(&first, &golden);
    assert_eq!((&first["freq"], &first["sw_ident"]), (&json!(5.0), &json!("celery-rs")));
    assert_eq!((&first["active"], &first["processed"]), (&json!(1), &json!(2)));
    let second = monitor.next().await;
    let apart = second["timestamp"].as_f64().unwrap() - first["timestamp"].as_f64().unwrap();
    assert!((4.9..5.1).contains(&apart), "{apart}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_a_heartbeat_says_nothing_of_itself() {
    let circle = Circle::new();
    let mut monitor = Monitor::of(&circle).await;
    let options = WorkerOptions { heartbeat: Heartbeat::Never, ..with_events() };
    let worker = circle.worker_with(options);
    circle.done(Add::s(1, 1)).await;
    worker.stop().await;
    let kinds = monitor.kinds("task-succeeded").await;
    assert_eq!(kinds, ["task-received", "task-started", "task-succeeded"]);
    circle.app.events().send("it-is-over", |_| {}).await.unwrap();
    assert_eq!(monitor.kinds("it-is-over").await, ["it-is-over"]);
}

#[tokio::test(start_paused = true)]
async fn events_of_tasks_can_be_switched_on_and_off_from_afar() {
    let circle = Circle::new();
    let mut monitor = Monitor::of(&circle).await;
    let worker = circle.worker_with(without_events());
    monitor.until("worker-online").await;
    let ask = async |method: &str| {
        let replies = circle.app.control().broadcast(method, Map::new()).limit(1).replies().await;
        replies.unwrap().remove(0).1
    };
    assert_eq!(ask("disable_events").await, json!({ "ok": "task events already disabled" }));
    assert_eq!(ask("enable_events").await, json!({ "ok": "task events enabled" }));
    assert_eq!(ask("enable_events").await, json!({ "ok": "task events already enabled" }));
    circle.done(Add::s(1, 1)).await;
    assert_eq!(monitor.kinds("task-succeeded").await.len(), 3);
    assert_eq!(ask("heartbeat").await, json!(null));
    loop {
        let event = monitor.next().await;
        if event["freq"] == json!(5) {
            assert!(!event.contains_key("active"));
            break;
        }
    }
    assert_eq!(ask("disable_events").await, json!({ "ok": "task events disabled" }));
    circle.done(Add::s(1, 1)).await;
    worker.stop().await;
    assert_eq!(monitor.kinds("worker-offline").await, ["worker-offline"]);

    // One that sends them from its start cannot be stopped: so it is with Celery.
    let worker = circle.worker_with(with_events());
    monitor.until("worker-online").await;
    assert_eq!(ask("disable_events").await, json!({ "ok": "task events already disabled" }));
    assert_eq!(ask("enable_events").await, json!({ "ok": "task events already enabled" }));
    circle.done(Add::s(1, 1)).await;
    worker.stop().await;
    assert_eq!(monitor.kinds("worker-offline").await.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn an_outage_delays_events_and_no_task() {
    let (circle, servers) = faulty(json!({}));
    let mut monitor = Monitor::of(&circle).await;
    let worker = circle.worker_with(with_events());
    monitor.until("worker-online").await;
    // The first is that of the task.
    for nth in 2..=4 {
        servers.broker.lose_connection_on(Call::Publish, nth);
    }
    let began = tokio::time::Instant::now();
    let id = circle.call(Add::s(2, 3)).await.id().to_owned();
    assert_eq!(circle.stored(&id).await["status"], "SUCCESS");
    assert!(began.elapsed() < Duration::from_secs(1));
    let kinds = monitor.kinds("task-succeeded").await;
    assert_eq!(kinds, ["task-received", "task-started", "task-succeeded"]);
    assert!(began.elapsed() >= Duration::from_secs(7), "{:?}", began.elapsed());
    worker.stop().await;
    assert_eq!(monitor.kinds("worker-offline").await, ["worker-offline"]);
}
