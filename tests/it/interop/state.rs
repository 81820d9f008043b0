//! What a fleet's state is made of its events: the same here and in Python.

use std::sync::{Arc, Mutex};

use celery::core::events::{Event, State, Task, Worker};
use peers::{Space, python, run};
use serde_json::{Map, Value, json};

/// How many fleets there are, each with events of its own.
const FLEETS: u64 = 150;

const TASK: [&str; 26] = [
    "name",
    "args",
    "kwargs",
    "received",
    "sent",
    "started",
    "rejected",
    "succeeded",
    "failed",
    "retried",
    "revoked",
    "eta",
    "expires",
    "retries",
    "result",
    "exception",
    "timestamp",
    "runtime",
    "traceback",
    "exchange",
    "routing_key",
    "root_id",
    "parent_id",
    "queue",
    "local_received",
    "clock",
];

/// Events of a few tasks and workers, in an order in which they would not happen, some of them twice.
fn events(random: &mut fastrand::Rng) -> Vec<Value> {
    let subjects = [
        "sent",
        "received",
        "started",
        "succeeded",
        "failed",
        "retried",
        "revoked",
        "rejected",
        "cancelled",
        "progress",
    ];
    let worker = |random: &mut fastrand::Rng| format!("w{}@h", random.u8(1..=5));
    let id = |random: &mut fastrand::Rng| format!("t{}", random.u8(1..=9));
    let mut all = Vec::new();
    for _ in 0..random.usize(1..60) {
        let time = f64::from(random.u32(1000..1100));
        let mut event = json!({
            "hostname": worker(random),
            "pid": random.u8(1..=2),
            "clock": random.u8(1..40),
            "utcoffset": 0.0,
            "timestamp": time,
            "local_received": time + f64::from(random.u8(0..3)),
        });
        if random.u8(0..4) == 0 {
            let subject = ["online", "heartbeat", "heartbeat", "offline"][random.usize(0..4)];
            event["type"] = json!(format!("worker-{subject}"));
            if random.bool() {
                event["freq"] = json!(random.u8(1..5));
                event["active"] = json!(random.u8(0..5));
                event["sw_ident"] = json!("somebody");
            }
        } else {
            let subject = subjects[random.usize(0..subjects.len())];
            event["type"] = json!(format!("task-{subject}"));
            event["uuid"] = json!(id(random));
            if matches!(subject, "sent" | "received") {
                event["name"] = json!(format!("proj.{}", random.u8(1..=3)));
                event["args"] = json!(format!("({},)", random.u8(0..9)));
                event["retries"] = json!(random.u8(0..3));
                event["parent_id"] = if random.bool() { json!(id(random)) } else { json!(null) };
            }
            if subject == "sent" {
                event["queue"] = json!("slow");
                event["hostname"] = json!("gen1@h");
            }
            if subject == "succeeded" {
                event["result"] = json!(random.u8(0..9).to_string());
                event["runtime"] = json!(0.5);
            }
            if matches!(subject, "failed" | "retried") {
                event["exception"] = json!("KeyError('x')");
            }
        }
        all.push(event);
    }
    all
}

/// What a state makes of the events, in the form in which `events.py` tells it.
fn told(events: &[Value]) -> Value {
    let gone: [Arc<Mutex<Vec<String>>>; 2] = Default::default();
    let note = |at: usize| {
        let names = Arc::clone(&gone[at]);
        move |worker: &Worker| names.lock().unwrap().push(worker.hostname().to_owned())
    };
    let mut state = State::with_limits(4, 6).on_node_join(note(0)).on_node_leave(note(1));
    for event in events {
        state.event(&Event::from_value(event.clone()).unwrap());
    }
    let ids = |tasks: &mut dyn Iterator<Item = &Task>| -> Vec<String> {
        tasks.map(|task| task.uuid().to_owned()).collect()
    };
    let mut names: Vec<_> = state.tasks().filter_map(Task::name).collect();
    names.sort_unstable();
    names.dedup();
    let by_type =
        names.iter().map(|name| ((*name).to_owned(), json!(ids(&mut state.tasks_by_type(name)))));
    let task = |task: &Task| {
        let field = |name: &&str| ((*name).to_owned(), task.get(name).cloned().unwrap_or_default());
        let mut shown: Map<_, _> = TASK.iter().map(field).collect();
        let mut children = ids(&mut state.children(task.uuid()));
        children.sort();
        let more = json!({
            "state": task.state(),
            "client": task.client(),
            "worker": task.worker(),
            "ready": task.is_ready(),
            "children": children,
        });
        shown.extend(more.as_object().unwrap().clone());
        (task.uuid().to_owned(), Value::Object(shown))
    };
    let worker = |worker: &Worker| {
        let get = |name: &str| worker.get(name).cloned().unwrap_or_default();
        let freq = worker.get("freq").cloned().unwrap_or(json!(60));
        let shown = json!({
            "freq": freq,
            "active": get("active"),
            "processed": get("processed"),
            "loadavg": get("loadavg"),
            "pid": get("pid"),
            "sw_ident": get("sw_ident"),
            "heartbeats": worker.heartbeats().collect::<Vec<_>>(),
        });
        (worker.hostname().to_owned(), shown)
    };
    let names = |at: usize| gone[at].lock().unwrap().clone();
    json!({
        "tasks": state.tasks().map(task).collect::<Map<_, _>>(),
        "kept": ids(&mut state.tasks()),
        "workers": state.workers().map(worker).collect::<Map<_, _>>(),
        "workers_kept": state.workers().map(Worker::hostname).collect::<Vec<_>>(),
        "by_time": ids(&mut state.tasks_by_time()),
        "by_type": by_type.collect::<Map<_, _>>(),
        "types": state.task_types().collect::<Vec<_>>(),
        "counts": [state.event_count(), state.task_count()],
        "joined": names(0),
        "left": names(1),
    })
}

#[tokio::test]
async fn a_state_makes_of_events_in_any_order_what_pythons_makes_of_them() {
    let fleets: Vec<_> =
        (0..FLEETS).map(|seed| events(&mut fastrand::Rng::with_seed(seed))).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.json");
    std::fs::write(&file, Value::from(fleets.clone()).to_string()).unwrap();
    let space = Space::new();
    let printed = run(python(&space, "events.py").arg("state").arg(&file)).await;
    let of_python: Vec<Value> = serde_json::from_str(&printed).unwrap();
    for (seed, (events, expected)) in fleets.iter().zip(of_python).enumerate() {
        let seen = told(events);
        for (part, expected) in expected.as_object().unwrap() {
            assert_eq!(&seen[part], expected, "fleet {seed}, {part}, of {events:#?}");
        }
    }
}
