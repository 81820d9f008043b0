//! Commands that change what the worker does.

mod consumers;
mod pool;
mod rates;

pub(super) use self::{
    consumers::{add_consumer, cancel_consumer},
    pool::{autoscale, pool_grow, pool_restart, pool_shrink, time_limit},
    rates::rate_limit,
};
use super::{
    command::{Answer, CommandError},
    panel::Panel,
};
use crate::{arguments::Bound, value::Value, worker::gossip};

/// Stands for election, as every worker does that is asked to.
pub(super) async fn election(panel: &Panel, mut given: Bound) -> Answer {
    let (id, topic): (String, String) = (given.take(0)?, given.take(1)?);
    let action = given.take::<Value>(2)?;
    let Some(heard) = &panel.node.gossip else {
        return Err(CommandError::new(
            "RuntimeError",
            "this worker takes no part in elections: it was started with --without-gossip, or its broker is within its process",
        ));
    };
    gossip::hold_election(&panel.node, heard, &id, &topic, &action);
    Ok(Some(Value::Null))
}

/// Stops the worker as TERM does. It has no reply.
pub(super) async fn shutdown(panel: &Panel, mut given: Bound) -> Answer {
    let reason = given.take::<Option<String>>(0)?;
    let reason = reason.as_deref().unwrap_or("Got shutdown from remote");
    tracing::warn!(target: "celery::worker", "{reason}");
    panel.shutdown.warm.cancel();
    Ok(None)
}
