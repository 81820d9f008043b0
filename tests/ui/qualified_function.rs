use celery::shared_task;

#[shared_task]
const unsafe extern "C" fn add(x: i64) -> i64 {
    x
}

fn main() {}
