//! Events: a worker's as Python's monitors hear them, and a Python worker's as ours do.

use std::collections::BTreeMap;

use celery::core::events::{Event, State};
use peers::{LIMIT, Process, PythonWorker, Space, celery_command, python, service};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::harness::{call, command, worker};

/// Python's `celery events --dump`, which is known to hear by the heartbeats that it asked for.
async fn python_dump(space: &Space) -> Process {
    let line = ["celery", "-A", "proj.celery", "events", "--dump"];
    let dump = Process::start(python(space, "-m").args(line));
    dump.says("heartbeat: ").await;
    dump
}

/// The events that `events.py` has heard.
fn heard(listener: &Process) -> Vec<Event> {
    let log = listener.log();
    let values = log.lines().filter_map(|line| serde_json::from_str(line).ok());
    values.filter_map(|value: Value| Event::from_value(value).ok()).collect()
}

#[tokio::test]
async fn pythons_dump_shows_a_worker_and_its_tasks() {
    let space = Space::new().with("task_send_sent_event", true);
    let app = space.app();
    let mut worker = worker(&space, &["-E", "-n", "w1@here", "-c", "1"]).await;
    let dump = python_dump(&space).await;
    let id = call(&app, "fleet.add", json!([2, 3])).await.id().to_owned();
    dump.says(&format!("task sent: fleet.add({id}) args=(2, 3) kwargs={{}} clock=")).await;
    dump.says(&format!("task received: fleet.add({id}) args=(2, 3) kwargs={{}} clock=")).await;
    dump.says(&format!("task started: fleet.add({id}) args=(2, 3) kwargs={{}} clock=")).await;
    dump.says(&format!("task succeeded: fleet.add({id}) args=(2, 3) kwargs={{}} clock=")).await;
    dump.says("result=5, runtime=").await;
    assert!(dump.log().contains("w1@here ["), "{}", dump.log());
    worker.signal("TERM").await;
    dump.says("shutdown: active=0, clock=").await;
    assert!(worker.ended().await.success());
}

#[tokio::test]
async fn pythons_receiver_and_state_understand_a_worker() {
    let space = Space::new();
    let app = space.app();
    let _worker = worker(&space, &["-E", "-n", "w1@here", "-c", "1"]).await;
    let listener = Process::start(python(&space, "events.py").arg("listen"));
    listener.says("worker-heartbeat").await;
    let id = call(&app, "fleet.add", json!([2, 3])).await.id().to_owned();
    listener.says("task-succeeded").await;
    call(&app, "no.such.task", json!([])).await;
    listener.says("NotRegistered('no.such.task')").await;
    let mut by_kind = BTreeMap::new();
    for event in heard(&listener) {
        by_kind.entry(event.kind().to_owned()).or_insert(event);
    }
    for kind in ["task-received", "task-started", "task-succeeded"] {
        assert_eq!(by_kind[kind].text("uuid"), Some(id.as_str()), "{kind}");
        assert_eq!(by_kind[kind].hostname(), Some("w1@here"));
        let (told, heard) = (by_kind[kind].timestamp(), by_kind[kind].number("local_received"));
        assert!((told.unwrap() - heard.unwrap()).abs() < 5.0, "{:?}", by_kind[kind]);
    }
    let mut fleet = State::new();
    heard(&listener).iter().for_each(|event| fleet.event(event));
    assert_eq!(fleet.task(&id).unwrap().state(), "SUCCESS");
    assert!(fleet.worker("w1@here").unwrap().is_alive());
}

#[tokio::test]
async fn python_switches_events_on_and_off() {
    let space = Space::new();
    let app = space.app();
    let worker = worker(&space, &["-n", "w1@here", "-c", "1"]).await;
    let dump = python_dump(&space).await;
    let replies = celery_command(&space, &["control", "enable_events"]).await;
    assert!(replies.contains("task events enabled"), "{replies}");
    let replies = celery_command(&space, &["control", "enable_events"]).await;
    assert!(replies.contains("task events already enabled"), "{replies}");
    call(&app, "fleet.add", json!([1, 1])).await;
    dump.says("task succeeded: ").await;
    let replies = celery_command(&space, &["control", "disable_events"]).await;
    assert!(replies.contains("task events disabled"), "{replies}");
    let silent = call(&app, "fleet.add", json!([4, 4])).await;
    silent.get().await.unwrap();
    worker.stop().await;
    dump.says("shutdown: ").await;
    assert!(!dump.log().contains(silent.id()), "{}", dump.log());
}

