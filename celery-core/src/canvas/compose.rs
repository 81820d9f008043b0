//! How signatures become one: Celery's rules for `|`, for callbacks, and for what takes a result.

use crate::{
    error::Error,
    signature::{CallOptions, Chord, Kind, Spec},
    value::{Map, Value},
};

/// What becomes of a group that has one member or none, as the step of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lone {
    /// Celery's rule: it is its member, and no step at all without one.
    Unrolled,
    /// It stays a group, since its type promises a list to what follows.
    Kept,
}

/// `first | next`.
pub(crate) fn then(first: Spec, next: Spec, lone: Lone) -> Spec {
    match first.kind {
        Kind::Group(_) if lone == Lone::Unrolled && is_empty_group(&next) => first,
        Kind::Group(_) => chord(first, next),
        Kind::Chord(_) => after_chord(first, next, lone),
        Kind::Chain(_) => after_chain(unchain(first), next, lone),
        Kind::Task => match next.kind {
            Kind::Chain(_) => chain([first].into_iter().chain(unchain(next)).collect()),
            _ => chain(vec![first, unrolled(next, lone)]),
        },
    }
}

/// A chain of these steps, as they are.
pub(crate) fn chain(steps: Vec<Spec>) -> Spec {
    of_kind(Kind::Chain(steps))
}

/// A group of these members, as they are.
pub(crate) fn group(members: Vec<Spec>) -> Spec {
    of_kind(Kind::Group(members))
}

fn of_kind(kind: Kind) -> Spec {
    let name = kind.task().expect("a workflow has a name on the wire");
    Spec { kind, ..Spec::new(name, Vec::new(), Map::new()) }
}

/// The members of the group, and the body with their results.
fn chord(group: Spec, body: Spec) -> Spec {
    let Kind::Group(mut header) = group.kind else { unreachable!("only groups are headers") };
    // A header is written as a list, which has no place for what was said of the group.
    let CallOptions { task_id, .. } = &group.options;
    let header_group =
        task_id.clone().map(|id| CallOptions { task_id: Some(id), ..CallOptions::default() });
    let said = CallOptions { task_id: None, ..group.options };
    header.iter_mut().for_each(|member| member.options.update(said.clone()));
    of_kind(Kind::Chord(Box::new(Chord {
        header,
        header_group,
        body: Some(body),
        kwargs: Map::new(),
    })))
}

fn after_chord(mut first: Spec, next: Spec, lone: Lone) -> Spec {
    match next.kind {
        Kind::Task | Kind::Chord(_) => {
            into_body(&mut first, next, lone);
            first
        }
        Kind::Group(_) => match unrolled(next, lone) {
            group @ Spec { kind: Kind::Group(_), .. } => chain(vec![first, group]),
            member => after_chord(first, member, lone),
        },
        Kind::Chain(_) => chain([first].into_iter().chain(unchain(next)).collect()),
    }
}

/// Puts it behind the body of a chord.
fn into_body(first: &mut Spec, next: Spec, lone: Lone) {
    if let Kind::Chord(chord) = &mut first.kind {
        chord.body = Some(match chord.body.take() {
            Some(body) => then(body, next, lone),
            None => next,
        });
    }
}

fn after_chain(mut steps: Vec<Spec>, next: Spec, lone: Lone) -> Spec {
    if lone == Lone::Unrolled && is_empty_group(&next) {
        return chain(steps);
    }
    match unrolled(next, lone) {
        next @ Spec { kind: Kind::Chain(_), .. } => {
            // Step by step, since the first of them may make a chord of the last of ours.
            let mut whole = chain(steps);
            for step in unchain(next) {
                whole = then(whole, step, lone);
            }
            whole
        }
        next @ Spec { kind: Kind::Group(_), .. } => match steps.last_mut() {
            None => next,
            Some(last @ Spec { kind: Kind::Chord(_), .. }) => {
                into_body(last, next, lone);
                chain(steps)
            }
            // Celery leaves that to whoever sends it, who would unroll it if it had one member.
            Some(Spec { kind: Kind::Group(_), .. }) if lone == Lone::Kept => {
                joined(steps, next, lone)
            }
            Some(_) => {
                steps.push(next);
                chain(steps)
            }
        },
        next => match steps.last_mut() {
            Some(Spec { kind: Kind::Group(_), .. }) => joined(steps, next, lone),
            Some(last @ Spec { kind: Kind::Chord(_), .. })
                if !matches!(next.kind, Kind::Chord(_)) =>
            {
                into_body(last, next, lone);
                chain(steps)
            }
            _ => {
                steps.push(next);
                chain(steps)
            }
        },
    }
}

/// The chain whose last step is a group, which becomes the header of a chord.
fn joined(mut steps: Vec<Spec>, body: Spec, lone: Lone) -> Spec {
    let joined = steps.pop().map(|header| chord(header, body));
    match (steps.last_mut(), joined) {
        (Some(before @ Spec { kind: Kind::Chord(_), .. }), Some(joined)) => {
            into_body(before, joined, lone);
        }
        (_, joined) => steps.extend(joined),
    }
    chain(steps)
}

/// The steps of a chain, with what was said of it as a whole where it takes effect.
fn unchain(whole: Spec) -> Vec<Spec> {
    let Kind::Chain(mut steps) = whole.kind else { return vec![whole] };
    let CallOptions { link, link_error, task_id, .. } = &whole.options;
    if let Some(last) = steps.last_mut() {
        for callback in link {
            // A group that is empty has none to call it, and the chain neither.
            let _ = self::link(last, callback.clone());
        }
        last.options.task_id = task_id.clone().or(last.options.task_id.take());
    }
    for step in &mut steps {
        link_error.iter().for_each(|errback| self::link_error(step, errback, false));
    }
    if let Some(first) = steps.first_mut() {
        if whole.immutable {
            make_immutable(first);
        }
        let said = CallOptions {
            link: Vec::new(),
            link_error: Vec::new(),
            task_id: None,
            ..whole.options
        };
        first.options.update(said);
        whole.args.iter().rev().for_each(|argument| prepend(first, argument));
    }
    steps
}

