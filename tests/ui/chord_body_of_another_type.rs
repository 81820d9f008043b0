use celery::prelude::*;

#[shared_task]
fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[shared_task]
fn shout(text: String) -> usize {
    text.len()
}

#[shared_task]
fn join(words: Vec<String>) -> String {
    words.concat()
}

fn main() {
    let header = || [Add::s(1, 2), Add::s(3, 4)];
    drop(group(header()) | Join::partial());
    drop(chord(header(), Join::partial()));
}
