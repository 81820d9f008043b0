//! Commands that are carried out, and whose answer is lost.

use std::time::Duration;

use celery::Celery;
use peers::{Ledger, Proxy, Server, Space};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    last,
    load::{Books, Member, send},
    report, size,
};

/// Which settlement it is whose answer is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Acks {
    Early,
    Late,
}

/// What a command of the worker has in it that does this for the message.
async fn tag_and_id(space: &Space) -> (String, String) {
    let item: String = space.redis("LINDEX", &["{}celery", "-1"]).await;
    let item: Value = serde_json::from_str(&item).expect("kombu's envelope");
    let text = |value: &Value| value.as_str().expect("it is text").to_owned();
    (text(&item["properties"]["delivery_tag"]), text(&item["headers"]["id"]))
}

/// Loses the answer to the first command of a worker with the text of the message, and then refuses all connections for
/// that long; expects the task to be run once, its result stored, and nothing to be left.
async fn is_run_once(what: &str, acks: Acks, lost: fn(&str, &str) -> String, away: Duration) {
    let start = Instant::now();
    let server = Server::start().await;
    let proxy = Proxy::start(server.port()).await;
    let space = Space::at(&server.url(), "answers:").with("task_acks_late", acks == Acks::Late);
    let (ledger, app): (_, Celery) = (Ledger::new(), space.app());
    let mut book = ledger.follow();
    let tasks = 3;
    let ids = send(&app, "celery", vec![(0, 1)]).await;
    let (tag, id) = tag_and_id(&space).await;
    proxy.swallow(&lost(&tag, &id), 1);
    let far = space.clone().through(&proxy);
    let mut worker = Member::new(&far, &ledger, "worker@answers", &["-c", "1"]);
    proxy.swallowed(1).await;
    proxy.refuse();
    last(away).await;
    proxy.heal();
    send(&app, "celery", (1..tasks).map(|number| (number, 1)).collect()).await;
    book.until("all are done", |runs| runs.done() as u64 == tasks).await;
    let mut books = Books::of(&space).await;
    books.emptied().await;
    worker.stop().await;
    book.until_now(&ledger).await;
    let runs = book.runs().clone();
    report(
        &format!("the answer to {what} lost, {acks:?}"),
        &[
            ("sent", tasks),
            ("done", runs.done() as u64),
            ("executed more than once", runs.again() as u64),
            ("lost", tasks - runs.done() as u64),
            ("restarts", 0),
            ("seconds", start.elapsed().as_secs()),
        ],
    );
    assert_eq!(runs.again(), 0, "run again: {:?}", runs.of);
    assert_eq!(books.successes(&ids).await, 1, "the result is stored");
}

/// Longer than a settlement was once tried again for, and longer still.
fn away() -> Duration {
    size(Duration::from_secs(6), Duration::from_secs(20))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_acknowledgement_whose_answer_is_lost_does_not_repeat_the_task() {
    is_run_once("an acknowledgement", Acks::Late, |tag, _| tag.to_owned(), away()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_fetched_and_not_received_is_run() {
    for acks in [Acks::Early, Acks::Late] {
        is_run_once("a fetch", acks, |_, _| "answers:unacked".to_owned(), Duration::ZERO).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_whose_answer_is_lost_does_not_repeat_the_task() {
    let away = Duration::from_secs(1);
    for acks in [Acks::Early, Acks::Late] {
        is_run_once("a result", acks, |_, id| format!("celery-task-meta-{id}"), away).await;
    }
}
