//! Tasks that follow each other.

use celery::AsyncResult;
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    Outcome, ceiling,
    messages::{self, Message},
    python::{self, PythonWorker},
    space::Space,
    table::{Row, Side, Table, Unit::Milliseconds, percentile},
    worker::{Job, OurWorker},
};

const CHAIN: Row = Row::new("chain of 100", Milliseconds);

const LENGTH: usize = 100;
/// Of each worker; the median counts.
const TIMES: usize = 5;

/// A chain as Python's client sends it: all of it is in its first message.
struct Chain {
    message: Message,
    last: String,
}

pub(crate) async fn measure(space: &Space, table: &mut Table) -> Outcome<()> {
    // Without Python nobody makes one.
    let Some(last) = python::sends_chain(space, LENGTH).await? else { return Ok(()) };
    let message = Message { bytes: messages::take(space).await?.into(), id: String::new() };
    let chain = Chain { message, last };

    let settings = space.settings(&Value::Null);
    let worker = OurWorker::start(&Job { settings, concurrency: 2, expected: None }).await?;
    table.note(CHAIN, Side::Ours, run(space, &chain).await?);
    worker.stop().await?;
    if let Some(worker) = PythonWorker::start(space, &Value::Null, python::PROCESSES).await? {
        table.note(CHAIN, Side::Python, run(space, &chain).await?);
        worker.stop().await?;
    }
    table.note(CHAIN, Side::Bare, ceiling::chain(space, LENGTH, &chain.message).await?);
    Ok(())
}

/// From the first message until the last result.
async fn run(space: &Space, chain: &Chain) -> Outcome<f64> {
    let app = space.app(&Value::Null)?;
    let mut took = Vec::new();
    for _ in 0..=TIMES {
        let last = AsyncResult::<Value>::new(&app, chain.last.as_str());
        let began = Instant::now();
        messages::fill(space, std::slice::from_ref(&chain.message)).await?;
        last.wait().await?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
        space.forget_results().await?;
    }
    // The first one warms up.
    Ok(percentile(&mut took[1..], 0.5))
}
