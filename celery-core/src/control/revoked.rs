//! What is revoked, as the processes of a fleet remember it together, so that a worker that starts later knows it too.

use std::time::Duration;

use serde_json::json;

use crate::{
    broker::{Broker, BrokerError, Keep},
    value::Value,
};

/// For how long a revocation is known, and how many are: Celery's limits.
pub(crate) const KEEP: Keep = Keep { time: Duration::from_secs(10_800), most: 50_000 };

/// What is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Tasks, by their ids.
    Ids,
    /// Tasks that have one of these stamps, each as [`stamp`] writes it.
    Stamps,
}

impl Kind {
    /// The name of the shared set.
    fn set(self) -> &'static str {
        match self {
            Self::Ids => "revoked",
            Self::Stamps => "revoked-stamps",
        }
    }
}

/// A stamp as one text.
pub(crate) fn stamp(name: &str, value: &Value) -> String {
    json!([name, value]).to_string()
}

/// Every stamp of the headers, whose values are single ones or lists.
pub(crate) fn stamps<'a>(
    headers: impl IntoIterator<Item = (&'a String, &'a Value)>,
) -> Vec<String> {
    let headers = headers.into_iter();
    headers.flat_map(|(name, value)| values(value).iter().map(|one| stamp(name, one))).collect()
}

/// The values of a header, of which there may be a single one.
pub(crate) fn values(header: &Value) -> &[Value] {
    match header {
        Value::Array(values) => values,
        one => std::slice::from_ref(one),
    }
}

/// The ids that a worker tells of when it is asked: a list, or from Celery 5.6 an object by id.
pub(crate) fn ids(told: &Value) -> Vec<String> {
    match told {
        Value::Array(ids) => ids.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::Object(stamps) => stamps.keys().cloned().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// Lets the fleet remember it, as far as its broker can.
pub(crate) async fn remember(
    broker: &dyn Broker,
    kind: Kind,
    revoked: &[String],
) -> Result<(), BrokerError> {
    match broker.shared_sets() {
        Some(sets) if !revoked.is_empty() => sets.remember(kind.set(), revoked, KEEP).await,
        Some(_) | None => Ok(()),
    }
}

/// What the fleet remembers, the oldest first.
pub(crate) async fn remembered(
    broker: &dyn Broker,
    kind: Kind,
) -> Result<Vec<String>, BrokerError> {
    match broker.shared_sets() {
        Some(sets) => sets.remembered(kind.set()).await,
        None => Ok(Vec::new()),
    }
}