#[tokio::test]
async fn our_receiver_and_dump_hear_a_python_worker() {
    let space = Space::new().with("task_send_sent_event", true);
    let app = space.app();
    let worker = PythonWorker::start(&space, &["-E", "-n", "w1@there", "-c", "1"]).await;
    let mut events = app.events().receive("#").await.unwrap();
    let dump = Process::start(&mut command(&space, &["events", "--dump"]));
    dump.says("w1@there [").await;
    let added = call(&app, "proj.tasks.add", json!([2, 3])).await;
    added.get().await.unwrap();
    let id = added.id().to_owned();
    let mut fleet = State::new();
    let succeeded = async {
        while fleet.task(&id).is_none_or(|task| task.state() != "SUCCESS") {
            fleet.event(&events.next().await.unwrap());
        }
    };
    timeout(LIMIT, succeeded).await.expect("the events come");
    let task = fleet.task(&id).unwrap();
    assert_eq!((task.name(), task.args()), (Some("proj.tasks.add"), Some("(2, 3)")));
    assert_eq!((task.result(), task.worker()), (Some("5"), Some("w1@there")));
    assert!(task.client().is_some_and(|client| client.starts_with("gen")));
    let python = fleet.worker("w1@there").unwrap();
    assert!(python.is_alive());
    assert_eq!(python.get("sw_ident"), Some(&json!("py-celery")));
    dump.says(&format!("task succeeded: proj.tasks.add({id}) args=(2, 3) kwargs={{}} clock="))
        .await;
    worker.stop().await;
    assert!(dump.stop().await.success());
    events.close().await;
}

/// A database that no other test uses, by which the connections of this one are known.
const ITS_OWN: u8 = 9;

#[tokio::test]
async fn connections_that_are_lost_cost_events_and_no_task() {
    let url = service("CELERY_TEST_REDIS_URL");
    let server = url.strip_suffix("/0").expect("the url ends with a database");
    let space = Space::at(&format!("{server}/{ITS_OWN}"), &Space::new().prefix)
        .with_transport_option("worker_timeout", 3);
    let app = space.app();
    let worker = worker(&space, &["-E", "-n", "w1@here", "-c", "2"]).await;
    let mut results = Vec::new();
    for round in 0..3 {
        for number in 0..10 {
            results.push((round + number, call(&app, "fleet.add", json!([round, number])).await));
        }
        let mut killed = 0;
        let clients: String = space.redis("CLIENT", &["LIST"]).await;
        let ours = format!(" db={ITS_OWN} ");
        let ours =
            clients.lines().filter(|line| line.contains(&ours) && !line.contains(" cmd=client"));
        for line in ours {
            let id = line.split(' ').find_map(|field| field.strip_prefix("id=")).unwrap();
            killed += space.redis::<u64>("CLIENT", &["KILL", "ID", id]).await;
        }
        assert!(killed > 2, "round {round}: {clients}");
        // The next round finds the worker connected again.
        let (sum, last) = results.last().unwrap();
        assert_eq!(last.get_within(LIMIT).await.expect("the task is run"), json!(sum));
    }
    for (sum, result) in results {
        assert_eq!(result.get_within(LIMIT).await.expect("the task is run"), json!(sum));
    }
    let mut events = app.events().receive("task.#").await.unwrap();
    let last = call(&app, "fleet.add", json!([1, 1])).await;
    let told = async {
        loop {
            let event = events.next().await.unwrap();
            if event.kind() == "task-succeeded" && event.text("uuid") == Some(last.id()) {
                return;
            }
        }
    };
    timeout(LIMIT, told).await.expect("the worker tells of its tasks again");
    worker.stop().await;
}
