use celery::shared_task;

#[shared_task]
fn add((x, y): (i64, i64), _: i64) -> i64 {
    x + y
}

fn main() {}
