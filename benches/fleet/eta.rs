//! Tasks that wait for their time: how late they run, and what they cost a worker until then.

use std::time::Duration;

use celery::core::clock;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use crate::{
    Outcome,
    messages::Results,
    process,
    python::{self, PythonWorker},
    space::Space,
    table::{
        Row, Side, Table,
        Unit::{Mebibytes, Milliseconds},
        percentile,
    },
    tasks::Due,
    worker::{Job, OurWorker},
};

const SPREAD: [Row; 2] = [
    Row::new("10,000 ETA tasks, spread: late, p50", Milliseconds),
    Row::new("10,000 ETA tasks, spread: late, p99", Milliseconds),
];
const TOGETHER: [Row; 2] = [
    Row::new("10,000 ETA tasks, due at once: late, p50", Milliseconds),
    Row::new("10,000 ETA tasks, due at once: late, p99", Milliseconds),
];
const MEMORY: Row = Row::new("10,000 ETA tasks that wait: more memory", Mebibytes);

const COUNT: usize = 10_000;
/// How many callers send them.
const CALLERS: usize = 64;
/// From the first message sent until the first is due: the time in which all are sent and seen by the worker. Python's
/// reads a thousand a second.
const BEFORE: Duration = Duration::from_secs(4);
const BEFORE_OF_PYTHON: Duration = Duration::from_secs(20);
/// In what time they are due that are spread: half of what Python can run.
const OVER: Duration = Duration::from_secs(20);
const CONCURRENCY: usize = 256;

/// When the tasks are due.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Plan {
    Spread,
    Together,
}

pub(crate) async fn measure(space: &Space, table: &mut Table) -> Outcome<()> {
    for (plan, rows) in [(Plan::Spread, SPREAD), (Plan::Together, TOGETHER)] {
        for side in [Side::Ours, Side::Python] {
            let measured = match side {
                Side::Python => of_python(space, plan).await?,
                _ => Some(ours(space, plan).await?),
            };
            space.clear().await?;
            let Some((mut late, memory)) = measured else { continue };
            if late.len() != COUNT {
                return Err(format!("{} of {COUNT} tasks ran", late.len()).into());
            }
            for (row, share) in rows.into_iter().zip([0.5, 0.99]) {
                table.note(row, side, percentile(&mut late, share));
            }
            if plan == Plan::Spread {
                table.note(MEMORY, side, memory);
            }
        }
    }
    Ok(())
}

fn settings() -> Value {
    json!({ "task_acks_late": true, "task_ignore_result": true })
}

async fn ours(space: &Space, plan: Plan) -> Outcome<(Vec<f64>, f64)> {
    let settings = space.settings(&settings());
    let job = Job { settings, concurrency: CONCURRENCY, expected: Some(COUNT) };
    let worker = OurWorker::start(&job).await?;
    let before = process::memory(worker.id()?)?;
    send(space, plan, BEFORE).await?;
    let more = process::memory(worker.id()?)? - before;
    Ok((worker.done().await?.lateness, more))
}

async fn of_python(space: &Space, plan: Plan) -> Outcome<Option<(Vec<f64>, f64)>> {
    let Some(worker) = PythonWorker::start(space, &settings(), python::PROCESSES).await? else {
        return Ok(None);
    };
    let before = process::memory_of_all(worker.id()?)?;
    send(space, plan, BEFORE_OF_PYTHON).await?;
    let more = process::memory_of_all(worker.id()?)? - before;
    space.drained().await?;
    let late = worker.lateness()?;
    worker.stop().await?;
    Ok(Some((late, more)))
}

/// Sends them, and returns shortly before the first is due.
async fn send(space: &Space, plan: Plan, before: Duration) -> Outcome<()> {
    let app = space.app(&Results::Ignored.settings())?;
    let first = Instant::now() + before;
    let due = clock::now() + SignedDuration::try_from(before)?;
    let call = |caller: usize| {
        let app = app.clone();
        async move {
            for number in (caller..COUNT).step_by(CALLERS) {
                let share = match plan {
                    Plan::Spread => number as f64 / COUNT as f64,
                    Plan::Together => 0.0,
                };
                let due: Timestamp = due + SignedDuration::try_from(OVER.mul_f64(share))?;
                let seconds = due.as_duration().as_secs_f64();
                app.scope(Due::s(seconds).eta(due).apply_async()).await?;
            }
            Outcome::Ok(())
        }
    };
    let calling: Vec<_> = (0..CALLERS).map(|caller| tokio::spawn(call(caller))).collect();
    for called in calling {
        called.await??;
    }
    sleep_until(first - Duration::from_millis(200)).await;
    Ok(())
}
