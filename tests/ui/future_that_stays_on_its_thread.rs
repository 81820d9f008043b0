use celery::shared_task;

#[shared_task]
async fn count() -> usize {
    let local = std::rc::Rc::new(1);
    std::future::ready(()).await;
    *local
}

fn main() {}
