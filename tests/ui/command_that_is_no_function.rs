//! A command is a function.

use celery::prelude::*;

#[control_command]
struct Drain;

fn main() {
    let _ = Drain;
}
