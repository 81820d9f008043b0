//! `celery.chord_unlock`: looks again and again whether the header of a chord is done, and completes the chord then.
//!
//! Clients send it where their backend does not count parts. What completes the chord is left to the worker, as for one that is
//! counted.

use super::{bind, raised, take};
use crate::{
    arguments::Parameter,
    backend::{Callback, Counted, Joined},
    context::{Context, Join},
    error::Error,
    exception::Exception,
    options::Options,
    repr,
    state::TaskMeta,
    task::{Failure, Retry, TaskError, When},
    tree::ResultTree,
    value::Value,
};

pub(super) const OPTIONS: Options = Options::new().unlimited_retries(true).ignore_result(true);

const PARAMETERS: &[Parameter] = &[
    Parameter::required("group_id"),
    Parameter::required("callback"),
    Parameter::optional("interval"),
    Parameter::optional("max_retries"),
    Parameter::optional("result"),
];

pub(super) async fn unlock(task: Context) -> Result<Value, TaskError> {
    let request = task.request();
    // Whatever else there is says how it is sent.
    let known = |name: &str| PARAMETERS.iter().any(|parameter| parameter.name == name);
    let others: Vec<_> =
        request.kwargs.keys().map(String::as_str).filter(|name| !known(name)).collect();
    let mut bound = bind("unlock_chord", PARAMETERS, &task, &others)?;
    let (group_id, body) = (take::<String>(&mut bound, 0)?, take::<Value>(&mut bound, 1)?);
    let interval = take::<Option<f64>>(&mut bound, 2)?;
    let max_retries = take::<Option<u32>>(&mut bound, 3)?;
    let header = take::<Option<Vec<Value>>>(&mut bound, 4)?.unwrap_or_default();
    let header = header.iter().map(ResultTree::from_value).collect::<Result<Vec<_>, _>>()?;
    let nests = header.iter().any(|member| member.members.is_some());
    let header = ResultTree::group(group_id.as_str(), header);
    let config = task.app().config();
    let callback = Callback {
        body,
        root_id: Some(request.headers.root_id.as_ref().unwrap_or(&request.id).clone()),
        parent_id: Some(request.id.clone()),
        priority: request.priority.filter(|_| config.task.inherit_parent_priority),
    };
    let mut joined = Joined {
        group_id,
        token: String::new(),
        parts: Vec::new(),
        header: nests.then(|| header.clone()),
        callback,
    };
    let cause = match parts(&task, &header).await {
        Ok(Some(parts)) => {
            joined.parts = parts;
            task.leave(Join { joined, fault: None });
            return Ok(Value::Null);
        }
        Ok(None) => None,
        Err(error) => match TaskError::from(error) {
            TaskError::Failed(failure) => Some(*failure),
            _ => None,
        },
    };
    if max_retries.is_some_and(|most| request.headers.retries >= most) {
        // Nobody will look again.
        let failure = cause.unwrap_or_else(|| exhausted(&task));
        let why = format!("chord_unlock could not be retried: {}", failure.exception.repr());
        let fault = Some(Exception::new("ChordError", "celery.exceptions", why));
        task.leave(Join { joined, fault });
        return Err(failure.into());
    }
    let wait = interval.map_or(When::In(config.result.chord_retry_interval), When::in_seconds);
    Err(Retry { when: Some(wait), cause, ..Retry::default() }.into())
}

/// What the members of the header ended with, once all have ended.
async fn parts(task: &Context, header: &ResultTree) -> Result<Option<Vec<Counted>>, Error> {
    let backend = task.app().backend().await?;
    let mut parts = Vec::new();
    for id in header.leaves() {
        match backend.get(id).await? {
            Some(TaskMeta { task_id, state, result, .. }) if state.is_ready() => {
                parts.push(Counted { task_id, state, result });
            }
            _ => return Ok(None),
        }
    }
    Ok(Some(parts))
}

fn exhausted(task: &Context) -> Failure {
    let request = task.request();
    let limits = repr::Limits::default();
    let why = format!(
        "Can't retry {}[{}] args:{} kwargs:{}",
        request.task,
        request.id,
        repr::args(&request.args, &limits),
        repr::kwargs(&request.kwargs, &limits)
    );
    raised("MaxRetriesExceededError", "celery.exceptions", &why)
}
