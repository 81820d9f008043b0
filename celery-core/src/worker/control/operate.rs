//! Commands that change what the worker does.

mod consumers;
mod pool;
mod rates;

pub(super) use self::{
    consumers::{add_consumer, cancel_consumer},
    pool::{autoscale, pool_grow, pool_restart, pool_shrink, time_limit},
    rates::rate_limit,
};
use super::{command::Answer, panel::Panel};
use crate::arguments::Bound;

/// Stops the worker as TERM does. It has no reply.
pub(super) async fn shutdown(panel: &Panel, mut given: Bound) -> Answer {
    let reason = given.take::<Option<String>>(0)?;
    let reason = reason.as_deref().unwrap_or("Got shutdown from remote");
    tracing::warn!(target: "celery::worker", "{reason}");
    panel.shutdown.warm.cancel();
    Ok(None)
}
