use celery::shared_task;

#[shared_task]
fn check() -> Result<i64, String> {
    Err("no".to_owned())
}

fn main() {}
