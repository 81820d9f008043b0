//! A worker that sleeps for longer than its lease, and wakes.

use peers::{Ledger, Proxy, Runs, Server, Space, Towards};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    load::{Books, Member, send},
    report,
};

/// For how long a run takes.
const RUNS_FOR: u64 = 500;

/// In seconds: the shortest that there is.
const LEASE: u64 = 3;

fn space() -> Space {
    Space::new()
        .with_transport_option("worker_timeout", LEASE)
        .with("task_acks_late", true)
        .with("result_extended", true)
}

/// Who has stored the result of the task.
async fn stored_by(space: &Space, id: &str) -> String {
    let key = format!("{{}}celery-task-meta-{id}");
    let stored: Option<String> = space.redis("GET", &[&key]).await;
    let meta: Value = serde_json::from_str(&stored.expect("it is stored")).expect("JSON");
    assert_eq!(meta["status"], "SUCCESS");
    meta["worker"].as_str().expect("a name").to_owned()
}

fn counted(phase: &str, runs: &Runs, sent: u64, start: Instant) {
    report(
        &format!("a worker stopped while its tasks {phase}"),
        &[
            ("sent", sent),
            ("done", runs.done() as u64),
            ("executed more than once", runs.again() as u64),
            ("lost", sent - runs.done() as u64),
            ("restarts", 0),
            ("seconds", start.elapsed().as_secs()),
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sleeper_runs_nothing_that_it_held_and_that_another_has_taken() {
    let (space, start) = (space(), Instant::now());
    let (ledger, app) = (Ledger::new(), space.app());
    let mut book = ledger.follow();
    let mut ids = send(&app, "celery", vec![(0, RUNS_FOR)]).await;
    ids.extend(send(&app, "celery", (1..4).map(|number| (number, RUNS_FOR)).collect()).await);
    let mut sleeper = Member::new(&space, &ledger, "sleeper@frozen", &["-c", "1"]);
    book.until("the first begins", |runs| runs.of.contains_key(&0)).await;
    sleeper.process().signal("STOP").await;
    let mut awake = Member::new(&space, &ledger, "awake@frozen", &["-c", "4"]);
    book.until("all are done", |runs| runs.done() == 4).await;
    sleeper.process().signal("CONT").await;
    // It is awake for good when it has run something new.
    awake.stop().await;
    send(&app, "celery", vec![(4, 1)]).await;
    book.until("it consumes on", |runs| runs.done() == 5).await;
    Books::of(&space).await.emptied().await;
    sleeper.stop().await;
    book.until_now(&ledger).await;
    let runs = book.runs().clone();
    counted("waited for their turn", &runs, 5, start);
    // What ran when it fell asleep has run twice: nobody can know that it will wake.
    assert_eq!(runs.of[&0].len(), 2);
    for number in 1..4 {
        assert_eq!(runs.of[&number].len(), 1, "task {number}: {:?}", runs.of[&number]);
        assert!(runs.of[&number][0].who.starts_with("awake"));
    }
    for id in &ids {
        assert_eq!(stored_by(&space, id).await, "awake@frozen", "the first success stays");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_sleeper_runs_on_what_it_began_and_nothing_else() {
    let (space, start) = (space().with("task_acks_late", false), Instant::now());
    let (ledger, app) = (Ledger::new(), space.app());
    let mut book = ledger.follow();
    send(&app, "celery", vec![(0, RUNS_FOR)]).await;
    send(&app, "celery", (1..4).map(|number| (number, RUNS_FOR)).collect()).await;
    let mut sleeper = Member::new(&space, &ledger, "sleeper@frozen", &["-c", "1"]);
    book.until("the first begins", |runs| runs.of.contains_key(&0)).await;
    sleeper.process().signal("STOP").await;
    let mut awake = Member::new(&space, &ledger, "awake@frozen", &["-c", "4"]);
    book.until("the others are done", |runs| runs.done() == 3).await;
    sleeper.process().signal("CONT").await;
    book.until("the first is done", |runs| runs.is_done(0)).await;
    Books::of(&space).await.emptied().await;
    sleeper.stop().await;
    awake.stop().await;
    book.until_now(&ledger).await;
    let runs = book.runs().clone();
    counted("were acknowledged or waited", &runs, 4, start);
    assert_eq!(runs.again(), 0, "{:?}", runs.of);
    assert!(runs.of[&0][0].who.starts_with("sleeper"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sleeper_that_was_about_to_store_its_result_does_not_replace_the_other_one() {
    let server = Server::start().await;
    let proxy = Proxy::start(server.port()).await;
    let near = Space::at(&server.url(), "frozen:")
        .with_transport_option("worker_timeout", LEASE)
        .with("task_acks_late", true)
        .with("result_extended", true);
    let (far, start) = (near.clone().through(&proxy), Instant::now());
    let (ledger, app) = (Ledger::new(), near.app());
    let mut book = ledger.follow();
    let ids = send(&app, "celery", vec![(0, RUNS_FOR)]).await;
    let mut sleeper = Member::new(&far, &ledger, "sleeper@frozen", &["-c", "1"]);
    book.until("it begins", |runs| runs.of.contains_key(&0)).await;
    proxy.stall(Towards::Server);
    book.until("it has come to its end", |runs| runs.is_done(0)).await;
    sleeper.process().signal("STOP").await;
    let mut awake = Member::new(&near, &ledger, "awake@frozen", &["-c", "1"]);
    let both = |runs: &Runs| runs.of[&0].iter().filter(|run| run.ended.is_some()).count() == 2;
    book.until("it is run by another", both).await;
    Books::of(&near).await.emptied().await;
    sleeper.process().signal("CONT").await;
    proxy.heal();
    awake.stop().await;
    send(&app, "celery", vec![(1, 1)]).await;
    book.until("it consumes on", |runs| runs.is_done(1)).await;
    Books::of(&near).await.emptied().await;
    sleeper.stop().await;
    book.until_now(&ledger).await;
    let runs = book.runs().clone();
    counted("were about to be stored", &runs, 2, start);
    assert_eq!(runs.again(), 1, "{:?}", runs.of);
    assert_eq!(stored_by(&near, &ids[0]).await, "awake@frozen", "the first success stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sleeper_does_not_acknowledge_for_who_has_taken_its_message() {
    let (space, start) = (space(), Instant::now());
    let (ledger, app) = (Ledger::new(), space.app());
    let mut book = ledger.follow();
    // It is long enough for the one to come to its end while the other runs it.
    send(&app, "celery", vec![(0, 4_000)]).await;
    let mut sleeper = Member::new(&space, &ledger, "sleeper@frozen", &["-c", "1"]);
    book.until("it begins", |runs| runs.of.contains_key(&0)).await;
    sleeper.process().signal("STOP").await;
    let mut awake = Member::new(&space, &ledger, "awake@frozen", &["-c", "1"]);
    book.until("another begins it", |runs| runs.of[&0].len() == 2).await;
    sleeper.process().signal("CONT").await;
    book.until("the sleeper has come to its end", |runs| runs.is_done(0)).await;
    sleeper.process().says("was taken over by another").await;
    // Whose message it was dies with it, unless the sleeper has acknowledged it.
    awake.kill().await;
    book.until("it is run again", |runs| runs.of[&0].len() == 3 && runs.of[&0][2].ended.is_some())
        .await;
    Books::of(&space).await.emptied().await;
    sleeper.stop().await;
    book.until_now(&ledger).await;
    counted("ran, and were taken over by one that dies", &book.runs(), 1, start);
}
