//! Captures of real Celery, under `tests/fixtures/golden`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use celery_core::{codec::json, value::Value};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/golden")
}

/// A capture by its path without `.json`.
pub(crate) fn read(name: &str) -> Value {
    let path = folder().join(name).with_extension("json");
    let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    // Some have the bare `NaN` of Python.
    json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The captures in a folder, by name.
pub(crate) fn names(of: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder().join(of))
        .unwrap_or_else(|error| panic!("{of}: {error}"))
        .map(|entry| {
            format!("{of}/{}", entry.unwrap().path().file_stem().unwrap().to_str().unwrap())
        })
        .collect();
    names.sort();
    names
}

/// Every envelope that was waiting in a queue or was sent to one, each once.
pub(crate) fn envelopes(capture: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect(capture, &mut found);
    found
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text.starts_with("{\"body\": ") && !found.contains(text) => {
            found.push(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(map) => map.values().for_each(|item| collect(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
