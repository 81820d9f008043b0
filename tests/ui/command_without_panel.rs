//! A command is given the worker first.

use celery::prelude::*;

#[inspect_command]
async fn depth(queue: String) -> u64 {
    queue.len() as u64
}

fn main() {}
