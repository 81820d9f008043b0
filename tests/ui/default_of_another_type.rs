#![allow(unused_variables)]

use celery::shared_task;

#[shared_task]
fn greet(#[default = "once"] times: u32) {}

fn main() {}
