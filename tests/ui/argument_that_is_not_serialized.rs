use celery::shared_task;

struct Image;

#[shared_task]
fn resize(image: Image) -> Image {
    image
}

fn main() {}
