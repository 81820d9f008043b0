use celery::shared_task;

#[shared_task]
async fn resize(path: String) -> String;

fn main() {}
