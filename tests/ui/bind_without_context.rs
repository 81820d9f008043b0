use celery::shared_task;

#[shared_task(bind)]
fn add(x: i64) -> i64 {
    x
}

fn main() {}
