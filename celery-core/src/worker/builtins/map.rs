//! `celery.map` and `celery.starmap`: one task for each of a list, one after the other, in one run.

use super::{bind, raised, read, take};
use crate::{
    arguments::{Bound, Parameter},
    context::Context,
    macro_support::type_error,
    protocol::TaskMessage,
    registry::{Body, Registration},
    task::TaskError,
    value::{Map, Value},
    worker::{execute::run_blocking, verdict::Outcome},
};

const PARAMETERS: &[Parameter] = &[Parameter::required("task"), Parameter::required("it")];

/// Calls the task with each item, and returns the list of results.
pub(super) async fn map(task: Context) -> Result<Value, TaskError> {
    let (inner, items) = given("xmap", &task)?;
    each(&task, &inner, items.into_iter().map(|item| vec![item])).await
}

/// Calls the task with the items of each item, and returns the list of results.
pub(super) async fn starmap(task: Context) -> Result<Value, TaskError> {
    let (inner, items) = given("xstarmap", &task)?;
    let unpack = |item: Value| match item {
        Value::Array(args) => Ok(args),
        _ => {
            let why = "each item of a starmap is a list of arguments, and one is none";
            Err(TaskError::from(raised("TypeError", "builtins", why)))
        }
    };
    let args = items.into_iter().map(unpack).collect::<Result<Vec<_>, _>>()?;
    each(&task, &inner, args.into_iter()).await
}

/// The task that is called, of which only the name counts, and with what.
fn given(function: &'static str, task: &Context) -> Result<(Registration, Vec<Value>), TaskError> {
    let mut bound = bind(function, PARAMETERS, task, &[])?;
    let name = read(take(&mut bound, 0)?)?.task;
    let items = take(&mut bound, 1)?;
    let inner = task.app().registry()?.get(&name).copied();
    let unknown = || TaskError::from(raised("NotRegistered", "celery.exceptions", &name));
    Ok((inner.ok_or_else(unknown)?, items))
}

async fn each(
    task: &Context,
    inner: &Registration,
    calls: impl Iterator<Item = Vec<Value>> + Send,
) -> Result<Value, TaskError> {
    let mut results = Vec::new();
    for args in calls {
        results.push(call(task, inner, args).await.map_err(as_called_directly)?);
    }
    Ok(Value::Array(results))
}

/// Runs the body of a task as a part of this run.
async fn call(task: &Context, inner: &Registration, args: Vec<Value>) -> Result<Value, TaskError> {
    let function = inner.name.rsplit('.').next().unwrap_or(inner.name);
    let bind = |args| {
        Bound::bind(function, inner.parameters, args, Map::new())
            .map_err(|error| TaskError::from(type_error(&error)))
    };
    match inner.body {
        Body::Async(body) => body(task.clone(), bind(args)?).await,
        Body::Blocking(body) => match run_blocking(body, task.clone(), bind(args)?, ()).await {
            Outcome::Returned(value) => Ok(value),
            Outcome::Error(error) => Err(error),
            Outcome::Cancelled(_) | Outcome::TimedOut(_) | Outcome::Terminated(_) => {
                Err(raised("RuntimeError", "builtins", "the worker stops").into())
            }
        },
        Body::Own(body) => {
            let request = TaskMessage { args, kwargs: Map::new(), ..task.request().clone() };
            body(Context::new(task.app().clone(), request, task.hostname())).await
        }
    }
}

/// What a task means by an error when it is no task of its own: it has no message to be published anew.
fn as_called_directly(error: TaskError) -> TaskError {
    match error {
        TaskError::Retry(retry) => match retry.cause {
            Some(cause) => cause.into(),
            None => raised("Retry", "celery.exceptions", "Task can be retried").into(),
        },
        TaskError::Replace(_) => {
            let why = "a task that is called by a map or a starmap cannot be replaced";
            raised("ImproperlyConfigured", "celery.exceptions", why).into()
        }
        other => other,
    }
}
