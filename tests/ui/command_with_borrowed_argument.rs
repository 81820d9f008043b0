//! An argument of a command is read from a message, and cannot be borrowed.

use celery::prelude::*;

#[control_command]
async fn drain(panel: &Panel, queue: &str) {
    panel.cancel_consumer(queue);
}

fn main() {}
