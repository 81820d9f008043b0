//! What follows a task: callbacks and the rest of a chain upon success, error callbacks upon failure.

use std::collections::VecDeque;

use crate::{
    app::{
        Celery,
        send::{Outgoing, result_tuple},
    },
    clock,
    context::Context,
    exception::Exception,
    ids,
    protocol::TaskMessage,
    signature::{Kind, Spec},
    value::Value,
};

/// Messages to publish, and the results that they will have.
#[derive(Debug, Default)]
pub(super) struct Follows {
    /// The callbacks, and the next step of the chain as the last.
    pub(super) outgoing: Vec<Outgoing>,
    pub(super) children: Vec<Value>,
    /// Whether the last message is the next step of the chain.
    pub(super) goes_on: bool,
    /// Why the chain does not go on, although it should.
    pub(super) broken: Option<Exception>,
    /// The results that are known already, of which the next ones are made.
    known: VecDeque<Value>,
}

/// The callbacks and the next step of the chain, with the result of the task.
pub(super) fn after_success(app: &Celery, context: &Context, result: &Value) -> Follows {
    successors(app, context, result, VecDeque::new())
}

/// As [`after_success`], of a task that has these children already: what follows has the ids that it was to have.
pub(super) fn again(
    app: &Celery,
    context: &Context,
    result: &Value,
    children: &[Value],
) -> Follows {
    let follows = after_success(app, context, result);
    let first = children.len().checked_sub(follows.children.len());
    let known = first.map_or(&[][..], |first| &children[first..]);
    // The last children are those that follow, unless somebody else stored the result.
    let alike = |(a, b): (&Value, &Value)| members(a).map(Vec::len) == members(b).map(Vec::len);
    if known.is_empty() || !known.iter().zip(&follows.children).all(alike) {
        return follows;
    }
    successors(app, context, result, known.iter().cloned().collect())
}

fn successors(app: &Celery, context: &Context, result: &Value, known: VecDeque<Value>) -> Follows {
    let embed = &context.request().embed;
    let with_result = |spec: Spec| spec.with_result(result.clone());
    let mut follows = Follows { known, ..Follows::default() };
    let callbacks = read(context, embed.callbacks.as_deref().unwrap_or_default());
    follows.send_all(app, context, callbacks.into_iter().map(with_result).collect());
    if let Some((next, rest)) = embed.chain.as_deref().and_then(<[Value]>::split_last) {
        let sent = follows.outgoing.len();
        for mut step in read(context, std::slice::from_ref(next)) {
            step.options.chain = Some(rest.to_vec());
            follows.send(app, context, with_result(step));
        }
        follows.goes_on = follows.outgoing.len() > sent;
        if !follows.goes_on {
            let reason =
                "the next step of the chain could not be sent; the log of the worker says why";
            follows.broken = Some(broken(reason));
        }
    }
    if embed.chord.is_some() {
        tracing::error!(
            id = context.id(),
            "the task is part of a chord, which this version does not count: the chord's body will not be called"
        );
    }
    follows
}

/// The error callbacks, with the id of the task.
pub(super) fn after_failure(app: &Celery, context: &Context) -> Follows {
    let errbacks = read(context, context.request().embed.errbacks.as_deref().unwrap_or_default());
    let id = || Value::from(context.id());
    let mut follows = Follows::default();
    follows.send_group(
        app,
        context,
        errbacks.into_iter().map(|spec| spec.with_result(id())).collect(),
    );
    follows
}

/// The steps of the chain that come after the task, the last one first: their ids, and what is known of them.
pub(super) fn rest_of_chain(message: &TaskMessage) -> Vec<TaskMessage> {
    let steps = message.embed.chain.as_deref().unwrap_or_default().iter();
    let specs = steps.filter_map(|step| Spec::from_value(step.clone()).ok());
    let failed = specs.filter_map(|spec| {
        Some(TaskMessage { id: spec.options.task_id?, task: spec.task, ..TaskMessage::default() })
    });
    failed.collect()
}

/// The failure of steps that are never reached.
pub(super) fn broken(reason: impl Into<String>) -> Exception {
    Exception::new("InvalidTaskError", "celery.exceptions", reason.into())
}

impl Follows {
    /// Whether there is anything to be done.
    pub(super) fn is_something(&self) -> bool {
        !self.outgoing.is_empty() || self.broken.is_some()
    }

    /// One is sent as it is, several as a group.
    fn send_all(&mut self, app: &Celery, context: &Context, mut specs: Vec<Spec>) {
        match specs.len() {
            0 => {}
            1 => specs.drain(..).for_each(|spec| self.send(app, context, spec)),
            _ => self.send_group(app, context, specs),
        }
    }

    fn send_group(&mut self, app: &Celery, context: &Context, specs: Vec<Spec>) {
        if specs.is_empty() {
            return;
        }
        let known = self.known.pop_front();
        let group = known.as_ref().and_then(id).map(str::to_owned);
        let group = group.unwrap_or_else(|| ids::random().to_string());
        for member in known.as_ref().and_then(members).into_iter().flatten().rev() {
            self.known.push_front(member.clone());
        }
        let members = self.children.len();
        for (index, mut spec) in specs.into_iter().enumerate() {
            spec.options.group_id = Some(group.clone());
            spec.options.group_index = i64::try_from(index).ok();
            self.send(app, context, spec);
        }
        let members: Vec<_> = self.children.drain(members..).collect();
        self.children.push(serde_json::json!([[group, null], members]));
    }

    fn send(&mut self, app: &Celery, context: &Context, mut spec: Spec) {
        let task = spec.task.clone();
        if let Some(known) = self.known.pop_front().as_ref().and_then(id) {
            spec.options.task_id = Some(known.to_owned());
        }
        match app.prepare(spec, Some(context), clock::now()) {
            Ok(outgoing) => {
                self.children.push(result_tuple(&outgoing.message.id));
                self.outgoing.push(outgoing);
            }
            Err(error) => tracing::error!(
                id = context.id(),
                task,
                error = &error as &dyn std::error::Error,
                "could not send the task that follows"
            ),
        }
    }
}

/// The id in a result tuple.
fn id(tuple: &Value) -> Option<&str> {
    tuple.get(0)?.get(0)?.as_str()
}

/// The members of the group in a result tuple, if it is one.
fn members(tuple: &Value) -> Option<&Vec<Value>> {
    tuple.get(1)?.as_array()
}

/// The signatures, without those that cannot be read, which are told of.
fn read(context: &Context, values: &[Value]) -> Vec<Spec> {
    let mut specs = Vec::new();
    for value in values {
        match Spec::from_value(value.clone()) {
            Ok(spec) if matches!(spec.kind, Kind::Task) => specs.push(spec),
            Ok(spec) => tracing::error!(
                id = context.id(),
                kind = spec.kind.name(),
                "what follows the task is no single task, which this version does not send"
            ),
            Err(error) => {
                tracing::error!(id = context.id(), %error, "what follows the task cannot be read");
            }
        }
    }
    specs
}