fn is_empty_group(spec: &Spec) -> bool {
    matches!(&spec.kind, Kind::Group(members) if members.is_empty())
}

fn unrolled(spec: Spec, lone: Lone) -> Spec {
    match spec.kind {
        Kind::Group(mut members) if lone == Lone::Unrolled && members.len() == 1 => {
            let mut member = members.remove(0);
            member.options.update(spec.options);
            member
        }
        _ => spec,
    }
}

/// What ends in a group as the member of another: one task more, which returns the list of its results. Members of a group that
/// is one itself would become members of the other, and many a chord with groups in its header is never done in Celery.
pub(crate) fn nested(spec: Spec) -> Spec {
    match spec.kind {
        Kind::Task => spec,
        Kind::Group(_) => {
            let mut list = Spec::new("celery.accumulate", Vec::new(), Map::new());
            list.kwargs.insert("index".to_owned(), 0.into());
            chord(spec, list)
        }
        Kind::Chain(mut steps) => {
            let last = steps.pop().map(nested);
            steps.extend(last);
            Spec { kind: Kind::Chain(steps), ..spec }
        }
        Kind::Chord(mut chord) => {
            chord.body = chord.body.map(nested);
            Spec { kind: Kind::Chord(chord), ..spec }
        }
    }
}

/// Says that it takes no result: the first of a chain, and all that a group or a chord begins with.
pub(crate) fn make_immutable(spec: &mut Spec) {
    match begins_with(spec) {
        Some(first) => first.iter_mut().for_each(make_immutable),
        None => spec.immutable = true,
    }
}

/// Puts a value in front of the arguments of what takes a result.
pub(crate) fn prepend(spec: &mut Spec, argument: &Value) {
    if let Some(first) = begins_with(spec) {
        first.iter_mut().for_each(|it| prepend(it, argument));
    } else if !spec.immutable {
        spec.args.insert(0, argument.clone());
    }
}

/// The members of it that nothing goes before.
fn begins_with(spec: &mut Spec) -> Option<&mut [Spec]> {
    match &mut spec.kind {
        Kind::Task => None,
        Kind::Chain(steps) => Some(steps.first_mut().map_or(&mut [], std::slice::from_mut)),
        Kind::Group(members) => Some(members),
        Kind::Chord(chord) => Some(&mut chord.header),
    }
}

/// Whether its results are those of a group.
pub(crate) fn ends_in_group(spec: &Spec) -> bool {
    last_members(spec).is_some()
}

/// The members of the group that it ends in.
pub(crate) fn last_members(spec: &Spec) -> Option<&[Spec]> {
    match &spec.kind {
        Kind::Task => None,
        Kind::Group(members) => Some(members),
        Kind::Chain(steps) => last_members(steps.last()?),
        Kind::Chord(chord) => last_members(chord.body.as_ref()?),
    }
}

/// Links a callback: to a chain, which hands it to its last step, to the body of a chord, and to the first of a group, which then
/// hands it no result.
pub(crate) fn link(spec: &mut Spec, mut callback: Spec) -> Result<(), Error> {
    let next = match &mut spec.kind {
        Kind::Task | Kind::Chain(_) => {
            add(&mut spec.options.link, callback);
            return Ok(());
        }
        Kind::Chord(chord) => chord.body.as_mut(),
        Kind::Group(members) => {
            make_immutable(&mut callback);
            members.first_mut()
        }
    };
    match next {
        Some(next) => link(next, callback),
        None => Err(Error::Call(format!(
            "a {} without members has nothing to call {} after",
            spec.kind.name().unwrap_or("task"),
            callback.task
        ))),
    }
}

/// Links a callback to each member of the group that it ends in.
pub(crate) fn link_each(spec: &mut Spec, callback: &Spec) {
    match &mut spec.kind {
        Kind::Group(members) => members.iter_mut().for_each(|member| link_each(member, callback)),
        Kind::Chord(chord) => chord.body.iter_mut().for_each(|body| link_each(body, callback)),
        Kind::Chain(steps) if steps.last().is_some_and(ends_in_group) => {
            steps.last_mut().into_iter().for_each(|last| link_each(last, callback));
        }
        Kind::Chain(_) | Kind::Task => add(&mut spec.options.link, callback.clone()),
    }
}

/// Links an error callback: to each member of a group, and to the body of a chord. To what a chord begins with only if
/// `to_headers`, and then without the id of what failed.
pub(crate) fn link_error(spec: &mut Spec, errback: &Spec, to_headers: bool) {
    match &mut spec.kind {
        Kind::Task | Kind::Chain(_) => add(&mut spec.options.link_error, errback.clone()),
        Kind::Group(members) => {
            members.iter_mut().for_each(|member| link_error(member, errback, to_headers));
        }
        Kind::Chord(chord) => {
            for member in &mut chord.header {
                if to_headers {
                    let mut errback = errback.clone();
                    errback.immutable = true;
                    link_error(member, &errback, to_headers);
                }
                if matches!(member.kind, Kind::Chord(_)) {
                    link_error(member, errback, to_headers);
                }
            }
            chord.body.iter_mut().for_each(|body| link_error(body, errback, to_headers));
        }
    }
}

/// One more, unless it is there.
fn add(callbacks: &mut Vec<Spec>, callback: Spec) {
    if !callbacks.contains(&callback) {
        callbacks.push(callback);
    }
}

#[cfg(test)]
mod tests;
