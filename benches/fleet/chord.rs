//! A chord of many tasks: from sending it until the result of its body is there.

use celery::chord;
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    Outcome, python,
    space::Space,
    table::{Row, Side, Table, Unit::Milliseconds, percentile},
    tasks::Noop,
    worker::{Job, OurWorker},
};

const CHORD: Row = Row::new("chord of 1,000", Milliseconds);

const PARTS: usize = 1_000;
/// Of each side; the median counts. The one before them warms up.
const TIMES: usize = 5;

pub(crate) async fn measure(space: &Space, table: &mut Table) -> Outcome<()> {
    let mut note = |side, took: Vec<f64>| {
        let mut took = took.into_iter().skip(1).collect::<Vec<_>>();
        table.note(CHORD, side, percentile(&mut took, 0.5));
    };
    note(Side::Ours, Box::pin(ours(space)).await?);
    space.clear().await?;
    if let Some(took) = python::chords(space, 1 + TIMES, PARTS).await? {
        note(Side::Python, took);
    }
    Ok(())
}

async fn ours(space: &Space) -> Outcome<Vec<f64>> {
    let settings = space.settings(&Value::Null);
    let worker = OurWorker::start(&Job { settings, concurrency: 2, expected: None }).await?;
    let app = space.app(&Value::Null)?;
    let mut took = Vec::new();
    for _ in 0..=TIMES {
        let began = Instant::now();
        let chord = chord((0..PARTS).map(|_| Noop::si()), Noop::si()).with_app(&app);
        chord.apply_async().await?.get().await?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    worker.stop().await?;
    Ok(took)
}
