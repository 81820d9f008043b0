use celery::shared_task;

#[shared_task(rate_limit = "10/d")]
fn daily() {}

#[shared_task(rate_limit = 10)]
fn unquoted() {}

fn main() {}
