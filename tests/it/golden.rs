//! What we write is what Celery wrote: recorded messages and results, byte for byte but for ids, times and places.
//!
//! The captures lie with the core, which reads them all; here they are held against what an app and a worker of ours
//! leave in Redis.

mod composition;
mod messages;
mod replaced;
mod results;
mod tasks;

use std::{cmp::Reverse, fs, path::Path};

use celery_core::codec::json;
use serde_json::Value;

/// The capture of that name.
pub(super) fn capture(name: &str) -> Value {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["tests/fixtures/golden", "celery-core/tests/fixtures/golden"];
    let files = folders.map(|folder| root.join(folder).join(format!("{name}.json")));
    let file =
        files.iter().find(|file| file.exists()).unwrap_or_else(|| panic!("no capture {name}"));
    let text =
        fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The text with each of these values, which differ from run to run, replaced by its name. The longest go first, so
/// that no part of one is taken for another.
fn neutral(text: &str, varying: &[(&str, Option<&str>)]) -> String {
    let mut varying: Vec<_> =
        varying.iter().filter_map(|&(name, value)| Some((name, value?))).collect();
    varying.sort_by_key(|(_, value)| Reverse(value.len()));
    varying.into_iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("\"{value}\""), &format!("\"<{name}>\""))
    })
}
