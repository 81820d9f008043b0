//! Chords whose workers die: each body is called once, with all results, in order.

use std::collections::BTreeMap;

use celery::{AsyncResult, Celery, Signature, chord};
use peers::{LIMIT, Ledger, Proxy, Server, Space, Towards, until};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{load::Member, report, seed, size};

/// How many parts each has.
const PARTS: u64 = 1000;

/// Sends a chord; returns its result, and the id of its header's group.
async fn send(app: &Celery, name: &str, parts: u64) -> (AsyncResult<Value>, String) {
    let header =
        (0..parts).map(|number| Signature::named("fleet.part").args((number,)).queue("parts"));
    let body = Signature::named("fleet.gather").args((name,)).queue("bodies");
    let spec = chord(header, body).into_spec().expect("it can be called");
    let tree = app.apply(spec).await.expect("it is published");
    let group = tree.parent.as_ref().expect("its header").id.clone();
    (AsyncResult::from_tree(app, tree), group)
}

/// The bodies that ran, each with how often, when the one worker of bodies has done all that was sent by now, one after the other.
async fn gathered(space: &Space, app: &Celery) -> BTreeMap<String, u32> {
    let last = app.send_task("fleet.gather").args((0, "last")).queue("bodies");
    let last = last.send().await.expect("it is published");
    timeout(LIMIT, last.get()).await.expect("it is run").expect("it does not fail");
    let names: Vec<String> = space.redis("LRANGE", &["{}gathered", "0", "-1"]).await;
    let mut times = BTreeMap::new();
    names.into_iter().for_each(|name| *times.entry(name).or_default() += 1);
    assert_eq!(times.remove("rs last"), Some(1));
    times
}

/// A namespace in which the dead are found soon.
fn hurried(space: Space) -> Space {
    space
        .with_transport_option("worker_timeout", 3)
        .with_transport_option("visibility_timeout", 10)
        .with_transport_option("unacked_restore_interval", 1)
        .with("result_chord_join_timeout", 0.5)
        .with("task_acks_late", true)
}

/// Waits until the condition holds of the chord of that group: how many parts are counted, and whether it is claimed or done.
async fn counted(space: &Space, group: &str, holds: impl Fn(u64, bool) -> bool + Send + Sync) {
    let key = format!("{{}}celery-taskset-meta-{group}");
    let (parts, claim) = (format!("{key}.j"), format!("{key}.c"));
    until("the chord is that far", || async {
        let claimed: u64 = space.redis("EXISTS", &[&claim]).await;
        let counted: u64 = space.redis("ZCARD", &[&parts]).await;
        holds(counted, claimed > 0)
    })
    .await;
}

/// The workers are killed while the parts run, at a random one of each chord. What calls the body is what is shown, so the
/// bodies are run by one that nobody kills.
#[tokio::test]
async fn a_body_is_called_once_with_all_results_in_order_however_workers_die() {
    let chords: u64 = size(20, 200);
    let (seed, ledger) = (seed(), Ledger::new());
    let mut random = fastrand::Rng::with_seed(seed);
    let space = hurried(Space::new());
    let app = space.app();
    let _bodies = Member::new(&space, &ledger, "steady@bodies", &["-Q", "bodies", "-c", "1"]);
    let line = ["-Q", "parts", "-c", "8"];
    let mut workers = ["one@parts", "two@parts", "three@parts"]
        .map(|name| Member::new(&space, &ledger, name, &line));
    let mut sent = Vec::new();
    for chord in 0..chords {
        sent.push(send(&app, &format!("chord {chord}"), PARTS).await);
    }
    // The queue is served in its order, so that one chord runs after the other.
    for (_, group) in &sent {
        let last = PARTS - random.u64(0..8);
        let at = if random.bool() { last } else { random.u64(1..PARTS) };
        counted(&space, group, |counted, claimed| counted >= at || claimed).await;
        let worker = &mut workers[random.usize(0..3)];
        worker.kill().await;
        worker.start();
    }
    let expected: Vec<u64> = (0..PARTS).collect();
    for (number, (result, _)) in sent.iter().enumerate() {
        let got = timeout(LIMIT, result.get()).await;
        let got = got
            .unwrap_or_else(|_| panic!("seed {seed}: chord {number} hangs"))
            .expect("no part fails");
        assert!(got == json!(expected), "seed {seed}, chord {number}: {got}");
    }
    let joins = app.backend().await.expect("Redis answers").joins().expect("it counts parts");
    until("all chords are finished", || async {
        joins.unfinished().await.expect("Redis answers").is_empty()
    })
    .await;
    // Whatever comes again has come when nothing is left of the parts.
    let broker = app.broker().await.expect("Redis answers");
    until("no part is left", || async {
        broker.queue_len("parts").await.expect("Redis answers") == 0
    })
    .await;
    let times = gathered(&space, &app).await;
    assert_eq!(times.len() as u64, chords, "seed {seed}");
    let twice: Vec<_> = times.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "seed {seed}: these bodies were called twice: {twice:?}");
    let kills = workers.iter().map(|worker| u64::from(worker.restarts())).sum();
    report(
        "chords whose workers are killed",
        &[("chords", chords), ("parts", PARTS), ("kills", kills)],
    );
}

