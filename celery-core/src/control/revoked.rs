//! What is revoked, as the processes of a fleet remember it together, so that a worker that starts later knows it too.

use std::time::Duration;

use serde_json::json;

use crate::{
    broker::{Broker, BrokerError, Keep, KeepFrom},
    config::Problem,
    message::Message,
    value::Value,
};

/// How many revocations are known.
const MAX: &str = "CELERY_WORKER_REVOKES_MAX";
/// For how many seconds a revocation is known.
const EXPIRES: &str = "CELERY_WORKER_REVOKE_EXPIRES";

/// For how long a revocation is known, and how many are: Celery's limits, or what Celery's variables of the environment say.
/// What waits in the broker for its time is out of any worker's sight, so the broker counts the time from when the last of it
/// is due.
///
/// # Errors
/// A variable that is no number.
pub(crate) fn keep(environment: &[(String, String)]) -> Result<Keep, Problem> {
    let text = |name: &str| {
        let found = environment.iter().find(|(variable, _)| variable == name);
        found.map(|(_, text)| text.trim()).filter(|text| !text.is_empty())
    };
    let wrong = |name: &str, what: &str, text: &str| Problem::Unusable {
        setting: name.to_owned(),
        why: format!("expected {what}, got `{text}`"),
    };
    let most = match text(MAX) {
        None => 50_000,
        Some(text) => text.parse().map_err(|_| wrong(MAX, "a whole number", text))?,
    };
    // More would be beyond the end of time, for some.
    const CENTURY: f64 = 3_155_760_000.0;
    let time = match text(EXPIRES) {
        None => Duration::from_secs(10_800),
        Some(text) => text
            .parse::<f64>()
            .ok()
            .filter(|seconds| !seconds.is_nan())
            .and_then(|seconds| Duration::try_from_secs_f64(seconds.min(CENTURY)).ok())
            .ok_or_else(|| wrong(EXPIRES, "a number of seconds", text))?,
    };
    Ok(Keep { time, most, from: KeepFrom::LastDue })
}

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

/// The stamps of a message.
pub(crate) fn stamps_of(message: &Message) -> Vec<String> {
    let names = message.headers.get("stamped_headers").and_then(Value::as_array);
    let Some(Value::Object(headers)) = message.headers.get("stamps") else { return Vec::new() };
    let is_named = |name: &str| names.is_some_and(|names| names.iter().any(|it| it == name));
    stamps(headers.iter().filter(|(name, _)| is_named(name)))
}

/// Lets the fleet remember it, as far as its broker can.
pub(crate) async fn remember(
    broker: &dyn Broker,
    kind: Kind,
    revoked: &[String],
    keep: Keep,
) -> Result<(), BrokerError> {
    match broker.shared_sets() {
        Some(sets) if !revoked.is_empty() => sets.remember(kind.set(), revoked, keep).await,
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

/// Which of these the fleet remembers.
pub(crate) async fn remembers(
    broker: &dyn Broker,
    kind: Kind,
    asked: &[String],
) -> Result<Vec<String>, BrokerError> {
    match broker.shared_sets() {
        Some(sets) if !asked.is_empty() => sets.remembers(kind.set(), asked).await,
        Some(_) | None => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn celerys_variables_say_how_many_revocations_are_known_and_for_how_long() {
        let kept = |max: &str, expires: &str| {
            let variables = [(MAX, max), (EXPIRES, expires), ("OTHER", "x")];
            keep(&variables.map(|(name, text)| (name.to_owned(), text.to_owned())))
        };
        let is = |kept: Result<Keep, Problem>, most, seconds| {
            let time = Duration::from_secs_f64(seconds);
            assert_eq!(kept.unwrap(), Keep { time, most, from: KeepFrom::LastDue });
        };
        is(keep(&[]), 50_000, 10_800.0);
        is(kept("", " "), 50_000, 10_800.0);
        is(kept("10", " 1.5"), 10, 1.5);
        is(kept("0", "inf"), 0, 3_155_760_000.0);
        for (max, expires, why) in [
            (
                "many",
                "1",
                "`CELERY_WORKER_REVOKES_MAX` cannot be used: expected a whole number, got `many`",
            ),
            (
                "1",
                "-1",
                "`CELERY_WORKER_REVOKE_EXPIRES` cannot be used: expected a number of seconds, got `-1`",
            ),
            (
                "1",
                "nan",
                "`CELERY_WORKER_REVOKE_EXPIRES` cannot be used: expected a number of seconds, got `nan`",
            ),
        ] {
            assert_eq!(kept(max, expires).unwrap_err().to_string(), why);
        }
    }
}
