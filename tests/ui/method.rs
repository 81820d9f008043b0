#![allow(unused_variables)]

use celery::shared_task;

struct Mailer;

impl Mailer {
    #[shared_task]
    fn send(&self, user_id: i64) {}
}

fn main() {}
