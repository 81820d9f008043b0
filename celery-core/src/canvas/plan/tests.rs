//! What is planned, by rule. The captures of real Celery are in the tests of the whole program.

mod golden;

use serde_json::json;

use super::*;
use crate::signature::Chord;

/// A task by its name, with arguments.
fn task(name: &str, args: Value) -> Spec {
    let Value::Array(args) = args else { panic!("arguments are a list") };
    Spec::new(name, args, Map::new())
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

#[test]
fn the_first_step_of_a_chain_has_the_others_with_it_the_next_one_last() {
    let plan = planned(chain([task("a", json!([1])), task("b", json!([])), task("c", json!([]))]));
    assert_eq!(names(&plan), ["a"]);
    let rest = plan.tasks[0].options.chain.as_ref().unwrap();
    assert_eq!(rest.iter().map(|step| &step["task"]).collect::<Vec<_>>(), ["c", "b"]);
    let ids: Vec<_> = rest.iter().map(|step| step["options"]["task_id"].clone()).collect();
    let first = plan.tasks[0].options.task_id.clone();
    assert_eq!(
        plan.result.to_value(),
        json!([[ids[0], [[ids[1], [[first, null], null]], null]], null])
    );
}

#[test]
fn a_group_in_the_middle_of_a_chain_is_a_chord() {
    let plan = planned(chain([
        group([task("a", json!([])), task("b", json!([]))]),
        task("c", json!([])),
        task("d", json!([])),
    ]));
    assert_eq!(names(&plan), ["a", "b"]);
    assert_eq!(plan.joins[0].size, 2);
    let chord = plan.tasks[1].options.chord.as_deref().unwrap();
    assert_eq!(chord["task"], "c");
    assert_eq!(chord["options"]["chain"][0]["task"], "d");
    assert_eq!(plan.result.id, chord["options"]["chain"][0]["options"]["task_id"]);
}
