//! How often a task may begin.

use super::super::{
    command::{Answer, nok, ok},
    panel::Panel,
};
use crate::{arguments::Bound, value::Value};

/// Sets another rate limit for a task of this worker, until it ends. Zero, or nothing, takes it away.
pub(in super::super) async fn rate_limit(panel: &Panel, mut given: Bound) -> Answer {
    let name: String = given.take(0)?;
    let limit = match given.take::<Value>(1)? {
        Value::Null => "0".to_owned(),
        Value::String(text) => text,
        other => other.to_string(),
    };
    let Some(task) = panel.node.registry().get(&name) else {
        tracing::error!(target: "celery::worker", "Rate limit attempt for unknown task {name}");
        return nok("unknown task");
    };
    match panel.node.rates.change(task.name, &limit) {
        Ok(true) => {
            tracing::info!(target: "celery::worker", "New rate limit for tasks of type {name}: {limit}.");
            ok("new rate limit set successfully")
        }
        Ok(false) => {
            tracing::info!(target: "celery::worker", "Rate limits disabled for tasks of type {name}");
            ok("rate limit disabled successfully")
        }
        Err(error) => nok(format!("Invalid rate limit string: {error}")),
    }
}
