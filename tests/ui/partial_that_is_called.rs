use celery::shared_task;

#[shared_task]
fn add(x: i64, y: i64) -> i64 {
    x + y
}

fn main() {
    drop(Add::partial(1).apply_async());
}
