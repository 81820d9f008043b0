//! The tasks of canvases, which `tests/python/proj/canvas.py` has, too.

use celery::{
    Signature,
    core::{exception::Exception, signature::Spec, task::Failure},
    prelude::*,
};
use peers::Space;

/// Writes down what ran beside the results.
async fn tell(space: &Space, case: &str, what: &str) {
    let _: u64 = space.redis("RPUSH", &["{}told", &format!("{case}: {what}")]).await;
}

fn signature(value: Value) -> Result<Signature<Untyped>, TaskError> {
    let spec = Spec::from_value(value).map_err(|error| value_error(&error.to_string()))?;
    Ok(spec.into())
}

fn value_error(text: &str) -> TaskError {
    Failure::new(Exception::new("ValueError", "builtins", text)).into()
}

#[shared_task(name = "rs.canvas.add")]
pub(super) fn add(x: i64, y: i64) -> i64 {
    x + y
}

#[shared_task(name = "rs.canvas.mul")]
pub(super) async fn mul(x: i64, y: i64) -> i64 {
    x * y
}

#[shared_task(name = "rs.canvas.echo")]
pub(super) fn echo(value: Option<Value>) -> Option<Value> {
    value
}

#[shared_task(name = "rs.canvas.total")]
pub(super) async fn total(numbers: Vec<i64>) -> i64 {
    numbers.iter().sum()
}

#[shared_task(name = "rs.canvas.fail")]
pub(super) fn fail(text: String) -> Result<(), TaskError> {
    Err(value_error(&text))
}

/// Fails though it was given a result.
#[shared_task(name = "rs.canvas.fail_with")]
pub(super) async fn fail_with(value: Value, text: String) -> Result<(), TaskError> {
    Err(value_error(&format!("{text} {}", python(&value))))
}

/// As Python writes numbers and lists of them.
fn python(value: &Value) -> String {
    value.to_string().replace(',', ", ")
}

/// A callback that gets the result.
#[shared_task(name = "rs.canvas.tell_of")]
pub(super) async fn tell_of(value: Value, case: String, #[state] space: Space) -> Value {
    tell(&space, &case, &python(&value)).await;
    value
}

/// An error callback of the old kind: it gets the id.
#[shared_task(name = "rs.canvas.errback")]
pub(super) async fn errback(task_id: String, case: String, #[state] space: Space) {
    tell(&space, &case, &format!("failed {task_id}")).await;
}

/// An error callback of the new kind: the worker calls it itself.
#[shared_task(name = "rs.canvas.errback_in_place")]
pub(super) async fn errback_in_place(
    request: Value,
    exc: Value,
    _traceback: Value,
    case: String,
    #[state] space: Space,
) {
    let exception = Exception::from_value(&exc);
    let what = exception.exc_message.first().and_then(Value::as_str).unwrap_or_default();
    let id = request["id"].as_str().unwrap_or_default();
    tell(&space, &case, &format!("in place {id} {what}")).await;
}

#[shared_task(name = "rs.canvas.family", bind)]
pub(super) fn family(task: &Context, _before: Option<Value>) -> Value {
    let headers = &task.request().headers;
    json!([headers.root_id, headers.parent_id, headers.group, headers.group_index])
}

#[shared_task(name = "rs.canvas.priority", bind)]
pub(super) fn priority(task: &Context, _before: Option<Value>) -> Option<i64> {
    task.request().priority
}

#[shared_task(name = "rs.canvas.stamps", bind)]
pub(super) fn stamps(task: &Context, _before: Option<Value>) -> Value {
    let headers = &task.request().headers;
    json!([headers.stamped_headers, headers.stamps])
}

#[shared_task(name = "rs.canvas.replace", bind)]
pub(super) fn replace(task: &Context, by: Value) -> Result<Value, TaskError> {
    Err(task.replace(signature(by)?).into())
}

/// Gives what came before it to what replaces it.
#[shared_task(name = "rs.canvas.replace_with", bind)]
pub(super) fn replace_with(task: &Context, value: Value, by: Value) -> Result<Value, TaskError> {
    let by = Spec::from_value(by).map_err(|error| value_error(&error.to_string()))?;
    Err(task.replace(Signature::from(by.with_result(value))).into())
}

#[shared_task(name = "rs.canvas.grow", bind)]
pub(super) async fn grow(task: &Context, part: Value) -> Result<i64, TaskError> {
    task.add_to_chord(signature(part)?).await?;
    Ok(0)
}

/// Calls something, whose result is a child of this.
#[shared_task(name = "rs.canvas.start")]
pub(super) async fn start(what: Value) -> Result<AsyncResult<Value>, TaskError> {
    Ok(signature(what)?.apply_async().await?)
}

/// Takes a result, as either side writes it, and waits for its value.
#[shared_task(name = "rs.canvas.value_of")]
pub(super) async fn value_of(result: AsyncResult<Value>) -> Result<Value, TaskError> {
    Ok(result.get().await?)
}
