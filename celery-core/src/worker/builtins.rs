//! The tasks that every worker has: Celery's own, which the canvas is made with.
//!
//! They are registered as those of users are, and are shown only to who asks for them. A message for `celery.map` or
//! `celery.starmap` is everyday; the others come from older clients, and from those whose backend does not count the parts of
//! chords.

mod map;
mod unlock;

use inventory::submit;
use serde_json::json;

use crate::{
    arguments::{Bound, Parameter},
    context::Context,
    exception::Exception,
    macro_support::{take, type_error},
    options::Options,
    registry::{Body, Registration},
    signature::Spec,
    task::{Failure, TaskError},
    transport::BoxFuture,
    value::{Map, Value},
};

/// How one of them is run.
type Run = fn(Context) -> BoxFuture<'static, Result<Value, TaskError>>;

const fn builtin(name: &'static str, options: Options, run: Run) -> Registration {
    Registration {
        name,
        module: "celery",
        options,
        parameters: &[],
        states: &[],
        body: Body::Own(run),
        app: None,
    }
}

submit! { builtin("celery.accumulate", Options::new(), |task| Box::pin(accumulate(task))) }
submit! { builtin("celery.backend_cleanup", Options::new(), |task| Box::pin(clean_up(task))) }
submit! { builtin("celery.chain", Options::new(), |_| Box::pin(chain())) }
submit! { builtin("celery.chord", Options::new().ignore_result(false), |task| Box::pin(chord(task))) }
submit! { builtin("celery.chord_unlock", unlock::OPTIONS, |task| Box::pin(unlock::unlock(task))) }
submit! { builtin("celery.chunks", Options::new(), |task| Box::pin(chunks(task))) }
submit! { builtin("celery.group", Options::new(), |task| Box::pin(group(task))) }
submit! { builtin("celery.map", Options::new(), |task| Box::pin(map::map(task))) }
submit! { builtin("celery.starmap", Options::new(), |task| Box::pin(map::starmap(task))) }

/// Returns what it was given, or one of it: what takes the place of a task that is replaced by a group ends with this.
async fn accumulate(task: Context) -> Result<Value, TaskError> {
    let args = &task.request().args;
    let Some(index) = task.request().kwargs.get("index").filter(|index| !index.is_null()) else {
        return Ok(Value::Array(args.clone()));
    };
    let index = index.as_i64().ok_or_else(|| {
        raised("TypeError", "builtins", "tuple indices must be integers or slices")
    })?;
    // As Python counts: from behind, where it is negative.
    let from_behind =
        || usize::try_from(index.unsigned_abs()).ok().and_then(|back| args.len().checked_sub(back));
    let index = usize::try_from(index).ok().or_else(from_behind);
    let found = index.and_then(|index| args.get(index)).cloned();
    found.ok_or_else(|| raised("IndexError", "builtins", "tuple index out of range").into())
}

async fn clean_up(task: Context) -> Result<Value, TaskError> {
    task.app().backend().await?.clean_up().await?;
    Ok(Value::Null)
}

async fn chain() -> Result<Value, TaskError> {
    Err(raised("NotImplementedError", "builtins", "chain is not a real task").into())
}

async fn chunks(task: Context) -> Result<Value, TaskError> {
    const PARAMETERS: &[Parameter] =
        &[Parameter::required("task"), Parameter::required("it"), Parameter::required("n")];
    let mut bound = bind("chunks", PARAMETERS, &task, &[])?;
    let mut kwargs = Map::new();
    for (index, parameter) in PARAMETERS.iter().enumerate() {
        kwargs.insert(parameter.name.to_owned(), take(&mut bound, index)?);
    }
    send(&task, Spec::new("celery.chunks", Vec::new(), kwargs)).await
}

/// Sends the members of a group whose result the caller has made already.
async fn group(task: Context) -> Result<Value, TaskError> {
    const PARAMETERS: &[Parameter] = &[
        Parameter::required("tasks"),
        Parameter::required("result"),
        Parameter::required("group_id"),
        Parameter::required("partial_args"),
        Parameter::optional("add_to_parent"),
    ];
    let mut bound = bind("group", PARAMETERS, &task, &[])?;
    let (tasks, result) = (take::<Vec<Value>>(&mut bound, 0)?, take::<Value>(&mut bound, 1)?);
    let (group_id, args) = (take::<String>(&mut bound, 2)?, take::<Vec<Value>>(&mut bound, 3)?);
    for member in tasks {
        let mut member = args.iter().rev().cloned().fold(read(member)?, Spec::with_result);
        member.options.group_id = Some(group_id.clone());
        task.app().apply(member).await?;
    }
    Ok(result)
}

async fn chord(task: Context) -> Result<Value, TaskError> {
    const PARAMETERS: &[Parameter] = &[
        Parameter::required("header"),
        Parameter::required("body"),
        Parameter::optional("partial_args"),
    ];
    // Those that say how a header is polled are of no use to who counts.
    const IGNORED: &[&str] = &["interval", "countdown", "max_retries", "eager"];
    let mut bound = bind("chord", PARAMETERS, &task, IGNORED)?;
    let (header, body) = (take::<Value>(&mut bound, 0)?, take::<Value>(&mut bound, 1)?);
    let args = take::<Option<Vec<Value>>>(&mut bound, 2)?.unwrap_or_default();
    let chord = read(json!({
        "task": "celery.chord",
        "args": args,
        "kwargs": { "header": header, "body": body },
        "subtask_type": "chord",
    }))?;
    send(&task, chord).await
}

/// Sends a signature from within the task, and returns its result tuple.
async fn send(task: &Context, spec: Spec) -> Result<Value, TaskError> {
    Ok(task.app().apply(spec).await?.to_value())
}

/// Binds the arguments of the request, but for those keyword arguments that are of no use here.
fn bind(
    function: &'static str,
    parameters: &'static [Parameter],
    task: &Context,
    ignored: &[&str],
) -> Result<Bound, TaskError> {
    let (args, mut kwargs) = (task.request().args.clone(), task.request().kwargs.clone());
    kwargs.retain(|name, _| !ignored.contains(&name.as_str()));
    Bound::bind(function, parameters, args, kwargs).map_err(|error| type_error(&error).into())
}

/// Reads a signature that is an argument.
fn read(signature: Value) -> Result<Spec, TaskError> {
    if let Value::String(name) = signature {
        return Ok(Spec::new(name, Vec::new(), Map::new()));
    }
    Ok(Spec::from_value(signature)?)
}

/// A failure as Python would name it.
fn raised(exc_type: &str, module: &str, message: &str) -> Failure {
    Failure::new(Exception::new(exc_type, module, message))
}
