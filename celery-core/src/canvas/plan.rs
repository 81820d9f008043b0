//! From a signature of any kind to the tasks that are sent for it.
//!
//! What Celery does by objects that call each other is done here in three steps: [`steps`] makes a chain flat, [`freeze`] gives ids
//! to what is sent later, and the planner lists what is sent now. A signature that has its ids keeps them, so that to plan it
//! again is to plan the same.

pub(crate) mod chord;
mod freeze;
mod group;
mod ids;
mod links;
pub(crate) mod replace;
mod steps;

#[cfg(test)]
mod tests;

use std::{mem, sync::Arc};

use self::{freeze::Frozen, ids::Ids};
use crate::{
    backend::NewJoin,
    error::Error,
    signature::{CallOptions, Kind, Spec},
    tree::ResultTree,
    value::{Map, Value},
};

/// How a signature is called.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    /// Put in front of the arguments of what takes a result: of a task, of the first step of a chain, of each member of a group.
    pub(crate) args: Vec<Value>,
    /// Keyword arguments for the same.
    pub(crate) kwargs: Map,
    /// The options of this call, over those that the signature has. An id is that of the last task. `chain` is what comes
    /// after it, the next step last. A group, its index and a chord are those of which the last task is a part.
    pub(crate) options: CallOptions,
    /// The name under which this process is answered, which goes into what is sent later.
    pub(crate) reply_to: String,
    /// Of which the ids are made that are missing: the same of the same, so that to plan again is to plan the same. Without it
    /// they are random.
    pub(crate) seed: Option<String>,
    /// Whether the error callback of a chord is one of each of its header, too (`task_allow_error_cb_on_chord_header`).
    pub(crate) errors_of_header: bool,
}

/// What is to be done for a signature.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The joins to be begun before anything is sent.
    pub(crate) joins: Vec<NewJoin>,
    /// What is sent when they are complete, for each of them.
    pub(crate) bodies: Vec<Arc<Value>>,
    /// The tasks to be sent, in this order, with their ids and all that follows them.
    pub(crate) tasks: Vec<Spec>,
    /// The results that there will be.
    pub(crate) result: ResultTree,
}

/// Decides what is sent for the signature.
///
/// # Errors
/// [`Error::Call`] when it cannot be called.
pub(crate) fn plan(mut spec: Spec, call: Call) -> Result<Plan, Error> {
    steps::expand(&mut spec);
    links::take(&mut spec, &call.args, &call.kwargs);
    let mut planner = Planner::new(call.reply_to, call.seed.as_deref(), call.errors_of_header);
    let result = planner.call(spec, &call.options)?;
    let Planner { joins, bodies, tasks, .. } = planner;
    Ok(Plan { joins, bodies, tasks, result })
}

/// Whether a signature is sent as one task and nothing else.
pub(crate) fn is_one_task(spec: &Spec) -> bool {
    matches!(spec.kind, Kind::Task) && spec.task != steps::CHUNKS
}

/// Collects what is sent.
struct Planner {
    ids: Ids,
    reply_to: String,
    errors_of_header: bool,
    joins: Vec<NewJoin>,
    bodies: Vec<Arc<Value>>,
    tasks: Vec<Spec>,
}

impl Planner {
    fn new(reply_to: String, seed: Option<&str>, errors_of_header: bool) -> Self {
        let ids = Ids::new(seed);
        let (joins, bodies, tasks) = (Vec::new(), Vec::new(), Vec::new());
        Self { ids, reply_to, errors_of_header, joins, bodies, tasks }
    }

    /// Sends a signature of whatever kind.
    fn call(&mut self, mut spec: Spec, over: &CallOptions) -> Result<ResultTree, Error> {
        match spec.kind {
            Kind::Task => {
                spec.options.overlay(over);
                let ids = &mut self.ids;
                let id = spec.options.task_id.get_or_insert_with(|| ids.next()).clone();
                self.tasks.push(spec);
                Ok(ResultTree::task(id))
            }
            Kind::Chain(_) => self.chain(spec, over),
            Kind::Group(_) => self.group(spec, over),
            Kind::Chord(_) => self.chord(spec, over),
        }
    }

    /// Sends the first step of a chain, which has the others with it.
    fn chain(&mut self, mut spec: Spec, over: &CallOptions) -> Result<ResultTree, Error> {
        spec.options.overlay(over);
        let part = Frozen {
            id: spec.options.task_id.take(),
            group_id: spec.options.group_id.take(),
            chord: spec.options.chord.take(),
            index: spec.options.group_index.take(),
            root_id: spec.options.root_id.clone(),
        };
        let after = spec.options.chain.take();
        // For one step it is its own, and otherwise the last one's.
        let in_no_group = spec.options.extra.shift_remove("group_id");
        let mut steps = self.unchain(spec)?;
        if let (Some(null), Some(last)) = (in_no_group, steps.last_mut()) {
            last.options.extra.entry("group_id").or_insert(null);
        }
        let result = self.freeze_steps(&mut steps, part)?;
        let rest = steps.split_off(1);
        let Some(mut first) = steps.pop() else { return Err(empty_chain()) };
        let mut chain = after.unwrap_or_default();
        chain.append(&mut first.options.chain.take().unwrap_or_default());
        chain.extend(rest.iter().rev().map(Spec::to_value));
        first.options.chain = Some(chain);
        self.call(first, &CallOptions::default())?;
        Ok(result)
    }
}

fn empty_chain() -> Error {
    Error::Call("a chain without tasks cannot be called: put at least one into it".to_owned())
}

/// The members of a group or a chain.
fn members(spec: &mut Spec) -> Vec<Spec> {
    match &mut spec.kind {
        Kind::Chain(members) | Kind::Group(members) => mem::take(members),
        Kind::Task | Kind::Chord(_) => Vec::new(),
    }
}
