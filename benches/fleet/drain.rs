//! How many tasks a worker runs in a second, of those that wait in its queue.

use serde_json::{Value, json};

use crate::{
    Outcome,
    ceiling::{self, Books},
    messages::{self, Results},
    python,
    space::Space,
    table::{
        Row, Side, Table,
        Unit::{Microseconds, PerSecond},
    },
    worker::{Done, Job, OurWorker},
};

const LATE: Row = Row::new("drain, late ack", PerSecond);
const LATE_CPU: Row = Row::new("drain, late ack: the worker", Microseconds);
const BY_64: Row = Row::new("  against kombu's books by 64", PerSecond);
const BY_256: Row = Row::new("  against kombu's books by 256", PerSecond);
const EARLY: Row = Row::new("drain, early ack", PerSecond);
const EARLY_CPU: Row = Row::new("drain, early ack: the worker", Microseconds);
const KEPT: Row = Row::new("drain with results", PerSecond);
const KEPT_CPU: Row = Row::new("drain with results: the worker", Microseconds);
const KEPT_BY_64: Row = Row::new("  against kombu's books by 64, results", PerSecond);
const KEPT_BY_256: Row = Row::new("  against kombu's books by 256, results", PerSecond);
const EVENTS: Row = Row::new("drain with results and events", PerSecond);
const EVENTS_CPU: Row = Row::new("drain with results and events: the worker", Microseconds);

/// A task that does nothing costs a few microseconds, so that many must be under way to keep a connection busy.
const CONCURRENCY: usize = 256;
/// The batches of the bare loop with the pending list.
const BATCH: usize = 256;

const COUNT: usize = 100_000;
const COUNT_OF_PYTHON: usize = 3_000;

pub(crate) async fn measure(space: &Space, table: &mut Table) -> Outcome<()> {
    let late = json!({ "task_acks_late": true });
    let early = json!({ "task_acks_late": false });
    let told = json!({ "task_acks_late": true, "worker_send_task_events": true });
    let kept = Results::Kept;
    let ignored = Results::Ignored;
    for (row, cpu, settings, results, against) in [
        (LATE, LATE_CPU, &late, ignored, [BY_64, BY_256].as_slice()),
        (EARLY, EARLY_CPU, &early, ignored, &[]),
        (KEPT, KEPT_CPU, &late, kept, &[KEPT_BY_64, KEPT_BY_256]),
        (EVENTS, EVENTS_CPU, &told, kept, &[]),
    ] {
        let done = Box::pin(ours(space, settings, results)).await?;
        table.note(row, Side::Ours, done.rate());
        table.note(cpu, Side::Ours, done.cpu_each());
        let bare = async |books, batch| {
            let messages = messages::noops(space, results, COUNT).await?;
            let rate = ceiling::drain(space, books, results, batch, messages).await?;
            space.clear().await?;
            Outcome::Ok(rate)
        };
        if row != EVENTS {
            table.note(row, Side::Bare, bare(Books::OwnList, BATCH).await?);
        }
        for (row, batch) in against.iter().zip([64, 256]) {
            table.note(*row, Side::Ours, done.rate());
            table.note(*row, Side::Bare, bare(Books::Kombu, batch).await?);
        }
        let messages = messages::noops(space, results, COUNT_OF_PYTHON).await?;
        if let Some(done) = python::drains(space, settings, python::PROCESSES, &messages).await? {
            table.note(row, Side::Python, done.rate());
            table.note(cpu, Side::Python, done.cpu_each());
        }
        space.clear().await?;
    }
    Ok(())
}

async fn ours(space: &Space, settings: &Value, results: Results) -> Outcome<Done> {
    let messages = messages::noops(space, results, COUNT).await?;
    messages::fill(space, &messages).await?;
    let job =
        Job { settings: space.settings(settings), concurrency: CONCURRENCY, expected: Some(COUNT) };
    let done = OurWorker::start(&job).await?.done().await?;
    space.clear().await?;
    Ok(done)
}
