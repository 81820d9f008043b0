use celery::shared_task;

#[shared_task]
struct Add;

fn main() {}
