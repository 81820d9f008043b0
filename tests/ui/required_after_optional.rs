#![allow(unused_variables)]

use celery::shared_task;

#[shared_task]
fn greet(title: Option<String>, #[default = 1] times: u32, name: String) {}

fn main() {}
