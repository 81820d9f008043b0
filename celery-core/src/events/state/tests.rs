//! The rules by which a state takes in events. That they are Celery's is shown beside a real `State`.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;

use super::*;
use crate::{clock, value::Value};

/// An event of a task at that second.
#[expect(clippy::needless_pass_by_value, reason = "it is written where it is called")]
fn task(subject: &str, uuid: &str, second: u32, fields: Value) -> Event {
    event(&format!("task-{subject}"), second, &fields, Some(uuid))
}

fn event(kind: &str, second: u32, fields: &Value, uuid: Option<&str>) -> Event {
    let mut event = json!({
        "type": kind,
        "hostname": "w1@h",
        "pid": 7,
        "clock": second,
        "timestamp": f64::from(second),
        "local_received": f64::from(second),
    });
    if let Some(uuid) = uuid {
        event["uuid"] = json!(uuid);
    }
    for (name, value) in fields.as_object().unwrap() {
        event[name] = value.clone();
    }
    Event::from_value(event).unwrap()
}

fn ids<'a>(tasks: impl Iterator<Item = &'a Task>) -> Vec<&'a str> {
    tasks.map(Task::uuid).collect()
}

/// All orders of these numbers.
fn orders(of: &[usize]) -> Vec<Vec<usize>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (at, first) in of.iter().enumerate() {
        let rest = [&of[..at], &of[at + 1..]].concat();
        all.extend(orders(&rest).into_iter().map(|order| [vec![*first], order].concat()));
    }
    all
}

#[test]
fn in_whatever_order_its_events_come_a_task_ends_in_one_state_with_all_that_is_known() {
    for (last, state) in [
        ("succeeded", "SUCCESS"),
        ("failed", "FAILURE"),
        ("revoked", "REVOKED"),
        ("rejected", "STARTED"),
        ("progress", "PROGRESS"),
    ] {
        let events = [
            task("sent", "a", 1, json!({ "queue": "slow", "hostname": "gen1@h" })),
            task("received", "a", 2, json!({ "name": "proj.add", "args": "(1,)" })),
            task("started", "a", 3, json!({})),
            task(last, "a", 4, json!({ "result": "2", "runtime": 0.5 })),
        ];
        for order in orders(&[0, 1, 2, 3]) {
            let mut fleet = State::new();
            order.iter().for_each(|at| fleet.event(&events[*at]));
            let task = fleet.task("a").unwrap();
            assert_eq!(task.state(), state, "{order:?}");
            assert_eq!((task.name(), task.args()), (Some("proj.add"), Some("(1,)")));
            assert_eq!((task.result(), task.runtime()), (Some("2"), Some(0.5)));
            assert_eq!(task.get("queue"), Some(&json!("slow")));
            assert_eq!(task.get("received"), Some(&json!(2.0)));
            assert_eq!((task.worker(), task.client()), (Some("w1@h"), Some("gen1@h")));
            assert_eq!(fleet.task_count(), 1);
        }
    }
}

#[test]
fn a_retry_begins_anew() {
    let mut fleet = State::new();
    for (second, subject) in (1..).zip(["received", "started", "retried", "received"]) {
        fleet.event(&task(subject, "a", second, json!({})));
    }
    assert_eq!(fleet.task("a").unwrap().state(), "RECEIVED");
    fleet.event(&task("failed", "a", 9, json!({})));
    fleet.event(&task("retried", "a", 8, json!({})));
    assert_eq!(fleet.task("a").unwrap().state(), "RETRY");
}

#[tokio::test(start_paused = true)]
async fn a_worker_lives_for_twice_its_frequency() {
    let mut fleet = State::new();
    let now = clock::now().as_second() as f64;
    let beat = |kind, at: f64| {
        let fields = json!({ "freq": 2.0, "active": 3, "timestamp": at, "local_received": at });
        event(kind, 1, &fields, None)
    };
    fleet.event(&beat("worker-heartbeat", now));
    let worker = fleet.worker("w1@h").unwrap();
    assert!(worker.is_alive());
    assert_eq!((worker.active(), worker.pid(), worker.freq()), (Some(3), Some(7), 2.0));
    assert_eq!(worker.heartbeat_expires(), Some(now + 4.0));
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(fleet.alive_workers().count(), 0);
    for later in 1..=6 {
        fleet.event(&beat("worker-heartbeat", now + f64::from(later)));
    }
    assert_eq!(fleet.worker("w1@h").unwrap().heartbeats().count(), 4);
    assert_eq!(fleet.alive_workers().count(), 1);
    fleet.event(&beat("worker-offline", now + 7.0));
    assert_eq!(fleet.workers().count(), 0);
}

#[test]
fn who_comes_and_goes_is_told_of() {
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let note = |word: &'static str| {
        let told = Arc::clone(&told);
        move |worker: &Worker| told.lock().unwrap().push(format!("{word} {}", worker.hostname()))
    };
    let mut fleet = State::new().on_node_join(note("join")).on_node_leave(note("leave"));
    for kind in ["worker-heartbeat", "worker-heartbeat", "worker-online", "worker-offline"] {
        fleet.event(&event(kind, 1, &json!({}), None));
    }
    assert_eq!(*told.lock().unwrap(), ["join w1@h", "join w1@h", "leave w1@h"]);
}

#[test]
fn only_so_much_is_kept() {
    let mut fleet = State::with_limits(1, 2);
    for (second, uuid) in (1..).zip(["a", "b", "c"]) {
        fleet.event(&task("received", uuid, second, json!({ "name": uuid })));
    }
    assert_eq!(ids(fleet.tasks()), ["b", "c"]);
    assert_eq!(ids(fleet.tasks_by_time()), ["c", "b"]);
    assert_eq!(fleet.task_types().collect::<Vec<_>>(), ["a", "b", "c"]);
    fleet.event(&event("worker-online", 9, &json!({ "hostname": "w2@h" }), None));
    assert_eq!(fleet.workers().map(Worker::hostname).collect::<Vec<_>>(), ["w2@h"]);
    for second in 10..30 {
        fleet.event(&task("progress", "c", second, json!({})));
    }
    assert_eq!(fleet.order.len(), 8);
    fleet.event(&task("succeeded", "c", 30, json!({})));
    fleet.clear_tasks(InProgress::Keep);
    assert_eq!(ids(fleet.tasks()), ["b"]);
    fleet.clear(InProgress::Forget);
    assert_eq!((fleet.tasks().count(), fleet.event_count()), (0, 0));
}

#[test]
fn tasks_are_found_by_time_by_name_by_worker_and_by_their_parent() {
    let mut fleet = State::new();
    let child = json!({ "name": "child", "parent_id": "p" });
    fleet.event(&task("received", "early", 3, child.clone()));
    fleet.event(&task("received", "p", 2, json!({ "name": "parent", "hostname": "w2@h" })));
    fleet.event(&task("received", "late", 1, child));
    assert_eq!(ids(fleet.tasks_by_time()), ["early", "p", "late"]);
    assert_eq!(ids(fleet.tasks_by_type("child")), ["early", "late"]);
    assert_eq!(ids(fleet.tasks_by_worker("w2@h")), ["p"]);
    let mut children = ids(fleet.children("p"));
    children.sort_unstable();
    assert_eq!(children, ["early", "late"]);
}

#[test]
fn an_event_that_lacks_what_it_needs_is_only_counted() {
    let mut fleet = State::new();
    for kind in ["task-started", "worker-online", "my-event"] {
        fleet.event(&Event::new(kind, Default::default()));
    }
    assert_eq!((fleet.event_count(), fleet.tasks().count(), fleet.workers().count()), (3, 0, 0));
}
