//! Giving ids: what Celery calls to freeze a signature.

use std::{mem, sync::Arc};

use super::{Planner, empty_chain, members, steps::expand};
use crate::{
    error::Error,
    signature::{CallOptions, Kind, Spec},
    tree::ResultTree,
    value::Value,
};

/// How many of the steps of a chain its result has for parents, at most: each is written within the one that follows it, and
/// Python reads no more than about twice as many.
const PARENTS: usize = 250;

/// What a signature is given, as far as it does not have it.
#[derive(Clone, Debug, Default)]
pub(super) struct Frozen {
    /// The id of its last task.
    pub(super) id: Option<String>,
    /// The group of which its last task is a part.
    pub(super) group_id: Option<String>,
    /// The place of that there.
    pub(super) index: Option<i64>,
    /// The body of the chord of which its last task is a part, in place of what it has.
    pub(super) chord: Option<Arc<Value>>,
    /// The root of the tree of tasks, in place of what it has.
    pub(super) root_id: Option<String>,
}

/// In which order groups within a group are taken out of it. Both are Celery's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// As they are, each member with its place in the innermost group: a group that is called.
    AsWritten,
    /// The members of an inner group from behind, each with its place in the whole: a header, and a group in a chain.
    InnerReversed,
}

impl Planner {
    /// Gives a signature, and all in it, the ids that it lacks, and says what its results will be.
    pub(super) fn freeze(&mut self, spec: &mut Spec, part: Frozen) -> Result<ResultTree, Error> {
        match &spec.kind {
            Kind::Task => Ok(ResultTree::task(self.freeze_task(&mut spec.options, part))),
            Kind::Chain(_) => {
                let part = of_last(&spec.options, part);
                let mut steps = self.steps(members(spec))?;
                let result = self.freeze_steps(&mut steps, part)?;
                spec.options.task_id = Some(result.id.clone());
                spec.kind = Kind::Chain(steps);
                Ok(result)
            }
            Kind::Group(_) => self.freeze_group(spec, part),
            Kind::Chord(_) => self.freeze_chord(spec, part),
        }
    }

    fn freeze_task(&mut self, options: &mut CallOptions, part: Frozen) -> String {
        let ids = &mut self.ids;
        let new = || part.id.unwrap_or_else(|| ids.next());
        let id = options.task_id.get_or_insert_with(new).clone();
        options.reply_to.get_or_insert_with(|| self.reply_to.clone());
        if !options.knows_its_group() {
            options.group_id = part.group_id;
        }
        options.group_index = part.index.or(options.group_index);
        put(&mut options.chord, part.chord);
        put(&mut options.root_id, part.root_id);
        id
    }

    /// The steps of a chain: the last one is the part of whatever the chain is a part of.
    pub(super) fn freeze_steps(
        &mut self,
        steps: &mut [Spec],
        mut part: Frozen,
    ) -> Result<ResultTree, Error> {
        let count = steps.len();
        let mut result: Option<ResultTree> = None;
        for (place, step) in steps.iter_mut().enumerate() {
            let part = match place + 1 == count {
                true => mem::take(&mut part),
                false => Frozen { root_id: part.root_id.clone(), ..Frozen::default() },
            };
            let next = self.freeze(step, part)?;
            result = Some(match result {
                Some(before) if count - place <= PARENTS => next.after(before),
                _ => next,
            });
        }
        result.ok_or_else(empty_chain)
    }

    fn freeze_group(&mut self, spec: &mut Spec, part: Frozen) -> Result<ResultTree, Error> {
        let part = of_last(&spec.options, part);
        let options = &mut spec.options;
        let ids = &mut self.ids;
        let new = || part.id.clone().unwrap_or_else(|| ids.next());
        let id = options.task_id.get_or_insert_with(new).clone();
        options.group_id.clone_from(&part.group_id);
        options.group_index = part.index;
        options.chord.clone_from(&part.chord);
        let root_id = options.root_id.clone().or(part.root_id);
        let part = Frozen { id: None, root_id, ..part };
        let (members, results) = self.freeze_members(members(spec), Order::InnerReversed, &part)?;
        spec.kind = Kind::Group(members);
        Ok(ResultTree::group(id, results))
    }

