//! Tasks that take their time: those that wait for something else, and those that compute.

use serde_json::json;

use crate::{
    Outcome, ceiling,
    messages::{self, Results},
    python,
    space::Space,
    table::{
        Row, Side, Table,
        Unit::{Milliseconds, Percent},
    },
    tasks::{Burn, Sleep},
    worker::{Job, OurWorker},
};

const IO: Row = Row::new("2,000 tasks of 50 ms of I/O", Milliseconds);
const CPU: Row = Row::new("tasks that compute: of both cores", Percent);

const SLEEPS: usize = 2_000;
/// Enough to have all of them under way at once.
const CONCURRENCY: usize = 2_000;
/// More do not help it: what it starts in a second is the limit.
const THREADS: &[&str] = &["-P", "threads", "-c", "100"];

/// About ten milliseconds each.
const BURNS: usize = 400;

pub(crate) async fn measure(space: &Space, table: &mut Table) -> Outcome<()> {
    let late = json!({ "task_acks_late": true });
    let app = space.app(&Results::Ignored.settings())?;
    let job = |concurrency, expected| Job {
        settings: space.settings(&late),
        concurrency,
        expected: Some(expected),
    };

    Box::pin(app.scope(Sleep::delay())).await?;
    let sleeps = messages::copies(&messages::take(space).await?, SLEEPS)?;
    messages::fill(space, &sleeps).await?;
    let done = OurWorker::start(&job(CONCURRENCY, SLEEPS)).await?.done().await?;
    table.note(IO, Side::Ours, done.seconds * 1e3);
    table.note(IO, Side::Bare, ceiling::sleeps(SLEEPS).await?);
    space.clear().await?;
    if let Some(done) = python::drains(space, &late, THREADS, &sleeps).await? {
        table.note(IO, Side::Python, SLEEPS as f64 / done.rate() * 1e3);
    }
    space.clear().await?;

    Box::pin(app.scope(Burn::delay())).await?;
    let burns = messages::copies(&messages::take(space).await?, BURNS)?;
    messages::fill(space, &burns).await?;
    let cores = std::thread::available_parallelism()?.get();
    let done = OurWorker::start(&job(cores, BURNS)).await?.done().await?;
    let ideal = ceiling::burns(BURNS, cores).await?;
    table.note(CPU, Side::Ours, 100.0 * ideal / done.seconds);
    table.note(CPU, Side::Bare, 100.0);
    space.clear().await?;
    if let Some(done) = python::drains(space, &late, python::PROCESSES, &burns).await? {
        let ideal = cores as f64 / python::BURN.as_secs_f64();
        table.note(CPU, Side::Python, 100.0 * done.rate() / ideal);
    }
    Ok(())
}
