use celery::shared_task;

const NAME: &str = "proj.add";

#[shared_task(name = "")]
fn empty() {}

#[shared_task(name = NAME)]
fn computed() {}

#[shared_task(name = "proj.twice", name = "proj.again")]
fn twice() {}

fn main() {}
