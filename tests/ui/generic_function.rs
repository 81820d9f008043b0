#![allow(unused_variables)]

use celery::shared_task;

#[shared_task]
fn largest<T: Ord>(items: Vec<T>) -> Option<T>
where
    T: Clone,
{
    items.into_iter().max()
}

fn main() {}
