use celery::remote_task;

#[remote_task]
async fn resize(path: String) -> String;

fn main() {}
