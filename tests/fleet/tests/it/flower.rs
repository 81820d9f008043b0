//! Python's Flower, which shows and steers Rust workers as it does Python's.

mod program;

use celery::Celery;
use peers::{Process, Space};
use serde_json::{Value, json};

use self::program::Flower;
use crate::harness::{call, worker};

const NODE: &str = "rust@flower";

/// A worker under the name that the tests use.
async fn named_worker(space: &Space, options: &[&str]) -> Process {
    worker(space, &[&["-E", "-n", NODE], options].concat()).await
}

/// What Flower knows of a task, once that is in the state.
async fn task(flower: &Flower, id: &str, state: &str) -> Value {
    flower.shows(&format!("/api/task/info/{id}"), "", |task| task["state"] == state).await
}

/// What a worker tells of itself, under the pointer.
async fn told(app: &Celery, command: &str, pointer: &str) -> Value {
    let asking = app.control().broadcast(command, Default::default()).destination([NODE]).limit(1);
    let replies = asking.timeout(peers::LIMIT).replies().await.expect("the broker is there");
    replies[0].1.pointer(pointer).cloned().unwrap_or_default()
}

/// The same, asked for until it is so.
async fn told_at_last(
    app: &Celery,
    command: &str,
    pointer: &str,
    is_so: impl Fn(&Value) -> bool + Send + Sync,
) {
    let asking = async { while !is_so(&told(app, command, pointer).await) {} };
    let asked = tokio::time::timeout(peers::LIMIT, asking).await;
    assert!(asked.is_ok(), "{command} {pointer}: {}", told(app, command, pointer).await);
}

#[tokio::test]
async fn flower_shows_a_rust_worker_and_its_buttons_do_what_they_say() {
    let space = Space::new();
    let app = space.app();
    let mut rust = named_worker(&space, &["-c", "2"]).await;
    let flower = Flower::start(&space).await;

    let of_worker = format!("/{NODE}");
    let whole = |worker: &Value| {
        ["stats", "active_queues", "registered", "conf"]
            .iter()
            .all(|it| worker[*it].is_object() || worker[*it].is_array())
    };
    let shown = flower.shows("/api/workers?refresh=1", &of_worker, whole).await;
    assert_eq!(shown["stats"]["pool"]["max-concurrency"], 2, "{shown:#}");
    assert_eq!(shown["stats"]["pid"], json!(rust.id()));
    assert_eq!(shown["active_queues"][0]["name"], "celery");
    assert!(shown["registered"].as_array().unwrap().contains(&json!("fleet.add")), "{shown:#}");
    assert_eq!(shown["conf"]["accept_content"][1], "msgpack");
    flower.shows("/api/workers?status=1", &of_worker, |online| online == true).await;

    let added = call(&app, "fleet.add", json!([2, 3])).await;
    let seen = task(&flower, added.id(), "SUCCESS").await;
    let field = |name: &str| seen[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        (field("name"), field("args"), field("kwargs")),
        ("fleet.add".into(), "(2, 3)".into(), "{}".into())
    );
    assert_eq!((field("result"), field("worker")), ("5".into(), NODE.into()));
    assert!(
        seen["runtime"].as_f64().is_some()
            && seen["received"].as_f64().is_some()
            && seen["started"].as_f64().is_some(),
        "{seen:#}"
    );
    let listed =
        flower.get(&format!("/api/tasks?state=SUCCESS&taskname=fleet.add&workername={NODE}")).await;
    assert!(listed.body.contains(added.id()), "{listed:?}");

    let held = call(&app, "fleet.hold", json!(["revoked"])).await;
    space.entered("revoked").await;
    task(&flower, held.id(), "STARTED").await;
    let said = flower.post(&format!("/api/task/revoke/{}?terminate=true", held.id())).await;
    assert!(said.contains("Revoked"), "{said}");
    task(&flower, held.id(), "REVOKED").await;
    assert_eq!(held.state().await.unwrap().as_str(), "REVOKED");

    // One that waits behind two others is revoked, and they go on.
    let gates = ["left", "right"];
    let ahead = [
        call(&app, "fleet.hold", json!(["left"])).await,
        call(&app, "fleet.hold", json!(["right"])).await,
    ];
    for gate in gates {
        space.entered(gate).await;
    }
    let behind = call(&app, "fleet.add", json!([4, 5])).await;
    task(&flower, behind.id(), "RECEIVED").await;
    let said = flower.post(&format!("/api/task/revoke/{}", behind.id())).await;
    assert!(said.contains("Revoked"), "{said}");
    for (gate, ahead) in gates.iter().zip(ahead) {
        space.open(gate).await;
        assert_eq!(ahead.get().await.unwrap(), json!(gate));
    }
    task(&flower, behind.id(), "REVOKED").await;
    assert_eq!(behind.state().await.unwrap().as_str(), "REVOKED");

    let said = flower
        .post(&format!("/api/task/rate-limit/fleet.add?workername={NODE}&ratelimit=600/m"))
        .await;
    assert!(said.contains("new rate limit set successfully"), "{said}");
    let limits = app.control().broadcast(
        "registered",
        serde_json::Map::from_iter([("taskinfoitems".to_owned(), json!(["rate_limit"]))]),
    );
    let limits = limits.limit(1).timeout(peers::LIMIT).replies().await.unwrap();
    assert!(
        limits[0].1.as_array().unwrap().contains(&json!("fleet.add [rate_limit=600/m]")),
        "{limits:?}"
    );

    let limited = |names: &Value| {
        names.as_array().is_some_and(|names| names.contains(&json!("fleet.add [rate_limit=600/m]")))
    };
    flower.shows("/api/workers?refresh=1", &format!("{of_worker}/registered"), limited).await;
    let page = flower.page(&of_worker.replacen('/', "/worker/", 1)).await;
    assert!(page.contains("<td>fleet.add [rate_limit=600/m]</td>"), "{page}");

    let said = flower
        .post(&format!("/api/task/timeout/fleet.hold?workername={NODE}&soft=30&hard=0.2"))
        .await;
    assert!(said.contains("time limits set successfully"), "{said}");
    let late = call(&app, "fleet.hold", json!(["late"])).await;
    let failed = task(&flower, late.id(), "FAILURE").await;
    assert!(failed["exception"].as_str().unwrap().starts_with("TimeLimitExceeded("), "{failed:#}");

    let said = flower.post(&format!("/api/worker/queue/add-consumer/{NODE}?queue=more")).await;
    assert!(said.contains("add consumer more"), "{said}");
    let more = app.send_task("fleet.add").args((1, 1)).queue("more").send().await.unwrap();
    assert_eq!(more.get().await.unwrap(), json!(2));
    let said = flower.post(&format!("/api/worker/queue/cancel-consumer/{NODE}?queue=more")).await;
    assert!(said.contains("no longer consuming from more"), "{said}");
    assert_eq!(told(&app, "active_queues", "").await.as_array().unwrap().len(), 1);

    let said = flower.post(&format!("/api/worker/pool/grow/{NODE}?n=2")).await;
    assert!(said.contains("Growing"), "{said}");
    assert_eq!(told(&app, "stats", "/pool/max-concurrency").await, 4);
    flower.post(&format!("/api/worker/pool/shrink/{NODE}?n=3")).await;
    assert_eq!(told(&app, "stats", "/pool/max-concurrency").await, 1);

    flower.post(&format!("/api/worker/shutdown/{NODE}")).await;
    assert!(rust.ended().await.success());
    flower.shows("/api/workers?status=1", &of_worker, |online| online == false).await;
    for number in 0..3 {
        call(&app, "fleet.add", json!([number, 1])).await;
    }
    let length = |queues: &Value| {
        queues.as_array().is_some_and(|queues| {
            queues.iter().any(|queue| queue["name"] == "celery" && queue["messages"] == 3)
        })
    };
    flower.shows("/api/queues/length", "/active_queues", length).await;
    no_page_failed(&flower);
}

