//! Commands that change where tasks run, how many at once, and for how long.

use std::time::Duration;

use super::super::{
    command::{Answer, CommandError, nok, ok},
    panel::Panel,
};
use crate::{
    arguments::Bound,
    config::WorkerPool,
    value::Value,
    worker::{limits::Override, pool::MOST},
};

/// Adds places.
pub(in super::super) async fn pool_grow(panel: &Panel, mut given: Bound) -> Answer {
    let by = count(given.take_or(0, || 1)?)?;
    let node = &panel.node;
    if node.autoscaler.is_some() {
        return nok("pool_grow is not supported with autoscale. Adjust autoscale range instead.");
    }
    refuse_solo(panel, "grow")?;
    node.grow(by);
    node.hold_for(node.slots.count());
    ok("pool will grow")
}

/// Takes places away.
pub(in super::super) async fn pool_shrink(panel: &Panel, mut given: Bound) -> Answer {
    let by = count(given.take_or(0, || 1)?)?;
    let node = &panel.node;
    if node.autoscaler.is_some() {
        return nok("pool_shrink is not supported with autoscale. Adjust autoscale range instead.");
    }
    refuse_solo(panel, "shrink")?;
    node.shrink(by);
    node.hold_for(node.slots.count());
    ok("pool will shrink")
}

/// Replaces the child processes, each after its task. No code is loaded anew, whatever is asked.
pub(in super::super) async fn pool_restart(panel: &Panel, _: Bound) -> Answer {
    if !panel.node.app.config().worker.pool_restarts {
        return Err(CommandError::new("ValueError", "Pool restarts not enabled"));
    }
    panel.node.pool.restart();
    ok("reload started")
}

/// Changes the range of the autoscaler.
pub(in super::super) async fn autoscale(panel: &Panel, mut given: Bound) -> Answer {
    let [max, min] = [given.take::<Option<i64>>(0)?, given.take::<Option<i64>>(1)?];
    let (max, min) = (max.map(count).transpose()?, min.map(count).transpose()?);
    match panel.node.set_range(max, min) {
        Some(range) => ok(format!("autoscale now max={} min={}", range.max, range.min)),
        None => Err(CommandError::new("ValueError", "Autoscale not enabled")),
    }
}

/// Sets the limits of a task in place of its own. Those of a message go before them.
pub(in super::super) async fn time_limit(panel: &Panel, mut given: Bound) -> Answer {
    let name = given.take::<Value>(0)?;
    let (hard, soft) = (given.take::<Option<f64>>(1)?, given.take::<Option<f64>>(2)?);
    let known = name.as_str().and_then(|name| panel.node.registry().get(name));
    let Some(task) = known else {
        tracing::error!(target: "celery::worker", "Change time limit attempt for unknown task {name}");
        return nok("unknown task");
    };
    let limits = Override { hard: limit(hard)?, soft: limit(soft)? };
    panel.node.limits.set(task.name, limits);
    let shown = |limit: Option<f64>| limit.map_or_else(|| "None".to_owned(), |at| at.to_string());
    tracing::info!(target: "celery::worker", "New time limits for tasks of type {}: soft={} hard={}", task.name, shown(soft), shown(hard));
    ok("time limits set successfully")
}

/// Celery's complaint, in which the pool of one is an object that cannot do this.
fn refuse_solo(panel: &Panel, what: &str) -> Result<(), CommandError> {
    if panel.node.app.config().worker.pool == WorkerPool::Solo {
        let why = format!("'TaskPool' object has no attribute '{what}'");
        return Err(CommandError::new("AttributeError", why));
    }
    Ok(())
}

fn count(given: i64) -> Result<usize, CommandError> {
    usize::try_from(given).ok().filter(|count| *count <= MOST).ok_or_else(|| {
        let why = format!("a pool has from 0 to {MOST} places, and not {given}");
        CommandError::new("ValueError", why)
    })
}

/// Nothing, and zero, are no limit of the task's own.
fn limit(seconds: Option<f64>) -> Result<Option<Duration>, CommandError> {
    let Some(seconds) = seconds.filter(|seconds| *seconds != 0.0) else { return Ok(None) };
    let limit = Duration::try_from_secs_f64(seconds).map_err(|_| {
        CommandError::new("ValueError", format!("{seconds} is no number of seconds to wait"))
    })?;
    Ok(Some(limit))
}
