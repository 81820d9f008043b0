#![allow(unused_variables)]

use celery::shared_task;

struct Database;

#[shared_task]
async fn clean(#[state] db: &Database) {}

fn main() {}
