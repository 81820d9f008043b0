//! What is planned, by rule. What real Celery plans is in [`canvases`] and [`golden`].

mod canvases;
mod golden;

use serde_json::json;

use super::{
    replace::{Replaced, replacement},
    *,
};
use crate::signature::Chord;

/// A task by its name, with arguments.
fn task(name: &str, args: Value) -> Spec {
    let Value::Array(args) = args else { panic!("arguments are a list") };
    Spec::new(name, args, Map::new())
}

fn tasks(names: &str) -> Vec<Spec> {
    names.split(' ').map(|name| task(name, json!([]))).collect()
}

fn chain(steps: impl IntoIterator<Item = Spec>) -> Spec {
    let kind = Kind::Chain(steps.into_iter().collect());
    Spec { kind, ..Spec::new("celery.chain", Vec::new(), Map::new()) }
}

fn group(members: impl IntoIterator<Item = Spec>) -> Spec {
    let kind = Kind::Group(members.into_iter().collect());
    Spec { kind, ..Spec::new("celery.group", Vec::new(), Map::new()) }
}

fn chord(header: impl IntoIterator<Item = Spec>, body: Spec) -> Spec {
    let chord = Chord {
        header: header.into_iter().collect(),
        header_group: None,
        body: Some(body),
        kwargs: Map::new(),
    };
    let kind = Kind::Chord(Box::new(chord));
    Spec { kind, ..Spec::new("celery.chord", Vec::new(), Map::new()) }
}

fn planned(spec: Spec) -> Plan {
    plan(spec, Call::default()).unwrap()
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.tasks.iter().map(|task| task.task.as_str()).collect()
}

/// All that is planned, to be compared.
fn whole(plan: &Plan) -> Value {
    let tasks: Value = plan.tasks.iter().map(Spec::to_value).collect();
    let joins: Value = plan.joins.iter().map(|it| json!([it.group_id, it.size])).collect();
    json!([tasks, joins, plan.result.to_value()])
}

/// One of everything.
fn everything() -> Spec {
    let inner = chord(tasks("a b"), chain(tasks("c d")));
    let header = [inner, group(tasks("e f")), chain(tasks("g h"))];
    chain([task("first", json!([])), chord(header, group(tasks("i j"))), task("last", json!([]))])
}

#[test]
fn what_has_its_ids_is_planned_with_the_same_again() {
    let seeded = |seed: &str| {
        let call = Call { seed: Some(seed.to_owned()), ..Call::default() };
        plan(everything(), call).unwrap()
    };
    assert_eq!(whole(&seeded("x")), whole(&seeded("x")));
    assert_ne!(whole(&seeded("x")), whole(&seeded("y")));
    assert_ne!(whole(&planned(everything())), whole(&planned(everything())));

    // A worker reads the rest of the chain, and may do so again.
    let rest = planned(everything()).tasks.remove(0).options.chain.unwrap();
    let next = || planned(Spec::from_value(rest.last().unwrap().clone()).unwrap());
    assert_eq!(whole(&next()), whole(&next()));
    assert_eq!(names(&next()), ["a", "b", "f", "e", "g"]);
}

#[test]
fn ids_that_are_derived_are_ids() {
    let call = Call { seed: Some("x".to_owned()), ..Call::default() };
    let plan = plan(group(tasks("a a a a")), call).unwrap();
    let ids: std::collections::HashSet<_> = plan
        .tasks
        .iter()
        .map(|task| uuid::Uuid::try_parse(task.options.task_id.as_deref().unwrap()).unwrap())
        .collect();
    assert_eq!(ids.len(), 4);
    assert!(ids.iter().all(|id| id.get_version_num() == 5));
}

#[test]
fn the_members_of_a_header_share_the_body() {
    let plan = planned(chord((0..3).map(|x| task("a", json!([x]))), task("sum", json!([]))));
    let body = &plan.bodies[0];
    for member in &plan.tasks {
        assert!(Arc::ptr_eq(member.options.chord.as_ref().unwrap(), body));
    }
}

#[test]
fn what_a_call_adds_goes_to_what_begins() {
    let call = || Call {
        args: vec![7.into()],
        kwargs: Map::from_iter([("y".to_owned(), 8.into())]),
        ..Call::default()
    };
    let immutable = Spec { immutable: true, ..task("b", json!([1])) };
    let members =
        [task("a", json!([1])), immutable, chain([task("c", json!([])), task("d", json!([]))])];
    for spec in [
        group(members.clone()),
        chord(members.clone(), task("sum", json!([]))),
        chain([group(members)]),
    ] {
        let plan = plan(spec, call()).unwrap();
        let given: Vec<_> = plan.tasks.iter().map(|task| json!([task.args, task.kwargs])).collect();
        assert_eq!(given, [json!([[7, 1], {"y": 8}]), json!([[1], {}]), json!([[7], {"y": 8}])]);
        let rest = plan.tasks[2].options.chain.as_ref().unwrap();
        assert_eq!(rest[0]["args"], json!([]));
    }
}

