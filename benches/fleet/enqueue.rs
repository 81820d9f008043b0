//! How many messages a client sends in a second.

use tokio::time::Instant;

use crate::{
    Outcome,
    ceiling::{self, Pushing},
    messages::{self, Results},
    python,
    space::Space,
    table::{Row, Side, Table, Unit::PerSecond},
    tasks::Noop,
};

const ONE_BY_ONE: Row = Row::new("enqueue one by one", PerSecond);
const AT_ONCE: Row = Row::new("enqueue, 64 in flight", PerSecond);

const TOGETHER: Row = Row::new("enqueue with `send_all`", PerSecond);

/// How many callers there are at once in the second row.
const CALLERS: usize = 64;
const COUNT: usize = 100_000;

pub(crate) async fn measure(space: &Space, table: &mut Table) -> Outcome<()> {
    for (row, callers, count) in [(ONE_BY_ONE, 1, 10_000), (AT_ONCE, CALLERS, COUNT)] {
        table.note(row, Side::Ours, Box::pin(send(space, callers, count)).await?);
        space.clear().await?;
        let messages = messages::noops(space, Results::Kept, count).await?;
        let pushed = ceiling::push(space, Pushing::AtOnce(callers), messages).await?;
        table.note(row, Side::Bare, pushed);
        space.clear().await?;
    }
    table.note(TOGETHER, Side::Ours, Box::pin(send_together(space, COUNT)).await?);
    space.clear().await?;
    let messages = messages::noops(space, Results::Kept, COUNT).await?;
    let pushed = ceiling::push(space, Pushing::Pipelined, messages).await?;
    table.note(TOGETHER, Side::Bare, pushed);
    space.clear().await?;
    if let Some(rate) = python::sends(space, 2_000).await? {
        // It has no other way: its callers share no pipeline.
        table.note(ONE_BY_ONE, Side::Python, rate);
        table.note(AT_ONCE, Side::Python, rate);
        table.note(TOGETHER, Side::Python, rate);
    }
    Ok(())
}

/// Sends so many by one call; returns how many a second.
async fn send_together(space: &Space, count: usize) -> Outcome<f64> {
    let app = space.app(&Results::Kept.settings())?;
    // The first makes the connection.
    Box::pin(app.scope(Noop::delay())).await?;
    let began = Instant::now();
    let sent = app.send_all((0..count).map(|_| Noop::s())).await?;
    Ok(sent.len() as f64 / began.elapsed().as_secs_f64())
}

/// Sends so many by so many callers at once; returns how many a second.
async fn send(space: &Space, callers: usize, count: usize) -> Outcome<f64> {
    let app = space.app(&Results::Kept.settings())?;
    // The first makes the connection.
    app.scope(Noop::delay()).await?;
    let began = Instant::now();
    let call = |app: celery::Celery| async move {
        for _ in 0..count / callers {
            app.scope(Noop::delay()).await?;
        }
        Ok::<_, celery::Error>(())
    };
    if callers == 1 {
        call(app).await?;
    } else {
        let calling: Vec<_> = (0..callers).map(|_| tokio::spawn(call(app.clone()))).collect();
        for called in calling {
            called.await??;
        }
    }
    Ok((count / callers * callers) as f64 / began.elapsed().as_secs_f64())
}
