//! What stands in for a task that replaces itself.

use std::sync::Arc;

use super::steps::{expand, is_nothing, joined};
use crate::{
    canvas::compose::{link, link_error},
    error::Error,
    signature::{CallOptions, Kind, Spec},
    value::{Map, Value},
};

/// The task that is replaced, and what follows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replaced {
    pub(crate) id: String,
    pub(crate) root_id: Option<String>,
    pub(crate) group_id: Option<String>,
    pub(crate) group_index: Option<i64>,
    pub(crate) chord: Option<Arc<Value>>,
    /// The rest of its chain, the next step last.
    pub(crate) chain: Option<Vec<Value>>,
    pub(crate) callbacks: Vec<Spec>,
    pub(crate) errbacks: Vec<Spec>,
    /// How often it was replaced before.
    pub(crate) nesting: u32,
    /// As in a [`Call`](super::Call).
    pub(crate) errors_of_header: bool,
}

/// The signature that stands in for a task, with all that follows the task, and the options to call it with.
///
/// Its last task has the id of the task: who waits for that gets its result.
///
/// # Errors
/// [`Error::Call`] when it cannot stand in for a task.
pub(crate) fn replacement(mut spec: Spec, task: Replaced) -> Result<(Spec, CallOptions), Error> {
    if spec.options.chord.is_some() {
        return Err(Error::Call(
            "a signature that replaces a task must not be part of a chord itself".to_owned(),
        ));
    }
    expand(&mut spec);
    if matches!(spec.kind, Kind::Chain(_)) && is_nothing(&spec) {
        return Err(Error::Call("a task cannot be replaced by a chain without tasks".to_owned()));
    }
    let mut spec = ending_in_one(spec);
    for callback in task.callbacks {
        link(&mut spec, callback)?;
    }
    for errback in &task.errbacks {
        link_error(&mut spec, errback, task.errors_of_header);
    }
    let nesting = task.nesting.saturating_add(1);
    if let Kind::Chain(steps) = &mut spec.kind {
        for step in steps {
            step.options.replaced_task_nesting = Some(nesting);
        }
    }
    let chain = task.chain.map(|steps| {
        let nested = |mut step: Value| {
            if let Some(Value::Object(options)) = step.get_mut("options") {
                options.insert("replaced_task_nesting".to_owned(), nesting.into());
            }
            step
        };
        steps.into_iter().map(nested).collect()
    });
    let mut options = CallOptions {
        task_id: Some(task.id),
        root_id: task.root_id,
        group_id: task.group_id,
        group_index: task.group_index,
        chord: task.chord,
        chain,
        replaced_task_nesting: Some(nesting),
        ..CallOptions::default()
    };
    if options.group_id.is_none() {
        // It is in no group, rather than in that of whatever header it comes after.
        options.extra.insert("group_id".to_owned(), Value::Null);
    }
    Ok((spec, options))
}

/// Has it end in one task, which can have the id: the results of a group are collected by a task more.
fn ending_in_one(mut spec: Spec) -> Spec {
    match &mut spec.kind {
        Kind::Task => spec,
        Kind::Group(_) => joined(spec, accumulate()),
        Kind::Chain(steps) => {
            while steps.len() > 1 && steps.last().is_some_and(is_nothing) {
                steps.pop();
            }
            if let Some(last) = steps.pop() {
                steps.push(ending_in_one(last));
            }
            spec
        }
        Kind::Chord(chord) => {
            chord.body = chord.body.take().map(ending_in_one);
            spec
        }
    }
}

/// The task that returns the list that it is given.
fn accumulate() -> Spec {
    let kwargs = Map::from_iter([("index".to_owned(), Value::from(0))]);
    Spec::new("celery.accumulate", Vec::new(), kwargs)
}
