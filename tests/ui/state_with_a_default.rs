#![allow(unused_variables)]

use celery::shared_task;

#[shared_task]
fn clean(
    #[state]
    #[default = 1]
    limit: u32,
    #[default] rest: u32,
) {
}

fn main() {}
