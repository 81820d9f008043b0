//! The tasks that the captures were made with.

use celery::prelude::*;
use celery_core::{exception::Exception, task::Failure};
use serde_json::Value;

#[remote_task(name = "wireapp.add")]
pub(super) async fn add(x: i64, y: i64) -> i64;

/// What runs in the place of `wireapp.add`, a name that another test's task has in this program.
#[shared_task(name = "golden.add")]
pub(super) fn run_add(x: i64, y: i64) -> i64 {
    x + y
}

#[shared_task(name = "wireapp.mul")]
pub(super) fn mul(x: i64, y: i64) -> i64 {
    x * y
}

#[shared_task(name = "wireapp.xsum")]
pub(super) fn xsum(numbers: Vec<i64>) -> i64 {
    numbers.into_iter().sum()
}

#[shared_task(name = "wireapp.echo")]
pub(super) fn echo(value: Option<Value>) -> Option<Value> {
    value
}

#[shared_task(name = "wireapp.on_err_new")]
pub(super) fn on_err_new(id: String) -> String {
    id
}

#[shared_task(name = "wireapp.fail")]
pub(super) fn fail(
    #[default = "no cheese".to_owned()] msg: String,
    #[default = 42] code: i64,
) -> Result<(), TaskError> {
    let exception = Exception {
        exc_type: "OutOfCheese".to_owned(),
        exc_module: "wireapp".to_owned(),
        exc_message: vec![msg.into(), code.into()],
    };
    Err(Failure::new(exception).into())
}

#[shared_task(name = "wireapp.retry_exhaust", bind, max_retries = 0)]
pub(super) fn retry_exhaust(task: &Context) -> Result<(), TaskError> {
    Err(task.retry().countdown(0).into())
}

#[shared_task(name = "wireapp.retry_once", bind, max_retries = 3)]
pub(super) fn retry_once(task: &Context, x: Value) -> Result<Value, TaskError> {
    if task.retries() > 0 {
        return Ok(x);
    }
    let first = Failure::new(Exception::new("KeyError", "builtins", "first"));
    Err(task.retry().countdown(3600).cause(first).into())
}

#[shared_task(name = "wireapp.soft_limited", soft_time_limit = 1, time_limit = 30)]
pub(super) async fn soft_limited() {
    std::future::pending::<()>().await;
}

#[shared_task(name = "wireapp.hard_limited", time_limit = 1)]
pub(super) async fn hard_limited() {
    std::future::pending::<()>().await;
}

#[shared_task(name = "wireapp.tracked", track_started)]
pub(super) async fn tracked(_name: String) {
    std::future::pending::<()>().await;
}

#[shared_task(name = "wireapp.replace_me", bind)]
pub(super) fn replace_me(task: &Context, x: i64) -> Result<i64, TaskError> {
    Err(task.replace(Add::s(x, 100)).into())
}

#[shared_task(name = "wireapp.replace_group", bind)]
pub(super) fn replace_group(task: &Context, x: i64) -> Result<i64, TaskError> {
    Err(task.replace(group([Add::s(x, 1), Add::s(x, 2)])).into())
}

#[shared_task(name = "wireapp.grow_chord", bind)]
pub(super) fn grow_chord(task: &Context, x: i64) -> Result<i64, TaskError> {
    task.block_on(task.add_to_chord(Add::s(x, 1000)))?;
    Ok(x)
}