#[test]
fn keyword_arguments_of_a_chord_are_those_of_its_header() {
    let mut spec = chord(tasks("a b"), task("sum", json!([])));
    if let Kind::Chord(chord) = &mut spec.kind {
        chord.kwargs.insert("y".to_owned(), 1.into());
    }
    let plan = planned(spec);
    assert!(plan.tasks.iter().all(|task| task.kwargs["y"] == 1));
    assert_eq!(plan.bodies[0]["kwargs"], json!({}));
}

#[test]
fn what_was_said_to_a_chain_within_a_chain_is_said_to_its_steps() {
    let mut inner = chain(tasks("b c"));
    inner.options.queue = Some("slow".to_owned());
    inner.options.link.push(task("done", json!([])));
    inner.options.link_error.push(task("failed", json!([])));
    inner.immutable = true;
    let plan = planned(chain([task("a", json!([])), inner, task("d", json!([]))]));
    let rest = plan.tasks[0].options.chain.as_ref().unwrap();
    let [_, c, b] = &rest[..] else { panic!("three are to come") };
    assert_eq!((&b["options"]["queue"], &c["options"]["queue"]), (&json!("slow"), &Value::Null));
    assert_eq!((&b["immutable"], &c["immutable"]), (&json!(true), &json!(false)));
    assert_eq!(c["options"]["link"][0]["task"], "done");
    for step in [b, c] {
        assert_eq!(step["options"]["link_error"][0]["task"], "failed");
    }
    assert!(plan.tasks[0].options.link_error.is_empty());
}

#[test]
fn a_group_that_a_chain_goes_on_after_is_joined_and_not_followed_by_each() {
    let rest = vec![task("sum", json!([])).to_value()];
    let options = CallOptions { chain: Some(rest), ..CallOptions::default() };
    let plan = plan(group(tasks("a b")), Call { options, ..Call::default() }).unwrap();
    assert_eq!((names(&plan), plan.joins[0].size), (vec!["a", "b"], 2));
    assert!(plan.tasks.iter().all(|task| task.options.chain.is_none()));
    assert_eq!(plan.bodies[0]["task"], "sum");

    // The body of a chord may be such a group.
    let plan = planned(chain([chord(tasks("a b"), group(tasks("c d"))), task("sum", json!([]))]));
    assert_eq!(plan.bodies[0]["task"], "celery.chord");
    assert_eq!(plan.bodies[0]["kwargs"]["body"]["task"], "sum");
}

#[test]
fn chunks_are_a_group_wherever_they_are() {
    let chunks = || {
        let kwargs =
            json!({ "task": task("a", json!([])).to_value(), "it": [[1], [2], [3]], "n": 2 });
        let Value::Object(kwargs) = kwargs else { unreachable!() };
        Spec { immutable: true, ..Spec::new("celery.chunks", Vec::new(), kwargs) }
    };
    let plan = planned(chain([chunks(), task("sum", json!([]))]));
    assert_eq!((names(&plan), plan.joins[0].size), (vec!["celery.starmap"; 2], 2));
    let plan = planned(chord([chunks(), task("b", json!([]))], chunks()));
    assert_eq!(plan.joins[0].size, 3);
    assert_eq!(plan.bodies[0]["task"], "celery.group");
    assert_eq!(planned(chunks()).result.members.unwrap().len(), 2);
}

#[test]
fn a_group_of_one_is_its_member_within_a_chain_unless_its_type_is_known() {
    let of_one = |member: Spec| {
        let steps = [task("a", json!([])), group([member]), task("sum", json!([]))];
        planned(chain(steps)).tasks.remove(0).options.chain.unwrap().remove(1)["task"].clone()
    };
    assert_eq!(of_one(task("b", json!([]))), "b");
    let typed = || Spec { task_parameters: Some(&[]), ..task("b", json!([])) };
    let plan = planned(chain([task("a", json!([])), group([typed()]), task("sum", json!([]))]));
    let rest = plan.tasks[0].options.chain.as_ref().unwrap();
    assert_eq!((rest.len(), &rest[0]["task"]), (1, &json!("celery.chord")));
}

