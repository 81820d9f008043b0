//! What follows a task: callbacks and the rest of a chain upon success, error callbacks upon failure.

use std::{error::Error as StdError, mem, sync::Arc};

use crate::{
    app::{Celery, send::Outgoing},
    canvas::plan::{Call, Plan, replace},
    clock,
    context::Context,
    error::Error,
    exception::Exception,
    protocol::TaskMessage,
    signature::{Kind, Spec},
    value::{Map, Value},
};

/// What is to be sent, and the results that it will have.
#[derive(Debug, Default)]
pub(super) struct Follows {
    /// In this order.
    pub(super) calls: Vec<Prepared>,
    /// Their results, as result tuples.
    pub(super) children: Vec<Value>,
    /// Why the chain does not go on, although it should.
    pub(super) broken: Option<Exception>,
}

/// A signature that is ready to be sent.
#[derive(Debug)]
pub(super) struct Prepared {
    /// What is planned, but for the tasks: what has to be begun before anything is published.
    pub(super) plan: Plan,
    /// The messages.
    pub(super) outgoing: Vec<Outgoing>,
    /// Whether it is the next step of the chain.
    pub(super) goes_on: bool,
    /// Under which the messages are published once, whoever does it.
    pub(super) name: Option<String>,
}

/// The callbacks and the next step of the chain, with the result of the task. Asked for again, they have the same ids.
pub(super) fn after_success(app: &Celery, context: &Context, result: &Value) -> Follows {
    let embed = &context.request().embed;
    let mut follows = Follows::default();
    let callbacks = read(context, embed.callbacks.as_deref().unwrap_or_default());
    follows.send_all(app, context, callbacks, result);
    if let Some((next, rest)) = embed.chain.as_deref().and_then(<[Value]>::split_last) {
        let callbacks = follows.calls.len();
        for step in read(context, std::slice::from_ref(next)) {
            let mut call = with(result);
            call.options.chain = Some(rest.to_vec());
            follows.send(app, context, "succeeded", step, call);
        }
        match &mut follows.calls[callbacks..] {
            [step, ..] => step.goes_on = true,
            [] => {
                let reason =
                    "the next step of the chain could not be sent; the log of the worker says why";
                follows.broken = Some(broken(reason));
            }
        }
    }
    follows
}

/// As [`after_success`], of a task that was run before and has these children: nothing, where whoever ran it has published what
/// follows before it stored them, as Celery does.
pub(super) fn again(
    app: &Celery,
    context: &Context,
    result: &Value,
    children: &[Value],
) -> Follows {
    let follows = after_success(app, context, result);
    if children.is_empty() || children.ends_with(&follows.children) {
        follows
    } else {
        Follows::default()
    }
}

/// Error callbacks, as a group, with the id of the task.
pub(super) fn after_failure(app: &Celery, context: &Context, errbacks: Vec<Spec>) -> Follows {
    let mut follows = Follows::default();
    if !errbacks.is_empty() {
        let id = Value::from(context.id());
        follows.send(app, context, "failed", group(errbacks), with(&id));
    }
    follows
}

/// The body of the chord of that group, with the results of its header. Asked for again, it has the same ids.
///
/// # Errors
/// [`Error::Call`] when it cannot be called.
pub(super) fn body(
    app: &Celery,
    context: &Context,
    group: &str,
    body: Spec,
    results: &Value,
) -> Result<Prepared, Error> {
    let name = format!("{group} joined");
    let call = Call { seed: Some(name.clone()), ..with(results) };
    let mut prepared = prepare(app, context, body, call)?;
    prepared.name = Some(name);
    Ok(prepared)
}

