use celery::prelude::*;

#[shared_task]
fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[shared_task]
fn shout(text: String) -> usize {
    text.len()
}

fn main() {
    drop(group([Add::partial(1), Add::partial(2)]).apply_async());
}
