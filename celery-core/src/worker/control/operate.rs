//! Commands that change what the worker does.

use super::commands::Panel;
use crate::value::{Map, Value};

pub(super) async fn shutdown(panel: &Panel, _: &Map) -> Option<Value> {
    tracing::warn!("shutdown was asked for by remote control");
    panel.shutdown.warm.cancel();
    None
}