/// What stands in for the task, with its id, and what follows it. Asked for again, it has the same ids.
///
/// # Errors
/// [`Error::Call`] when the signature cannot stand in for a task.
pub(super) fn replacement(
    app: &Celery,
    context: &Context,
    signature: Value,
) -> Result<Prepared, Error> {
    let message = context.request();
    let (headers, embed) = (&message.headers, &message.embed);
    let spec = Spec::from_value(signature).map_err(|error| Error::Call(error.to_string()))?;
    let replaced = replace::Replaced {
        id: message.id.clone(),
        root_id: headers.root_id.clone(),
        group_id: headers.group.clone(),
        group_index: headers.group_index,
        chord: embed.chord.clone().map(Arc::new),
        chain: embed.chain.clone(),
        callbacks: read(context, embed.callbacks.as_deref().unwrap_or_default()),
        errbacks: read(context, embed.errbacks.as_deref().unwrap_or_default()),
        nesting: headers.replaced_task_nesting,
        errors_of_header: app.config().task.allow_error_cb_on_chord_header,
    };
    let (spec, options) = replace::replacement(spec, replaced)?;
    let seed = Some(format!("{} replaced: {}", message.id, headers.replaced_task_nesting));
    prepare(app, context, spec, Call { options, seed, ..Call::default() })
}

/// The steps of the chain that come after the task, the last one first: their ids, and what is known of them.
pub(super) fn rest_of_chain(message: &TaskMessage) -> Vec<Spec> {
    let steps = message.embed.chain.as_deref().unwrap_or_default().iter();
    steps.filter_map(|step| Spec::from_value(step.clone()).ok()).collect()
}

/// The failure of steps that are never reached.
pub(super) fn broken(reason: impl Into<String>) -> Exception {
    Exception::new("InvalidTaskError", "celery.exceptions", reason.into())
}

impl Follows {
    /// Whether there is anything to be done.
    pub(super) fn is_something(&self) -> bool {
        !self.calls.is_empty() || self.broken.is_some()
    }

    /// One is sent as it is; of several each group as it is, and the others as one group.
    fn send_all(&mut self, app: &Celery, context: &Context, mut specs: Vec<Spec>, result: &Value) {
        if specs.len() > 1 {
            let (mut groups, others): (Vec<_>, Vec<_>) =
                specs.into_iter().partition(|spec| matches!(spec.kind, Kind::Group(_)));
            if !others.is_empty() {
                groups.push(group(others));
            }
            specs = groups;
        }
        for spec in specs {
            self.send(app, context, "succeeded", spec, with(result));
        }
    }

    /// Logs what cannot be sent. The ids are made of the task's own, and of what became of it.
    fn send(&mut self, app: &Celery, context: &Context, after: &str, spec: Spec, mut call: Call) {
        let task = spec.task.clone();
        call.seed = Some(format!("{} {after}: {}", context.id(), self.calls.len()));
        match prepare(app, context, spec, call) {
            Ok(prepared) => {
                self.children.push(prepared.plan.result.origin().to_value());
                self.calls.push(prepared);
            }
            Err(error) => tracing::error!(
                id = context.id(),
                task,
                error = &error as &dyn StdError,
                "could not send what follows the task"
            ),
        }
    }
}

/// All that is sent for a signature.
pub(super) fn prepare(
    app: &Celery,
    context: &Context,
    spec: Spec,
    call: Call,
) -> Result<Prepared, Error> {
    let mut plan = app.plan(spec, call)?;
    let prepare = |task| app.prepare(task, Some(context), clock::now());
    let outgoing = mem::take(&mut plan.tasks).into_iter().map(prepare).collect::<Result<_, _>>()?;
    Ok(Prepared { plan, outgoing, goes_on: false, name: None })
}

fn with(result: &Value) -> Call {
    Call { args: vec![result.clone()], ..Call::default() }
}

fn group(members: Vec<Spec>) -> Spec {
    Spec { kind: Kind::Group(members), ..Spec::new("celery.group", Vec::new(), Map::new()) }
}

/// The signatures, without those that cannot be read, which are told of.
pub(super) fn read(context: &Context, values: &[Value]) -> Vec<Spec> {
    let mut specs = Vec::new();
    for value in values {
        match Spec::from_value(value.clone()) {
            Ok(spec) => specs.push(spec),
            Err(error) => {
                tracing::error!(id = context.id(), %error, "what follows the task cannot be read");
            }
        }
    }
    specs
}
