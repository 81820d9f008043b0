#![allow(unused_variables)]

use celery::shared_task;
use std::{borrow::Cow, path::Path};

#[shared_task]
fn greet(name: &str, items: &[u8], path: &Path, title: Option<&str>, text: Cow<'_, str>) -> String {
    "hello".to_owned()
}

#[shared_task]
fn motto() -> &'static str {
    "hello"
}

fn main() {
    // The uses of a task with mistakes are no mistakes of their own.
    drop(Greet::delay("Ada", &[1], Path::new("a"), None, Cow::Borrowed("b")));
}
