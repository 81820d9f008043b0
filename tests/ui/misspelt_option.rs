use celery::shared_task;

#[shared_task(max_retrys = 5)]
fn add(x: i64) -> i64 {
    x
}

#[shared_task(acks_late = 1)]
fn sub(x: i64) -> i64 {
    x
}

fn main() {}
