//! What is given to a signature of any kind: a result, and the error callbacks of a chord.

use crate::{
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

/// Calls that signature when the body of a chord has failed, or its header.
pub(super) fn link_error_to_body(body: &mut Spec, errback: &Spec) {
    match &mut body.kind {
        Kind::Group(members) if body.options.link_error.is_empty() => {
            members.iter_mut().for_each(|member| link_error_to_body(member, errback));
        }
        // A chain or a chord has it itself, where it is found when the header fails.
        _ => add(&mut body.options.link_error, errback),
    }
}
