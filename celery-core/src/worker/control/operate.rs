//! Commands that change what the worker does.

use super::{command::Answer, panel::Panel};
use crate::arguments::Bound;

pub(super) async fn shutdown(panel: &Panel, mut given: Bound) -> Answer {
    let reason = given.take::<Option<String>>(0)?;
    tracing::warn!("{}", reason.as_deref().unwrap_or("Got shutdown from remote"));
    panel.shutdown.warm.cancel();
    Ok(None)
}
