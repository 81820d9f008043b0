//! Remote control of a worker by Python's client: each command, and its reply beside the one of a Python worker.

mod reach;
mod shape;

use std::collections::BTreeMap;

use celery::Celery;
use peers::{Process, Space, python, run};
use serde_json::{Value, json};

use self::shape::differences;
use crate::harness::{call, command, worker};

/// The node name in the captures.
const NODE: &str = "w1@wirehost";

/// What Python's client sent in each case, and what a Python worker replied.
fn captured() -> (Value, Value) {
    let read = |text: &str| serde_json::from_str(text).expect("a capture is JSON");
    (
        read(include_str!("../../../../celery-core/tests/fixtures/control/requests.json")),
        read(include_str!("../../../fixtures/golden/control/replies.json")),
    )
}

/// A worker in the state of the one of the captures: two tasks run, two are reserved, and one is scheduled.
struct Scene {
    space: Space,
    worker: Process,
    /// Ours for an id of the captures.
    ids: BTreeMap<&'static str, String>,
}

impl Scene {
    async fn set() -> Self {
        let space = Space::new();
        let worker = worker(&space, &["-c", "2", "-n", NODE, "-Q", "celery,emails"]).await;
        let app = space.app();
        let early = call(&app, "fleet.hold", json!(["a1"])).await;
        let late = call(&app, "fleet.hold_late", json!(["a2"])).await;
        space.entered("a1").await;
        space.entered("a2").await;
        let add = || app.send_task("fleet.add");
        let urgent = add().args((1, 2)).priority(6).send().await.expect("it is published");
        add().args((3, 4)).send().await.expect("it is published");
        let due = add().args((5, 5)).countdown(3600).send().await.expect("it is published");
        held(&app).await;
        let ids = BTreeMap::from([
            ("371493f7-0ea6-4d33-95b7-bf9e96d05c33", early.id().to_owned()),
            ("83b3dd67-7960-4164-b8b6-83f9423d5d83", late.id().to_owned()),
            ("f580e87d-5fe2-4e1f-a7bc-2323a8504bc8", urgent.id().to_owned()),
            ("37612a0c-a5f2-4f65-89b0-16b314771689", due.id().to_owned()),
        ]);
        Self { space, worker, ids }
    }

    /// What the captures say, of our tasks.
    fn ours(&self, captured: &Value) -> Value {
        // Some were captured of a second worker.
        let mut text = captured.to_string().replace("wireapp.", "fleet.").replace("w2@", "w1@");
        for (theirs, ours) in &self.ids {
            text = text.replace(theirs, ours);
        }
        serde_json::from_str(&text).expect("names and ids are changed alone")
    }

    /// What the worker replied in each of the cases, to Python's client.
    async fn replies(&self, requests: &Value, cases: &[&str]) -> Value {
        let cases: Vec<_> = cases
            .iter()
            .map(|case| {
                // What was sent to workers with gossip is what was sent to those without.
                let sent = case.trim_start_matches("gossip_").trim_end_matches("_not_enabled");
                let request = requests.get(*case).or_else(|| requests.get(sent));
                let request = self.ours(request.expect("a case of the captures"));
                json!([case, request["method"], request["arguments"]])
            })
            .collect();
        let mut control = python(&self.space, "control.py");
        let printed = run(control.args([json!(cases).to_string().as_str(), NODE])).await;
        serde_json::from_str(&printed).expect("the script prints JSON")
    }

