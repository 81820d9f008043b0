use celery::{shared_task, task};

#[task]
fn whose() {}

#[shared_task(app = crate::app)]
fn everybodys() {}

fn main() {}
