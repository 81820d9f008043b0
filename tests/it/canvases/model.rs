//! What a canvas comes to, by Celery's rules: an evaluator of signatures that knows no messages, ids, joins or workers.

use celery::core::signature::{Kind, Spec};
use serde_json::{Map, Value, json};

/// The value of a canvas that is called with no argument.
pub(crate) fn value_of(spec: &Spec) -> Value {
    match &spec.kind {
        Kind::Group(_) => {
            let members = in_order(spec);
            let mut values = self::members(&members, None);
            match members.as_slice() {
                // The group is the result of its only member, if that is one of a group.
                [member] if is_list(member) => values.remove(0),
                _ => Value::Array(values),
            }
        }
        _ => eval(spec, None),
    }
}

/// Whether what it comes to is the results of a group.
pub(crate) fn is_list(spec: &Spec) -> bool {
    match &spec.kind {
        Kind::Task => false,
        Kind::Chain(steps) => spliced(steps).last().is_some_and(|last| is_list(last)),
        Kind::Group(_) => true,
        Kind::Chord(chord) => chord.body.as_ref().is_some_and(is_list),
    }
}

fn eval(spec: &Spec, input: Option<&Value>) -> Value {
    match &spec.kind {
        Kind::Task => {
            let result = input.filter(|_| !spec.immutable).into_iter();
            run(&spec.task, result.chain(&spec.args).cloned().collect(), &spec.kwargs)
        }
        Kind::Chain(steps) => chain(&spliced(steps), input),
        Kind::Group(_) => Value::Array(members(&frozen(spec), input)),
        Kind::Chord(chord) => {
            let header: Vec<&Spec> = chord.header.iter().collect();
            let results = Value::Array(members(&unnested(header), input));
            eval(chord.body.as_ref().expect("a chord of these tests has a body"), Some(&results))
        }
    }
}

/// Whether Celery comes to an end with it. It does not where the header of a chord has the results of a group in it, which its
/// worker may not wait for, nor where a group has no members but through others that have none.
pub(crate) fn ends_in_celery(spec: &Spec) -> bool {
    let waits =
        |members: &[Spec]| unnested(members.iter().collect()).iter().any(|member| is_list(member));
    match &spec.kind {
        Kind::Task => true,
        Kind::Chain(steps) => {
            let groups = spliced(steps).iter().rev().skip(1).all(|step| match &step.kind {
                Kind::Group(members) => !waits(members),
                _ => true,
            });
            groups && steps.iter().all(ends_in_celery)
        }
        Kind::Group(members) => members
            .iter()
            .all(|member| ends_in_celery(member) && !(is_list(member) && is_empty(member))),
        Kind::Chord(chord) => {
            !waits(&chord.header) && chord.header.iter().chain(&chord.body).all(ends_in_celery)
        }
    }
}

pub(crate) fn has_empty_chain(spec: &Spec) -> bool {
    match &spec.kind {
        Kind::Task => false,
        Kind::Chain(steps) => steps.is_empty() || steps.iter().any(has_empty_chain),
        Kind::Group(members) => members.iter().any(has_empty_chain),
        Kind::Chord(chord) => chord.header.iter().chain(&chord.body).any(has_empty_chain),
    }
}

/// Whether there is no task in it.
fn is_empty(spec: &Spec) -> bool {
    match &spec.kind {
        Kind::Task | Kind::Chord(_) => false,
        Kind::Chain(members) | Kind::Group(members) => members.iter().all(is_empty),
    }
}

/// One after the other: what follows a group gets the list of its results.
fn chain(steps: &[&Spec], input: Option<&Value>) -> Value {
    let mut value = input.cloned();
    for step in steps {
        value = Some(eval(step, value.as_ref()));
    }
    value.expect("a chain has a step")
}

/// Side by side.
fn members(specs: &[&Spec], input: Option<&Value>) -> Vec<Value> {
    specs.iter().map(|spec| eval(spec, input)).collect()
}

/// The steps of a chain: those of chains in it are steps of its own, a group of one is its member, and an empty one is none.
fn spliced(steps: &[Spec]) -> Vec<&Spec> {
    let mut flat: Vec<&Spec> = Vec::new();
    for step in steps {
        let step = alone(step);
        match &step.kind {
            Kind::Chain(inner) => flat.extend(spliced(inner)),
            _ => flat.push(step),
        }
    }
    let empty = |step: &Spec| matches!(&step.kind, Kind::Group(members) if members.is_empty());
    if flat.iter().all(|step| empty(step)) {
        flat.truncate(1);
    } else {
        flat.retain(|step| !empty(step));
    }
    flat
}

fn alone(step: &Spec) -> &Spec {
    match &step.kind {
        Kind::Group(members) => match members.as_slice() {
            [member] => member,
            _ => step,
        },
        _ => step,
    }
}

/// The members of a group that is called by itself: those of a group in it are its own.
fn in_order(group: &Spec) -> Vec<&Spec> {
    let Kind::Group(members) = &group.kind else { return vec![group] };
    members.iter().flat_map(in_order).filter(|member| !is_empty_chain(member)).collect()
}

/// The same for one that is part of something.
fn frozen(group: &Spec) -> Vec<&Spec> {
    let Kind::Group(members) = &group.kind else { return vec![group] };
    unnested(members.iter().collect())
}

/// Celery takes the members of a group in a group from its end.
fn unnested(members: Vec<&Spec>) -> Vec<&Spec> {
    let mut waiting: Vec<&Spec> = members.into_iter().rev().collect();
    let mut flat = Vec::new();
    while let Some(next) = waiting.pop() {
        match &next.kind {
            Kind::Group(inner) => waiting.extend(inner),
            _ if is_empty_chain(next) => {}
            _ => flat.push(next),
        }
    }
    flat
}

fn is_empty_chain(spec: &Spec) -> bool {
    matches!(&spec.kind, Kind::Chain(steps) if steps.is_empty())
}

/// What the tasks return.
fn run(task: &str, args: Vec<Value>, kwargs: &Map<String, Value>) -> Value {
    let mut args = args.into_iter();
    let first = args.next().unwrap_or_default();
    match task {
        "canvases.tag" => super::tagged(&first, &args.next().unwrap_or_default()),
        "canvases.total" => {
            super::total(&first, args.next().and_then(|more| more.as_i64()).unwrap_or_default())
                .into()
        }
        "celery.accumulate" => {
            json!([first])[kwargs["index"].as_u64().expect("an index") as usize].clone()
        }
        "celery.map" | "celery.starmap" => {
            let inner = Spec::from_value(kwargs["task"].clone()).expect("a signature");
            let calls =
                kwargs["it"].as_array().expect("a list").iter().map(|arguments| match task {
                    "celery.map" => vec![arguments.clone()],
                    _ => arguments.as_array().expect("a tuple").clone(),
                });
            calls.map(|arguments| run(&inner.task, arguments, &Map::new())).collect()
        }
        other => panic!("no task of the model: {other}"),
    }
}
