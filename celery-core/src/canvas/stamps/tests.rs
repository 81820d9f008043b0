use serde_json::json;

use super::*;
use crate::{
    canvas::{chord, group},
    signature::{Kind, Signature, Untyped},
};

fn task(name: &str) -> Signature<Untyped> {
    Signature::named(name)
}

/// The stamps of each task, and of its callbacks in front of it.
fn stamped(spec: &Spec) -> Vec<(String, Value)> {
    fn all(spec: &Spec, found: &mut Vec<(String, Value)>) {
        let options = &spec.options;
        options.link.iter().chain(&options.link_error).for_each(|it| all(it, found));
        match &spec.kind {
            Kind::Task => {
                let stamps = options.stamps.clone();
                let names: Vec<_> = stamps.keys().cloned().map(Value::from).collect();
                assert_eq!(options.stamped_headers.clone().unwrap_or_default(), names);
                found.push((spec.task.clone(), stamps.into()));
            }
            Kind::Chain(members) | Kind::Group(members) => {
                members.iter().for_each(|member| all(member, found));
            }
            Kind::Chord(chord) => {
                chord.header.iter().chain(&chord.body).for_each(|member| all(member, found));
            }
        }
    }
    let mut found = Vec::new();
    all(spec, &mut found);
    found
}

fn check(signature: Signature<Untyped>, expected: &[(&str, Value)]) {
    let expected: Vec<_> =
        expected.iter().map(|(task, stamps)| ((*task).to_owned(), stamps.clone())).collect();
    assert_eq!(stamped(&signature.into_spec().unwrap()), expected);
}

#[test]
fn stamps_reach_all_parts_and_their_callbacks() {
    let canvas = task("a").link(task("k")) | group([task("b"), task("c").link_error(task("e"))]);
    let canvas = (canvas | task("d")).stamp([("team", "blue")]);
    let blue = json!({ "team": "blue" });
    let expected = ["k", "a", "b", "e", "c", "d"].map(|name| (name, blue.clone()));
    check(canvas, &expected);
}

#[test]
fn a_stamp_of_the_same_name_is_replaced_or_appended() {
    let blue = || task("a").stamp([("team", "blue")]);
    check(blue().stamp([("team", "red")]), &[("a", json!({ "team": "red" }))]);
    let red = || Stamping::from([("team", "red")]).append_stamps();
    check(blue().stamp(red()), &[("a", json!({ "team": ["red", "blue"] }))]);
    check(blue().stamp([("app", 1)]), &[("a", json!({ "app": 1, "team": "blue" }))]);
    let lists = task("a").stamp([("ids", vec![1])]).stamp([("ids", vec![2, 3])]);
    check(lists, &[("a", json!({ "ids": [2, 3, 1] }))]);
    let objects = task("a").stamp([("of", json!({ "x": 1 }))]).stamp([("of", json!({ "y": 2 }))]);
    check(objects, &[("a", json!({ "of": { "y": 2, "x": 1 } }))]);
}

/// Tells the order in which it is asked, and what it is given.
#[derive(Default)]
struct Asked(Vec<String>);

impl Asked {
    fn by(&mut self, what: &str, spec: &Spec, headers: &Stamps) -> Stamps {
        let given: Vec<_> = headers.iter().map(|(name, _)| name).collect();
        self.0.push(format!(
            "{what} {} {}",
            spec.task.trim_start_matches("celery."),
            given.join(" ")
        ));
        Stamps::new().with(what, self.0.len())
    }
}

impl StampingVisitor for Asked {
    fn on_signature(&mut self, signature: &mut Spec, headers: &Stamps) -> Stamps {
        self.by("task", signature, headers)
    }

    fn on_group_start(&mut self, group: &mut Spec, headers: &Stamps) -> Stamps {
        self.by("group", group, headers)
    }

    fn on_group_end(&mut self, group: &mut Spec, headers: &Stamps) {
        self.by("end", group, headers);
    }

    fn on_chain_start(&mut self, chain: &mut Spec, headers: &Stamps) -> Stamps {
        self.by("chain", chain, headers)
    }

    fn on_chain_end(&mut self, chain: &mut Spec, headers: &Stamps) {
        self.by("end", chain, headers);
    }

    fn on_chord_body(&mut self, chord: &mut Spec, headers: &Stamps) -> Stamps {
        self.by("body", chord, headers)
    }

    fn on_callback(&mut self, callback: &mut Spec, headers: &Stamps) -> Stamps {
        self.by("callback", callback, headers)
    }

    fn on_errback(&mut self, errback: &mut Spec, headers: &Stamps) -> Stamps {
        self.by("errback", errback, headers)
    }
}

#[test]
fn a_visitor_is_asked_from_the_outside_to_the_inside() {
    let mut asked = Asked::default();
    let first = task("a").link(task("k")).link(task("l")).link_error(task("e"));
    let canvas = first | chord([task("b")], task("c"));
    let canvas = canvas.stamp(Stamping::from([("all", true)]).visitor(&mut asked));
    let order = [
        "chain chain all",
        "callback k all chain",
        "task k all chain callback",
        "callback l all chain",
        "task l all chain callback",
        "errback e all chain",
        "task e all chain errback",
        "task a all chain",
        "group chord all chain",
        "task b all chain group",
        "end chord all chain group",
        "body chord all chain group",
        "task c all chain group body",
        "end chain all chain",
    ];
    assert_eq!(asked.0, order);
    check(
        canvas,
        &[
            ("k", json!({ "all": true, "chain": 1, "callback": 2, "task": 3 })),
            ("l", json!({ "all": true, "chain": 1, "callback": 4, "task": 5 })),
            ("e", json!({ "all": true, "chain": 1, "errback": 6, "task": 7 })),
            ("a", json!({ "all": true, "chain": 1, "task": 8 })),
            ("b", json!({ "all": true, "chain": 1, "group": 9, "task": 10 })),
            ("c", json!({ "all": true, "chain": 1, "group": 9, "body": 12, "task": 13 })),
        ],
    );
}