    /// Compares the replies with those of a Python worker: in their shape, or, for those that say the same, in all.
    async fn check(&self, alike: &[&str], equal: &[&str]) {
        let (requests, celerys) = captured();
        let replies = self.replies(&requests, &[alike, equal].concat()).await;
        let mut wrong = Vec::new();
        for case in alike {
            let (ours, theirs) = (&replies[case][0][NODE], &celerys[case]["replies"][0]);
            let theirs = theirs.as_object().and_then(|of| of.values().next());
            let differences = differences(theirs.expect("a node replied"), ours);
            wrong.extend(differences.iter().map(|what| format!("{case}: {what}\n  {ours}")));
        }
        for case in equal {
            let theirs = self.ours(&celerys[case]["replies"]);
            if replies[case] != theirs {
                wrong.push(format!("{case}: {} is not {theirs}", replies[case]));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// Settings have the names, and those that were made the values, that a Python worker tells.
    async fn check_settings(&self) {
        let (requests, celerys) = captured();
        let replies = self.replies(&requests, &["conf", "conf_with_defaults"]).await;
        let made = &replies["conf"][0][NODE];
        assert_eq!(made["broker_transport_options"], json!({ "global_keyprefix": "********" }));
        assert_eq!(made["broker_url"], json!(peers::service("CELERY_TEST_REDIS_URL")));
        assert!(made.get("task_default_queue").is_none(), "it has its default: {made}");
        let all = replies["conf_with_defaults"][0][NODE].as_object().expect("settings");
        let theirs = &celerys["conf_with_defaults"]["replies"][0][NODE];
        let strange: Vec<_> = all.keys().filter(|name| theirs.get(name).is_none()).collect();
        // The first is no setting of Celery's. It reads the others, and has them in no table.
        let expected =
            ["task_max_deliveries", "redis_backend_health_check_interval", "redis_client_name"];
        assert_eq!(strange, expected);
        for name in ["task_default_queue", "worker_prefetch_multiplier", "task_serializer"] {
            assert_eq!(all[name], theirs[name], "{name}");
        }
    }
}

/// Waits until the tasks that cannot run yet are in their places.
async fn held(app: &Celery) {
    let inspect = app.control().inspect();
    let reached = async {
        loop {
            let reserved = inspect.reserved().limit(1).answers().await.expect("the broker answers");
            let scheduled = inspect.scheduled().limit(1).answers().await.expect("it answers");
            let count = |length: Option<usize>| length.unwrap_or_default();
            let reserved =
                reserved.first().and_then(|(_, tasks)| tasks.as_ref().ok().map(Vec::len));
            let scheduled =
                scheduled.first().and_then(|(_, tasks)| tasks.as_ref().ok().map(Vec::len));
            if (count(reserved), count(scheduled)) == (2, 1) {
                return;
            }
        }
    };
    tokio::time::timeout(peers::LIMIT, reached).await.expect("the tasks come to their places");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_python_asks_is_answered_in_the_shape_of_celerys_own_replies() {
    let scene = Scene::set().await;
    let alike = [
        "active",
        "active_safe",
        "reserved",
        "scheduled",
        "registered",
        "registered_items",
        "registered_builtins",
        "stats",
        "active_queues",
        "report",
        "clock",
        "query_task",
        "memsample",
        "memdump",
        "objgraph",
        "dump_aliases",
    ];
    let equal = [
        "ping",
        "unknown_command",
        "bad_arguments",
        "hello_from_itself",
        "add_consumer",
        "add_consumer_full",
        "cancel_consumer",
    ];
    scene.check(&alike, &equal).await;
    scene.check_settings().await;
    // After a consumer was added and one was cancelled.
    scene.check(&["active_queues_after"], &[]).await;
    assert_eq!(scene.replies(&captured().0, &["shutdown"]).await, json!({ "shutdown": [] }));
    scene.space.open("a1").await;
    scene.space.open("a2").await;
    let mut worker = scene.worker;
    assert!(worker.ended().await.success());
}

/// Compares what our program and Celery's print, and their exit status, for each of these command lines.
async fn compare(scene: &Scene, lines: &[String]) {
    let printed = run(python(&scene.space, "command_lines.py").arg(json!(lines).to_string())).await;
    let theirs: Vec<(String, i32)> = serde_json::from_str(&printed).expect("what was printed");
    for (line, theirs) in lines.iter().zip(theirs) {
        let words: Vec<_> = line.split(' ').collect();
        let mut ours = command(&scene.space, &words);
        let ours = ours.kill_on_drop(true).output().await.expect("the program starts");
        let text = String::from_utf8_lossy(&ours.stdout).into_owned();
        assert_eq!((text, ours.status.code().unwrap_or_default()), theirs, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inspect_prints_what_celerys_prints() {
    let scene = Scene::set().await;
    let ids: Vec<_> = scene.ids.values().cloned().collect();
    let lines = [
        "inspect ping -j",
        "inspect active",
        "inspect active -j",
        "inspect reserved",
        "inspect scheduled",
        "inspect registered max_retries acks_late",
        "inspect active_queues",
        "inspect conf",
        "inspect report",
        "inspect objgraph",
        "status -j",
    ];
    let mut lines: Vec<_> = lines.iter().map(|line| format!("{line} -d {NODE}")).collect();
    lines.extend(["inspect --list".to_owned(), "control --list".to_owned()]);
    lines.push(format!("inspect query_task {} {} no-such-id", ids[0], ids[2]));
    compare(&scene, &lines).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn control_prints_what_celerys_prints_and_ends_with_its_status() {
    let scene = Scene::set().await;
    let lines = [
        "control add_consumer more -d w1@wirehost",
        "control add_consumer other ex topic a.* -j -d w1@wirehost",
        "control add_consumer -d w1@wirehost",
        "control cancel_consumer gone -d w1@wirehost",
        "control ping",
        "control add_consumer too many words are given",
        "inspect ping",
        "inspect ping -d nobody@nowhere -t 0.2",
        "inspect no_such_command",
        "status",
    ];
    compare(&scene, &lines.map(str::to_owned)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_python_orders_is_answered_in_celerys_words() {
    let scene = Scene::set().await;
    let equal = [
        "gossip_disable_events",
        "gossip_enable_events",
        "gossip_enable_events_again",
        "gossip_disable_events_again",
        "heartbeat",
        "rate_limit",
        "rate_limit_off",
        "rate_limit_unknown_task",
        "bad_arguments_clock",
        "time_limit",
        "time_limit_unknown_task",
        "revoke",
        "revoke_terminate",
        "revoke_terminate_unknown",
        "terminate",
        "revoke_by_stamped_headers",
        "revoke_by_stamped_headers_list",
        "revoke_by_stamped_headers_cli_form",
        "revoke_by_stamped_headers_terminate",
        "pool_grow",
        "pool_shrink",
        "autoscale_not_enabled",
        "gossip_pool_restart_not_enabled",
    ];
    scene.check(&["revoke_list"], &equal).await;
    scene.check(&["revoked_after", "hello"], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_scales_its_pool_answers_as_celerys_does() {
    let space = Space::new();
    let worker = worker(&space, &["--autoscale", "3,1", "-n", NODE]).await;
    let scene = Scene { space, worker, ids: BTreeMap::new() };
    scene.check(&["stats_autoscale"], &["pool_grow_autoscaled", "autoscale"]).await;
}