#[test]
fn error_callbacks_reach_the_header_where_they_are_asked_for() {
    let call = |errors_of_header| {
        let mut spec = chain([chord(tasks("a b"), task("sum", json!([])))]);
        spec.options.link_error.push(task("failed", json!([])));
        plan(spec, Call { errors_of_header, ..Call::default() }).unwrap()
    };
    assert!(call(false).tasks.iter().all(|task| task.options.link_error.is_empty()));
    for plan in [call(false), call(true)] {
        assert_eq!(plan.bodies[0]["options"]["link_error"][0]["task"], "failed");
    }
    let plan = call(true);
    assert!(plan.tasks.iter().all(|task| task.options.link_error[0].immutable));
}

#[test]
fn what_nobody_could_complete_is_sent_at_once() {
    let empty = chord([chain([group([])])], task("sum", json!([1])));
    for spec in [chord([], task("sum", json!([1]))), empty] {
        let plan = planned(spec);
        assert!(plan.joins.is_empty());
        assert_eq!((names(&plan), &plan.tasks[0].args), (vec!["sum"], &vec![json!([]), json!(1)]));
    }
}

#[test]
fn what_cannot_be_called_is_refused_with_the_remedy() {
    let refused = |spec: Spec| plan(spec, Call::default()).unwrap_err().to_string();
    assert!(refused(chain([])).contains("put at least one into it"));
    let mut spec = chord(tasks("a"), task("sum", json!([])));
    if let Kind::Chord(chord) = &mut spec.kind {
        chord.body = None;
    }
    assert!(refused(spec).contains("without a body"));

    let stands_in = |spec: Spec| replacement(spec, Replaced::default()).unwrap_err().to_string();
    assert!(stands_in(chain([])).contains("chain without tasks"));
    let mut part = task("a", json!([]));
    part.options.chord = Some(Arc::new(json!({})));
    assert!(stands_in(part).contains("part of a chord"));
}

#[test]
fn what_replaces_a_task_ends_in_one_that_has_its_id() {
    let stands_in = |spec: Spec| {
        let task = Replaced {
            id: "replaced".to_owned(),
            group_id: Some("header".to_owned()),
            group_index: Some(3),
            chord: Some(Arc::new(json!({ "task": "body" }))),
            chain: Some(vec![task("next", json!([])).to_value()]),
            callbacks: tasks("done"),
            nesting: 1,
            ..Replaced::default()
        };
        let (spec, options) = replacement(spec, task).unwrap();
        plan(spec, Call { options, ..Call::default() }).unwrap()
    };
    let last = |task: &Value| {
        let options = &task["options"];
        assert_eq!(options["task_id"], "replaced");
        assert_eq!((&options["group_id"], &options["group_index"]), (&json!("header"), &json!(3)));
        assert_eq!(options["chord"]["task"], "body");
        assert_eq!(options["link"][0]["task"], "done");
        assert_eq!(options["replaced_task_nesting"], 2);
    };
    let goes_on = |chain: &Value| {
        assert_eq!(chain[0]["task"], "next");
        assert_eq!(chain[0]["options"]["replaced_task_nesting"], 2);
    };

    let plan = stands_in(task("a", json!([])));
    last(&plan.tasks[0].to_value());
    goes_on(&plan.tasks[0].to_value()["options"]["chain"]);

    let plan = stands_in(chain(tasks("a b")));
    let rest = Value::Array(plan.tasks[0].options.chain.clone().unwrap());
    goes_on(&rest);
    last(&rest[1]);
    assert_eq!(plan.tasks[0].options.replaced_task_nesting, Some(2));
    assert!(plan.tasks[0].options.group_id.is_none());

    for spec in [group(tasks("a b")), chord(tasks("a b"), group(tasks("c d")))] {
        let plan = stands_in(spec);
        let body = &*plan.bodies[0];
        let body = if body["task"] == "celery.chord" { &body["kwargs"]["body"] } else { body };
        assert_eq!(body["task"], "celery.accumulate");
        assert_eq!(body["options"]["task_id"], "replaced");
        assert_eq!(plan.tasks[0].options.group_id.as_ref(), Some(&plan.joins[0].group_id));
    }
}

#[test]
fn many_are_planned_in_time_that_grows_as_they_do() {
    const MANY: usize = 10_000;
    let many = || (0..MANY).map(|x| task("a", json!([x])));
    let steps = planned(chain(many()));
    assert_eq!(steps.tasks[0].options.chain.as_ref().unwrap().len(), MANY - 1);
    let mut parents = 0;
    let mut result = &steps.result;
    while let Some(parent) = &result.parent {
        (result, parents) = (parent, parents + 1);
    }
    assert_eq!(parents, 250);
    let joined = planned(chain([chord(many(), task("sum", json!([]))), task("b", json!([]))]));
    assert_eq!(joined.joins[0].size, MANY as u64);
    let nested = planned(chord([group(many()), chain(many())], group(many())));
    assert_eq!(nested.joins[0].size, MANY as u64 + 1);
}