    /// The members of a group, without groups in it.
    pub(super) fn freeze_members(
        &mut self,
        members: Vec<Spec>,
        order: Order,
        part: &Frozen,
    ) -> Result<(Vec<Spec>, Vec<ResultTree>), Error> {
        let mut flat = flatten(members, order);
        let mut results = Vec::with_capacity(flat.len());
        for (index, member) in &mut flat {
            let index = Some(*index);
            results.push(self.freeze(member, Frozen { index, ..part.clone() })?);
        }
        Ok((flat.into_iter().map(|(_, member)| member).collect(), results))
    }

    fn freeze_chord(&mut self, spec: &mut Spec, part: Frozen) -> Result<ResultTree, Error> {
        let part = of_last(&spec.options, part);
        let Kind::Chord(chord) = &mut spec.kind else { return Err(empty_chain()) };
        let Some(body) = &mut chord.body else { return Err(super::chord::no_body()) };
        expand(body);
        let header = chord.header_group.get_or_insert_default();
        // What a chord has for an id is the id of its header, once it is frozen.
        let is_frozen = header.task_id.is_some() || body.options.task_id.is_some();
        let named = spec.options.task_id.take();
        let (header_id, body_id) = if is_frozen { (named, None) } else { (None, named) };
        let ids = &mut self.ids;
        let new = || header_id.unwrap_or_else(|| ids.next());
        let group_id = header.task_id.get_or_insert_with(new).clone();
        spec.options.task_id = Some(group_id.clone());
        let of_header = Frozen { root_id: part.root_id.clone(), ..Frozen::default() };
        let (members, results) =
            self.freeze_members(mem::take(&mut chord.header), Order::InnerReversed, &of_header)?;
        chord.header = members;
        let result = self.freeze(body, Frozen { id: body_id.or(part.id), ..part })?;
        Ok(result.after(ResultTree::group(group_id, results)))
    }
}

/// What the last task of a signature of several is given: what the signature itself says, and else what is said to it.
fn of_last(options: &CallOptions, part: Frozen) -> Frozen {
    let group_id = match options.knows_its_group() {
        true => options.group_id.clone(),
        false => part.group_id,
    };
    Frozen {
        group_id,
        index: part.index.or(options.group_index),
        chord: part.chord.or_else(|| options.chord.clone()),
        ..part
    }
}

fn put<T>(own: &mut Option<T>, given: Option<T>) {
    if given.is_some() {
        *own = given;
    }
}

/// The members of a group with their places, without groups in it, and without what is nothing.
fn flatten(members: Vec<Spec>, order: Order) -> Vec<(i64, Spec)> {
    let mut flat = Vec::with_capacity(members.len());
    // What is to come, the next one last.
    let mut pending: Vec<(usize, Spec)> = members.into_iter().enumerate().rev().collect();
    while let Some((place, mut member)) = pending.pop() {
        expand(&mut member);
        let place = match order {
            Order::AsWritten => place,
            Order::InnerReversed => flat.len(),
        };
        match &member.kind {
            Kind::Group(_) => {
                let inner = inner_members(member).into_iter().enumerate();
                match order {
                    Order::AsWritten => pending.extend(inner.rev()),
                    Order::InnerReversed => pending.extend(inner),
                }
            }
            Kind::Chain(steps) if steps.iter().all(is_no_step) => {}
            _ => flat.push((i64::try_from(place).unwrap_or(i64::MAX), member)),
        }
    }
    flat
}

/// The members of a group that is in a group, with what was said to it.
fn inner_members(mut group: Spec) -> Vec<Spec> {
    let mut members = members(&mut group);
    let options = CallOptions {
        task_id: None,
        group_id: None,
        group_index: None,
        chord: None,
        chain: None,
        ..group.options.without_nulls()
    };
    if options != CallOptions::default() {
        members.iter_mut().for_each(|member| member.options.overlay(&options));
    }
    members
}

/// Whether a step of a chain is a chain without any.
fn is_no_step(step: &Spec) -> bool {
    matches!(&step.kind, Kind::Chain(steps) if steps.iter().all(is_no_step))
}