/// Its orders to publish reach nobody, so that it dies with a chord that it has claimed.
#[tokio::test]
async fn a_chord_whose_worker_died_before_it_sent_the_body_is_completed_by_another() {
    let (space, ledger) = (hurried(Space::new()), Ledger::new());
    let app = space.app();
    let port = space.url().rsplit([':', '/']).nth(1).and_then(|port| port.parse().ok());
    let proxy = Proxy::start(port.expect("a URL with a port")).await;
    proxy.stall(Towards::Server);
    let mute = space.clone().with("broker_write_url", proxy.url());
    let mut first = Member::new(&mute, &ledger, "first@parts", &["-Q", "parts"]);
    let (result, group) = send(&app, "once", 20).await;
    counted(&space, &group, |counted, claimed| counted == 20 && claimed).await;
    first.kill().await;
    assert_eq!(space.redis::<u64>("LLEN", &["{}bodies"]).await, 0, "nothing was sent");
    drop(proxy);

    let _second = Member::new(&space, &ledger, "second@parts", &["-Q", "parts"]);
    let _bodies = Member::new(&space, &ledger, "steady@bodies", &["-Q", "bodies", "-c", "1"]);
    let got = timeout(LIMIT, result.get()).await.expect("it is called").expect("no part fails");
    assert_eq!(got, json!((0..20).collect::<Vec<_>>()));
    assert_eq!(gathered(&space, &app).await, BTreeMap::from([("rs once".to_owned(), 1)]));
}

/// It has sent the body, and may not write that it is done: the moment between the two lasts until it is killed.
#[tokio::test]
async fn a_body_whose_worker_died_before_it_said_so_is_not_called_again() {
    let server = Server::in_memory().await;
    // What ends a join is the one that takes it out of the set of those that are not finished.
    let rights = ["ACL", "SETUSER", "unfinished", "on", ">word", "~*", "&*", "+@all", "-zrem"];
    server.command::<()>(&rights).await;
    let space = hurried(Space::at(&server.url(), "app:"));
    let (app, ledger) = (space.app(), Ledger::new());
    let login = server.url().replace("redis://", "redis://unfinished:word@");
    let held = space.clone().with("result_backend", login);
    let mut first = Member::new(&held, &ledger, "first@parts", &["-Q", "parts"]);
    let (result, group) = send(&app, "once", 20).await;
    until("the body is sent", || async { space.redis::<u64>("LLEN", &["{}bodies"]).await == 1 })
        .await;
    first.kill().await;
    let joins = app.backend().await.expect("Redis answers").joins().expect("it counts parts");
    let unfinished = joins.look(&group).await.expect("Redis answers").expect("it is not finished");
    assert!(unfinished.tally.is_complete(), "{unfinished:?}");

    let _bodies = Member::new(&space, &ledger, "steady@bodies", &["-Q", "bodies", "-c", "1"]);
    let got = timeout(LIMIT, result.get()).await.expect("it is called").expect("no part fails");
    assert_eq!(got, json!((0..20).collect::<Vec<_>>()));
    // It is sent by another, which nobody sees, and finished.
    let _second = Member::new(&space, &ledger, "second@parts", &["-Q", "parts"]);
    until("the chord is finished", || async {
        joins.look(&group).await.expect("Redis answers").is_none()
    })
    .await;
    assert_eq!(gathered(&space, &app).await, BTreeMap::from([("rs once".to_owned(), 1)]));
}
