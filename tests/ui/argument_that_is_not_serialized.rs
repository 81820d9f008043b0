#![allow(unused_variables)]

use celery::shared_task;

struct Image;

#[shared_task]
fn size(image: Image) -> u32 {
    0
}

#[shared_task]
fn load() -> Image {
    Image
}

fn main() {}
