//! The tasks.

use std::time::Duration;

use celery::prelude::*;

use crate::widgets::{DoesNotExist, Widget};

/// Adds two numbers.
#[shared_task]
pub fn add(x: i64, y: i64) -> i64 {
    x + y
}

/// Multiplies two numbers.
#[shared_task]
pub fn mul(x: i64, y: i64) -> i64 {
    x * y
}

/// Adds all the numbers.
#[shared_task]
pub fn xsum(numbers: Vec<i64>) -> i64 {
    numbers.iter().sum()
}

/// Makes a widget, and returns it.
#[shared_task]
pub fn create_widget(name: String) -> Widget {
    Widget::create(name)
}

/// How many widgets this worker has made.
#[shared_task]
pub fn count_widgets() -> usize {
    Widget::count()
}

/// Renames a widget. It fails when there is none of that number.
#[shared_task]
pub fn rename_widget(widget_id: i64, name: String) -> Result<Widget, DoesNotExist> {
    Widget::rename(widget_id, &name)
}

/// What [`fail`] fails with.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DemoError(String);

/// Fails.
#[shared_task]
pub fn fail(
    #[default = "this task always fails".to_owned()] message: String,
) -> Result<(), DemoError> {
    Err(DemoError(message))
}

/// Fails twice, and succeeds when it is tried for the third time. Returns how often it was tried.
#[shared_task(bind, max_retries = 2)]
pub async fn flaky(task: &Context, #[default = 1.0] countdown: f64) -> Result<u32, TaskError> {
    if task.retries() < 2 {
        let error = DemoError(format!("attempt {} failed", task.retries() + 1));
        return Err(task.retry().countdown(countdown).cause(error).into());
    }
    Ok(task.retries() + 1)
}

/// Sleeps that many seconds, and says how far it is: `{"done": 3, "total": 10}` in state `PROGRESS`.
#[shared_task(bind)]
pub async fn sleep(task: &Context, seconds: u32) -> Result<u32, TaskError> {
    for done in 0..seconds {
        task.update_state("PROGRESS", json!({ "done": done, "total": seconds })).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(seconds)
}