#[tokio::test]
async fn flowers_pages_show_a_rust_worker_and_its_tasks() {
    let space = Space::new().with("worker_pool_restarts", true);
    let app = space.app();
    let _rust = named_worker(&space, &["-P", "prefork", "-c", "2"]).await;
    let flower = Flower::start(&space).await;
    // It hears the worker's events, so that it will hear those of its tasks.
    flower.shows("/api/workers?status=1", &format!("/{NODE}"), |online| online == true).await;
    let added = call(&app, "fleet.add", json!([20, 22])).await;
    task(&flower, added.id(), "SUCCESS").await;
    flower
        .shows("/api/workers?refresh=1", &format!("/{NODE}/stats/pool/max-concurrency"), |most| {
            most == 2
        })
        .await;

    let check = async |path: String, parts: &[&str]| {
        let page = flower.page(&path).await;
        for part in parts {
            assert!(page.contains(part), "{path} has no {part}:\n{page}");
        }
    };
    let id = added.id();
    for home in ["/", "/workers"] {
        check(home.to_owned(), &[NODE, "Online"]).await;
    }
    check(
        format!("/worker/{NODE}"),
        &[NODE, "Active queues", "fleet.add", "celery", "accept_content"],
    )
    .await;
    check("/tasks".to_owned(), &[id, "fleet.add", "SUCCESS", NODE]).await;
    check(format!("/task/{id}"), &[id, "fleet.add", "SUCCESS", "(20, 22)", "42", NODE]).await;
    check("/broker".to_owned(), &["celery", "redis://"]).await;

    let processes =
        async || told(&app, "stats", "/pool/processes").await.as_array().unwrap().clone();
    let before = processes().await;
    let said = flower.post(&format!("/api/worker/pool/restart/{NODE}")).await;
    assert!(said.contains("Restarting"), "{said}");
    let added = call(&app, "fleet.add", json!([1, 2])).await;
    assert_eq!(added.get().await.unwrap(), json!(3));
    assert!(processes().await.iter().all(|process| !before.contains(process)));
    let said = flower.post(&format!("/api/worker/pool/grow/{NODE}?n=1")).await;
    assert!(said.contains("Growing"), "{said}");
    let count = |count: usize| move |it: &Value| it.as_array().is_some_and(|it| it.len() == count);
    told_at_last(&app, "stats", "/pool/processes", count(3)).await;
    flower.post(&format!("/api/worker/pool/shrink/{NODE}?n=2")).await;
    told_at_last(&app, "stats", "/pool/processes", count(1)).await;

    let scaled = ["-n", "scaled@flower", "--autoscale", "3,1", "-Q", "scaled"];
    let _scaled = worker(&space, &scaled).await;
    let range = "/scaled@flower/stats/autoscaler";
    flower.shows("/api/workers?refresh=1", range, |range| range["max"] == 3).await;
    let said = flower.post("/api/worker/pool/autoscale/scaled@flower?min=2&max=5").await;
    assert!(said.contains("Autoscaling"), "{said}");
    let wide = |range: &Value| range["min"] == 2 && range["max"] == 5;
    flower.shows("/api/workers?refresh=1", range, wide).await;
    no_page_failed(&flower);
}

/// Flower tells of a page that failed in its log.
fn no_page_failed(flower: &Flower) {
    let log = flower.log();
    assert!(!log.contains(" 500 ") && !log.contains("Traceback"), "{log}");
}
