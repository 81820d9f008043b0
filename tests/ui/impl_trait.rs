#![allow(unused_variables)]

use celery::shared_task;

#[shared_task]
fn join(words: impl Into<String>) -> impl Iterator<Item = String> {
    std::iter::once(words.into())
}

fn main() {}
