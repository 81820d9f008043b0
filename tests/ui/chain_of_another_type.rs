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
    drop(Add::s(1, 2) | Add::partial(3) | Shout::partial());
}
