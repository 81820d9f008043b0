//! The attribute of a command has a few keys.

use celery::prelude::*;

#[inspect_command(hlp = "How deep the queue is.")]
async fn depth(_panel: &Panel) -> u64 {
    1
}

fn main() {}
