//! What a worker costs that has nothing to do, or very much of it before it; and how soon it is ready.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    Outcome,
    arguments::Arguments,
    messages::{self, Results},
    process,
    python::{self, PythonWorker},
    space::Space,
    table::{
        Row, Side, Table,
        Unit::{Mebibytes, Milliseconds},
    },
    tasks::Due,
    worker::{Job, OurWorker},
};

const START: Row = Row::new("from its start until it is ready", Milliseconds);
const MEMORY: Row = Row::new("memory when idle", Mebibytes);
const CPU: Row = Row::new("CPU when idle, in ten seconds", Milliseconds);
const CPU_OF_A_MINUTE: Row = Row::new("CPU when idle, in a minute", Milliseconds);
const LOADED: Row = Row::new("memory with 100,000 messages run", Mebibytes);
const MILLION: Row = Row::new("memory with a million messages waiting", Mebibytes);
const MILLION_ETAS: Row = Row::new("memory with a million ETA messages waiting", Mebibytes);

const CONCURRENCY: usize = 2;
/// A worker that has just started still has a few things to do.
const SETTLES: Duration = Duration::from_secs(3);

pub(crate) async fn measure(
    space: &Space,
    table: &mut Table,
    arguments: &Arguments,
) -> Outcome<()> {
    let (cpu, quiet) = match arguments.is_long {
        true => (CPU_OF_A_MINUTE, Duration::from_secs(60)),
        false => (CPU, Duration::from_secs(10)),
    };
    let settings = json!({ "task_acks_late": true });
    let load = messages::noops(space, Results::Ignored, 100_000).await?;
    let worker = start(space, &settings).await?;
    table.note(START, Side::Ours, worker.starting.as_secs_f64() * 1e3);
    sleep(SETTLES).await;
    table.note(MEMORY, Side::Ours, process::memory(worker.id()?)?);
    let before = process::cpu_of_threads(worker.id()?)?;
    sleep(quiet).await;
    let used = process::cpu_of_threads(worker.id()?)? - before;
    table.note(cpu, Side::Ours, used.as_secs_f64() * 1e3);
    messages::fill(space, &load).await?;
    space.drained().await?;
    table.note(LOADED, Side::Ours, process::memory(worker.id()?)?);
    worker.stop().await?;
    space.clear().await?;

    let began = tokio::time::Instant::now();
    if let Some(worker) = PythonWorker::start(space, &settings, python::PROCESSES).await? {
        table.note(START, Side::Python, began.elapsed().as_secs_f64() * 1e3);
        sleep(SETTLES).await;
        table.note(MEMORY, Side::Python, process::memory_of_all(worker.id()?)?);
        let before = process::cpu_of_all(worker.id()?)?;
        sleep(quiet).await;
        let used = process::cpu_of_all(worker.id()?)? - before;
        table.note(cpu, Side::Python, used.as_secs_f64() * 1e3);
        worker.stop().await?;
        space.clear().await?;
    }
    if arguments.is_long {
        Box::pin(millions(space, table, &settings)).await?;
    }
    Ok(())
}

async fn start(space: &Space, settings: &Value) -> Outcome<OurWorker> {
    let settings = space.settings(settings);
    OurWorker::start(&Job { settings, concurrency: CONCURRENCY, expected: None }).await
}

/// A worker that begins with a million messages before it, and one that has a million before it which are not due.
async fn millions(space: &Space, table: &mut Table, settings: &Value) -> Outcome<()> {
    for _ in 0..10 {
        messages::fill(space, &messages::noops(space, Results::Ignored, 100_000).await?).await?;
    }
    let worker = start(space, settings).await?;
    sleep(SETTLES).await;
    table.note(MILLION, Side::Ours, process::memory(worker.id()?)?);
    worker.stop().await?;
    space.clear().await?;

    let app = space.app(&Results::Ignored.settings())?;
    Box::pin(app.scope(Due::s(0.0).countdown(86_400.0).apply_async())).await?;
    let template = messages::take(space).await?;
    let worker = start(space, settings).await?;
    for _ in 0..10 {
        messages::fill(space, &messages::copies(&template, 100_000)?).await?;
        space.fetched().await?;
    }
    table.note(MILLION_ETAS, Side::Ours, process::memory(worker.id()?)?);
    worker.stop().await?;
    space.clear().await
}
