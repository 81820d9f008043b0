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
    drop(Add::s(1, 2).link(Shout::partial()));
    drop(Add::s(1, 2).link_error(Add::partial(1)));
    drop(group([Add::s(1, 2)]).link_each(Shout::partial()));
    drop(group([Add::s(1, 2)]).link(Add::partial(1)));
}
