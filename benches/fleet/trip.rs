//! How long it takes from sending a task to having its result, when nothing else is to be done.

use serde_json::Value;
use tokio::time::Instant;

use crate::{
    Outcome, ceiling,
    messages::{self, Results},
    python,
    space::Space,
    table::{Row, Side, Table, Unit::Milliseconds, percentile},
    tasks::Noop,
    worker::{Job, OurWorker},
};

const HALF: Row = Row::new("round trip, p50", Milliseconds);
const MOST: Row = Row::new("round trip, p99", Milliseconds);

/// The first ones make connections and warm up, and are not counted.
const FIRST: usize = 100;
const COUNT: usize = 2_000;
const COUNT_OF_PYTHON: usize = 500;

pub(crate) async fn measure(space: &Space, table: &mut Table) -> Outcome<()> {
    let mut note = |side, took: Vec<f64>| {
        let mut took = took[FIRST.min(took.len())..].to_vec();
        table.note(HALF, side, percentile(&mut took, 0.5));
        table.note(MOST, side, percentile(&mut took, 0.99));
    };
    note(Side::Ours, Box::pin(ours(space)).await?);
    space.clear().await?;
    let messages = messages::noops(space, Results::Kept, FIRST + COUNT).await?;
    note(Side::Bare, ceiling::trips(space, messages).await?);
    space.clear().await?;
    if let Some(took) = python::trips(space, FIRST + COUNT_OF_PYTHON).await? {
        note(Side::Python, took);
    }
    Ok(())
}

async fn ours(space: &Space) -> Outcome<Vec<f64>> {
    let settings = space.settings(&Value::Null);
    let job = Job { settings, concurrency: 2, expected: None };
    let worker = OurWorker::start(&job).await?;
    let app = space.app(&Value::Null)?;
    let mut took = Vec::with_capacity(FIRST + COUNT);
    for _ in 0..FIRST + COUNT {
        let began = Instant::now();
        app.scope(Noop::delay()).await?.get().await?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    worker.stop().await?;
    Ok(took)
}
