use celery::shared_task;

#[shared_task(acks_late = "yes")]
fn late() {}

#[shared_task(max_retries = true)]
fn retried() {}

#[shared_task(time_limit)]
fn limited() {}

#[shared_task(throws = Error)]
fn throws() {}

#[shared_task(shadow_name = "a name")]
fn shadowed() {}

fn main() {}
