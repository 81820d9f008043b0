#![allow(unused_variables)]

use celery::{Context, shared_task};

#[shared_task]
async fn first(task: &Context, x: i64) {}

#[shared_task(bind)]
async fn second(x: i64, task: &Context) {}

fn main() {}
