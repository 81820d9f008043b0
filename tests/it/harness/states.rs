//! What the tasks of this program take of the state of their app. A worker starts only where all of it is there, so
//! that every app that has one is given all.

use std::sync::Arc;

use celery::{Builder, Celery};
use peers::Space;
use serde_json::json;

use super::Probe;
use crate::macros::Database;

/// The app of a namespace on Redis.
pub(crate) fn app(space: &Space) -> Celery {
    let builder = with_states(space.builder(), &Probe::default()).state(space.clone());
    builder.build().expect("settings of which both sides know")
}

/// The builder with the states of all tasks.
pub(crate) fn with_states(builder: Builder, probe: &Probe) -> Builder {
    let nowhere = json!({
        "broker_url": "",
        "broker_transport_options": { "global_keyprefix": "" },
    });
    builder.state(probe.clone()).state(Database(Arc::from("db"))).state(Space::of(&nowhere))
}
