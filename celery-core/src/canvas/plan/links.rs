//! What is given to a signature of any kind: a result, and the error callbacks of a chord.

use crate::{
    canvas::compose::{link_error, make_immutable},
    signature::{Kind, Spec, add},
    value::{Map, Value},
};

/// Puts a result in front of the arguments of what takes one.
pub(super) fn take(spec: &mut Spec, args: &[Value], kwargs: &Map) {
    if spec.immutable || args.is_empty() && kwargs.is_empty() {
        return;
    }
    let merge = |own: &mut Map| {
        own.extend(kwargs.iter().map(|(key, value)| (key.clone(), value.clone())));
    };
    match &mut spec.kind {
        Kind::Group(members) => members.iter_mut().for_each(|member| take(member, args, kwargs)),
        Kind::Task | Kind::Chain(_) => {
            spec.args.splice(0..0, args.iter().cloned());
            merge(&mut spec.kwargs);
        }
        Kind::Chord(chord) => {
            spec.args.splice(0..0, args.iter().cloned());
            merge(&mut chord.kwargs);
        }
    }
}

/// Calls that signature when a step of a chain has failed: where `of_header`, when any of the header of a chord has, too.
pub(super) fn link_error_to_step(step: &mut Spec, errback: &Spec, of_header: bool) {
    match &mut step.kind {
        Kind::Chord(chord) => {
            if of_header {
                let mut errback = errback.clone();
                make_immutable(&mut errback);
                chord.header.iter_mut().for_each(|it| link_error(it, &errback, of_header));
            }
            chord.body.iter_mut().for_each(|body| link_error(body, errback, of_header));
        }
        _ => link_error(step, errback, of_header),
    }
}

/// Calls that signature when the body of a chord has failed, or its header: where that is found which the header calls when
/// it fails.
pub(super) fn link_error_to_body(body: &mut Spec, errback: &Spec) {
    match &mut body.kind {
        Kind::Group(_) => link_error_to_members(body, errback),
        _ => add(&mut body.options.link_error, errback),
    }
}

fn link_error_to_members(spec: &mut Spec, errback: &Spec) {
    match &mut spec.kind {
        Kind::Group(members) if spec.options.link_error.is_empty() => {
            members.iter_mut().for_each(|member| link_error_to_members(member, errback));
        }
        Kind::Chord(chord) => {
            chord.body.iter_mut().for_each(|body| link_error_to_members(body, errback));
        }
        _ => add(&mut spec.options.link_error, errback),
    }
}
