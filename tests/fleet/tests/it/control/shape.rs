//! Whether two replies have one shape: the same keys in the same order, and the same types.

use serde_json::Value;

/// Objects whose keys are names and ids, or settings, of which each side has its own.
const OPEN: [&str; 4] = ["total", "kwargs", "transport_options", ""];

/// What Celery leaves open itself: a pool that keeps no books has a word in their place.
const FREE: [&str; 3] = ["args", "writes", "max-tasks-per-child"];

/// Where ours is of another shape, and how.
pub(crate) fn differences(theirs: &Value, ours: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", theirs, ours, &mut found);
    found
}

fn compare(path: &str, theirs: &Value, ours: &Value, found: &mut Vec<String>) {
    let name = path.rsplit('.').next().unwrap_or_default();
    if FREE.contains(&name) {
        return;
    }
    if kind(theirs) != kind(ours) {
        return found.push(format!("`{path}` is {}, and not {}", kind(ours), kind(theirs)));
    }
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            let keys =
                |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
            if !OPEN.contains(&name) && keys(theirs) != keys(ours) {
                found.push(format!("`{path}` has {:?}, and not {:?}", keys(ours), keys(theirs)));
            }
            for (key, theirs) in theirs {
                if let Some(ours) = ours.get(key) {
                    compare(&format!("{path}.{key}"), theirs, ours, found);
                }
            }
        }
        (Value::Array(theirs), Value::Array(ours)) => match (theirs.first(), ours.is_empty()) {
            (Some(_), true) => found.push(format!("`{path}` is empty")),
            (Some(first), false) => {
                for ours in ours {
                    compare(&format!("{path}[]"), first, ours, found);
                }
            }
            (None, _) => {}
        },
        _ => {}
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a bool",
        Value::Number(number) if number.is_f64() => "a float",
        Value::Number(_) => "an int",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
