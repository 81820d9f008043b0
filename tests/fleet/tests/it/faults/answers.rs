//! Commands that are carried out, and whose answer is lost.

use std::time::Duration;

use celery::Celery;
use peers::{Ledger, Proxy, Server, Space};
use tokio::time::Instant;

use super::{
    last,
    load::{Books, Member, send},
    report, size,
};

/// How the task is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Acks {
    Early,
    Late,
}

/// A command of a worker.
#[derive(Clone, Copy, Debug)]
enum Command {
    Fetch,
    Settle,
    Store,
}

impl Command {
    /// Whether this is one, by what no other has in it.
    fn is(self, said: &str) -> bool {
        match self {
            Self::Fetch => {
                ["\r\ndrain\r\n", "\r\nturns\r\n"].iter().any(|word| said.contains(word))
            }
            Self::Settle => said.contains("celery-taken.") && !said.contains("celery-processes"),
            Self::Store => said.contains("celery-task-meta-"),
        }
    }
}

/// Loses the answer to the first such command of a worker, and then refuses all connections for that long; expects the task to be run once, its result stored, and nothing to be left.
async fn is_run_once(lost: Command, acks: Acks, away: Duration) {
    let start = Instant::now();
    let server = Server::start().await;
    let proxy = Proxy::start(server.port()).await;
    let space = Space::at(&server.url(), "answers:").with("task_acks_late", acks == Acks::Late);
    let (ledger, app): (_, Celery) = (Ledger::new(), space.app());
    let mut book = ledger.follow();
    let tasks = 3;
    let ids = send(&app, "celery", vec![(0, 1)]).await;
    proxy.swallow_where(move |command| lost.is(command), 1);
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
        &format!("the answer to {lost:?} lost, {acks:?}"),
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
async fn an_early_acknowledgement_whose_answer_is_lost_does_not_lose_the_task() {
    is_run_once(Command::Settle, Acks::Early, away()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_acknowledgement_whose_answer_is_lost_does_not_repeat_the_task() {
    is_run_once(Command::Settle, Acks::Late, away()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_fetched_and_not_received_is_run() {
    for acks in [Acks::Early, Acks::Late] {
        is_run_once(Command::Fetch, acks, Duration::ZERO).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_whose_answer_is_lost_does_not_repeat_the_task() {
    let away = Duration::from_secs(1);
    for acks in [Acks::Early, Acks::Late] {
        is_run_once(Command::Store, acks, away).await;
    }
}
