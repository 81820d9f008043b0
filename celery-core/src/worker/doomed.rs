//! Tasks that will not be run, since something before them failed: who waits for one is told of the failure, and where one is
//! a part of a chord it is counted.

use std::sync::Arc;

use crate::{
    protocol::{Embed, TaskHeaders, TaskMessage},
    signature::{Chord, Kind, Spec},
    value::Value,
};

/// A task that will not be run.
#[derive(Clone, Debug)]
pub(super) struct Doomed {
    /// What is known of it, in the form of the message that it would have been.
    pub(super) message: TaskMessage,
    /// Whether it is the member of a group.
    pub(super) in_group: bool,
    /// Whether its error callbacks are called: a chain has the same ones at each of its steps.
    pub(super) tells: bool,
}

/// All tasks that a signature stands for, those that have no ids left out: nobody can wait for them.
pub(super) fn all(spec: Spec) -> Vec<Doomed> {
    let mut doomed = Vec::new();
    add(spec, Place { tells: true, ..Place::default() }, &mut doomed);
    doomed
}

/// The same of steps behind the one that failed, whose error callbacks are called.
pub(super) fn behind(steps: Vec<Spec>) -> Vec<Doomed> {
    let mut doomed = Vec::new();
    for step in steps {
        add(step, Place::default(), &mut doomed);
    }
    doomed
}

/// What a signature has of the one that it is in.
#[derive(Clone, Debug, Default)]
struct Place {
    chord: Option<Arc<Value>>,
    group_id: Option<String>,
    group_index: Option<i64>,
    errbacks: Vec<Value>,
    in_group: bool,
    tells: bool,
}

fn add(spec: Spec, outer: Place, doomed: &mut Vec<Doomed>) {
    let Spec { task, args, kwargs, options, kind, .. } = spec;
    let mut errbacks: Vec<_> = options.link_error.iter().map(Spec::to_value).collect();
    for errback in outer.errbacks {
        if !errbacks.contains(&errback) {
            errbacks.push(errback);
        }
    }
    let behind = options.chain.unwrap_or_default();
    let tells = outer.tells;
    // One that is no part itself stands for the part that it is in.
    let stands_for = options.chord.is_none() && outer.chord.is_some();
    let (first, second) = match stands_for {
        true => (outer.group_id, options.group_id),
        false => (options.group_id, outer.group_id),
    };
    let place = Place {
        chord: options.chord.or(outer.chord),
        group_id: first.or(second),
        group_index: match stands_for {
            true => outer.group_index.or(options.group_index),
            false => options.group_index,
        },
        errbacks,
        in_group: outer.in_group,
        tells,
    };
    match kind {
        Kind::Task => {
            let Some(id) = options.task_id else { return };
            let headers = TaskHeaders {
                group: place.group_id,
                group_index: place.group_index,
                ..TaskHeaders::default()
            };
            let embed = Embed {
                errbacks: Some(place.errbacks),
                chord: place.chord.map(Arc::unwrap_or_clone),
                ..Embed::default()
            };
            let message =
                TaskMessage { id, task, args, kwargs, headers, embed, ..Default::default() };
            doomed.push(Doomed { message, in_group: place.in_group, tells });
        }
        Kind::Group(members) => {
            // Its index is that of the whole.
            let place = Place { in_group: true, group_index: None, ..place };
            members.into_iter().for_each(|member| add(member, place.clone(), doomed));
        }
        // All that is waited for is its body.
        Kind::Chord(chord) => {
            let Chord { body, .. } = *chord;
            if let Some(body) = body {
                add(body, place, doomed);
            }
        }
        Kind::Chain(steps) => {
            let last = steps.len().saturating_sub(1);
            for (number, step) in steps.into_iter().enumerate().rev() {
                let mut place = place.clone();
                place.tells = tells && number == 0;
                if number < last {
                    // The last one alone stands for the whole.
                    place = Place { chord: None, group_id: None, group_index: None, ..place };
                }
                add(step, place, doomed);
            }
        }
    }
    for step in behind.into_iter().filter_map(|step| Spec::from_value(step).ok()) {
        add(step, Place::default(), doomed);
    }
}
