//! A chain as it is sent: flat, and with what cannot be followed made into what can.

use std::mem;

use super::{
    Planner, empty_chain,
    links::{link_error_to_step, take},
    members,
};
use crate::{
    canvas::compose::{link, link_error, make_immutable},
    error::Error,
    signature::{CallOptions, Chord, Kind, Spec, add},
    value::{Map, Value},
};

/// What Celery calls the tasks of which it makes a group.
pub(super) const CHUNKS: &str = "celery.chunks";

impl Planner {
    /// The steps of a chain, with all that was said to the chain said to them.
    pub(super) fn unchain(&self, mut chain: Spec) -> Result<Vec<Spec>, Error> {
        let mut steps = self.steps(members(&mut chain))?;
        let Some(last) = steps.last_mut() else { return Err(empty_chain()) };
        for callback in &chain.options.link {
            add(&mut last.options.link, callback);
        }
        for errback in &chain.options.link_error {
            let of_header = self.errors_of_header;
            steps.iter_mut().for_each(|step| link_error_to_step(step, errback, of_header));
        }
        if let Some(first) = steps.first_mut() {
            to_first(&mut chain, first);
        }
        Ok(steps)
    }

    /// Makes a list of steps flat: chains in it are spliced, empty groups left out, a group of one is its member, a group that is
    /// followed becomes a chord with that as its body, and a chord whose body is a chain goes on with the rest of that.
    ///
    /// An empty group stays where there is nothing else.
    pub(super) fn steps(&self, mut pending: Vec<Spec>) -> Result<Vec<Spec>, Error> {
        // From behind, so that what follows is known.
        let mut steps: Vec<Spec> = Vec::with_capacity(pending.len());
        let mut empty = None;
        while let Some(mut step) = pending.pop() {
            expand(&mut step);
            match &mut step.kind {
                Kind::Chain(_) => pending.append(&mut self.spliced(step)?),
                Kind::Group(members) if members.is_empty() => empty = Some(step),
                Kind::Group(members) if is_of_one(members) => pending.append(members),
                Kind::Group(_) => {
                    let step = match steps.pop() {
                        Some(next) => joined(step, next),
                        None => step,
                    };
                    steps.push(step);
                }
                Kind::Chord(chord) => {
                    if let Some(rest) = self.goes_on(chord)? {
                        pending.push(step);
                        pending.extend(rest);
                        continue;
                    }
                    match &mut chord.body {
                        // Nothing follows a group but by a chord.
                        Some(body) if matches!(body.kind, Kind::Group(_)) && !steps.is_empty() => {
                            let group = mem::replace(body, Spec::new("", Vec::new(), Map::new()));
                            if let Some(next) = steps.pop() {
                                *body = joined(group, next);
                            }
                        }
                        _ => {}
                    }
                    steps.push(step);
                }
                Kind::Task => steps.push(step),
            }
        }
        if steps.is_empty() {
            steps.extend(empty);
        }
        steps.reverse();
        Ok(steps)
    }

    /// The steps of a chain within a chain. What was said to it is said to them.
    fn spliced(&self, mut chain: Spec) -> Result<Vec<Spec>, Error> {
        let mut steps = members(&mut chain);
        steps.retain(|step| !is_nothing(step));
        for errback in &chain.options.link_error {
            steps.iter_mut().for_each(|step| link_error(step, errback, self.errors_of_header));
        }
        let Some(last) = steps.last_mut() else { return Ok(steps) };
        for callback in chain.options.link.drain(..) {
            link(last, callback)?;
        }
        if last.options.task_id.is_none() && !matches!(last.kind, Kind::Group(_) | Kind::Chord(_)) {
            last.options.task_id = chain.options.task_id.take();
        }
        if let Some(first) = steps.first_mut() {
            to_first(&mut chain, first);
        }
        Ok(steps)
    }

    /// What comes after the first step of the body of a chord, where that is a chain: each member of the header carries the
    /// body, and would carry all of it.
    fn goes_on(&self, chord: &mut Chord) -> Result<Option<Vec<Spec>>, Error> {
        let Some(body) = chord.body.as_mut().filter(|body| matches!(body.kind, Kind::Chain(_)))
        else {
            return Ok(None);
        };
        let chain = mem::replace(body, Spec::new("", Vec::new(), Map::new()));
        let mut steps = self.unchain(chain)?.into_iter();
        chord.body = steps.next();
        Ok(Some(steps.collect()))
    }
}

/// Says to the first step of a chain what was said to the chain, but for what is the last one's.
fn to_first(chain: &mut Spec, first: &mut Spec) {
    if chain.immutable {
        make_immutable(first);
    }
    take(first, &mem::take(&mut chain.args), &mem::take(&mut chain.kwargs));
    let options = CallOptions {
        task_id: None,
        group_id: None,
        group_index: None,
        chord: None,
        link: Vec::new(),
        link_error: Vec::new(),
        ..mem::take(&mut chain.options)
    };
    first.options.overlay(&options.without_nulls());
}

/// A group that is followed, as a chord.
pub(super) fn joined(mut group: Spec, body: Spec) -> Spec {
    let header = members(&mut group);
    let options = group.options;
    let header_group = (options != CallOptions::default()).then_some(options);
    let chord = Chord { header, header_group, body: Some(body), kwargs: Map::new() };
    Spec {
        kind: Kind::Chord(Box::new(chord)),
        immutable: group.immutable,
        ..Spec::new("celery.chord", Vec::new(), Map::new())
    }
}

/// Makes chunks the group that they are sent as.
pub(super) fn expand(spec: &mut Spec) {
    if !matches!(spec.kind, Kind::Task) || spec.task != CHUNKS {
        return;
    }
    let (Some(Value::Array(items)), Some(task), Some(size)) =
        (spec.kwargs.get("it"), spec.kwargs.get("task"), spec.kwargs.get("n"))
    else {
        return;
    };
    let Some(size) = size.as_u64().and_then(|size| usize::try_from(size).ok()).filter(|&n| n > 0)
    else {
        return;
    };
    let part = |items: &[Value]| {
        let kwargs = [("task".to_owned(), task.clone()), ("it".to_owned(), items.into())];
        Spec { immutable: true, ..Spec::new("celery.starmap", Vec::new(), Map::from_iter(kwargs)) }
    };
    let parts = items.chunks(size).map(part).collect();
    *spec = Spec {
        kind: Kind::Group(parts),
        options: mem::take(&mut spec.options),
        immutable: true,
        ..Spec::new("celery.group", Vec::new(), Map::new())
    };
}

/// Whether a group is replaced by its member within a chain, as Celery does. One whose types this program knows is not:
/// what follows takes a list, and there must be one however many members there happen to be.
fn is_of_one(members: &[Spec]) -> bool {
    matches!(members, [one] if !is_typed(one))
}

fn is_typed(spec: &Spec) -> bool {
    match &spec.kind {
        Kind::Task => spec.task_parameters.is_some(),
        Kind::Chain(members) | Kind::Group(members) => members.last().is_some_and(is_typed),
        Kind::Chord(chord) => chord.body.as_ref().is_some_and(is_typed),
    }
}

/// Whether nothing is sent for it.
pub(super) fn is_nothing(spec: &Spec) -> bool {
    match &spec.kind {
        Kind::Chain(members) | Kind::Group(members) => members.iter().all(is_nothing),
        Kind::Task | Kind::Chord(_) => false,
    }
}
