#![allow(unused_variables)]

use celery::remote_task;

#[remote_task(name = "proj.tasks.resize", bind)]
async fn resize(path: String, #[state] db: u32, #[default = 64] width: u32) -> String {
    path
}

fn main() {}
