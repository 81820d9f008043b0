use celery::shared_task;

struct Trouble;

#[shared_task]
fn check() -> Result<i64, Trouble> {
    Err(Trouble)
}

fn main() {}
