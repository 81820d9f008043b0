use serde_json::json;

use super::*;

/// `a`, `b!` for one that takes no result, `(a | b)`, `[a, b]`, `{a, b -> c}`; with `<x` for a callback and `~x` for an error
/// callback.
fn shown(spec: &Spec) -> String {
    let list = |specs: &[Spec], between| specs.iter().map(shown).collect::<Vec<_>>().join(between);
    let mut text = match &spec.kind {
        Kind::Task => format!("{}{}", spec.task, if spec.immutable { "!" } else { "" }),
        Kind::Chain(steps) => format!("({})", list(steps, " | ")),
        Kind::Group(members) => format!("[{}]", list(members, ", ")),
        Kind::Chord(chord) => {
            format!("{{{} -> {}}}", list(&chord.header, ", "), shown(chord.body.as_ref().unwrap()))
        }
    };
    spec.options.link.iter().for_each(|it| text.push_str(&format!("<{}", shown(it))));
    spec.options.link_error.iter().for_each(|it| text.push_str(&format!("~{}", shown(it))));
    text
}

fn task(name: &str) -> Spec {
    Spec::new(name, Vec::new(), Map::new())
}

fn tasks(names: &str) -> Vec<Spec> {
    names.split_whitespace().map(task).collect()
}

fn all(parts: impl IntoIterator<Item = Spec>, lone: Lone) -> Spec {
    parts.into_iter().reduce(|first, next| then(first, next, lone)).unwrap()
}

#[test]
fn what_follows_a_group_makes_a_chord_of_it() {
    let check = |parts: Vec<Spec>, expected: &str| {
        assert_eq!(shown(&all(parts, Lone::Unrolled)), expected);
    };
    let (pair, other) = (|| group(tasks("a b")), || group(tasks("c d")));
    check(tasks("a b c"), "(a | b | c)");
    check(vec![pair(), task("x")], "{a, b -> x}");
    check(vec![pair(), task("x"), task("y")], "{a, b -> (x | y)}");
    check(vec![pair(), other()], "{a, b -> [c, d]}");
    check(vec![pair(), other(), task("x")], "{a, b -> {c, d -> x}}");
    check(vec![task("x"), pair()], "(x | [a, b])");
    check(vec![task("x"), pair(), task("y")], "(x | {a, b -> y})");
    check(vec![task("x"), pair(), task("y"), other()], "(x | {a, b -> (y | [c, d])})");
    // What is sent for it is a chord.
    check(vec![task("x"), pair(), other()], "(x | [a, b] | [c, d])");
    check(vec![pair(), chain(tasks("x y"))], "{a, b -> (x | y)}");
    check(vec![chain(tasks("x y")), chain(vec![pair(), task("z")])], "(x | y | {a, b -> z})");
}

#[test]
fn a_group_of_one_is_its_member_and_an_empty_one_nothing_unless_its_type_says_that_it_is_a_group() {
    let (one, none) = (|| group(tasks("a")), || group(Vec::new()));
    let check = |parts: Vec<Spec>, celery: &str, typed: &str| {
        assert_eq!(shown(&all(parts.clone(), Lone::Unrolled)), celery);
        assert_eq!(shown(&all(parts, Lone::Kept)), typed);
    };
    check(vec![task("x"), one()], "(x | a)", "(x | [a])");
    check(vec![task("x"), one(), task("y")], "(x | a | y)", "(x | {a -> y})");
    check(vec![one(), task("y")], "{a -> y}", "{a -> y}");
    check(vec![task("x"), none()], "(x | [])", "(x | [])");
    check(vec![task("x"), task("y"), none()], "(x | y)", "(x | y | [])");
    check(vec![one(), none()], "[a]", "{a -> []}");
    check(vec![task("x"), one(), one()], "(x | a | a)", "(x | {a -> [a]})");
}

#[test]
fn what_was_said_of_a_chain_is_kept_where_it_takes_effect() {
    let mut whole = chain(tasks("a b"));
    link(&mut whole, task("done")).unwrap();
    link_error(&mut whole, &task("failed"), false);
    whole.options.queue = Some("slow".to_owned());
    whole.options.task_id = Some("id".to_owned());
    assert_eq!(shown(&whole), "(a | b)<done~failed");
    let longer = then(whole, task("c"), Lone::Unrolled);
    assert_eq!(shown(&longer), "(a~failed | b<done~failed | c)");
    let Kind::Chain(steps) = longer.kind else { panic!("no chain") };
    let options = |step: &Spec| Value::Object(step.options.to_map());
    assert_eq!(options(&steps[0])["queue"], "slow");
    assert_eq!(options(&steps[1])["task_id"], "id");
    assert_eq!(options(&steps[2]), json!({}));
}

#[test]
fn what_was_said_of_a_group_is_kept_for_its_members_when_it_becomes_a_header() {
    let mut pair = group(tasks("a b"));
    pair.options.queue = Some("slow".to_owned());
    pair.options.task_id = Some("gid".to_owned());
    let joined = then(pair, task("x"), Lone::Unrolled).to_value();
    assert_eq!(joined["kwargs"]["header"]["options"], json!({ "task_id": "gid" }));
    let members = &joined["kwargs"]["header"]["kwargs"]["tasks"];
    assert_eq!(members[1]["options"], json!({ "queue": "slow" }));
    assert_eq!(joined["kwargs"]["body"]["options"], json!({}));
}

#[test]
fn callbacks_are_where_celery_has_them() {
    let check = |mut spec: Spec, linked: &str, each: &str, error: &str| {
        let mut of_each = spec.clone();
        let mut of_errors = spec.clone();
        link(&mut spec, task("k")).unwrap();
        link_each(&mut of_each, &task("k"));
        link_error(&mut of_errors, &task("e"), false);
        assert_eq!([shown(&spec), shown(&of_each), shown(&of_errors)], [linked, each, error]);
    };
    let pair = || group(tasks("a b"));
    check(task("a"), "a<k", "a<k", "a~e");
    check(chain(tasks("a b")), "(a | b)<k", "(a | b)<k", "(a | b)~e");
    check(pair(), "[a<k!, b]", "[a<k, b<k]", "[a~e, b~e]");
    check(chord(pair(), task("x")), "{a, b -> x<k}", "{a, b -> x<k}", "{a, b -> x~e}");
    check(chain(vec![task("x"), pair()]), "(x | [a, b])<k", "(x | [a<k, b<k])", "(x | [a, b])~e");
    check(
        chord(group(vec![chord(pair(), task("x")), task("c")]), task("y")),
        "{{a, b -> x}, c -> y<k}",
        "{{a, b -> x}, c -> y<k}",
        "{{a, b -> x~e}, c -> y~e}",
    );
}

#[test]
fn the_same_callback_is_called_once() {
    let mut spec = task("a");
    for name in ["k", "l", "k"] {
        link(&mut spec, task(name)).unwrap();
    }
    assert_eq!(shown(&spec), "a<k<l");
}

#[test]
fn error_callbacks_reach_the_header_when_they_are_to() {
    let mut joined = chord(group(tasks("a b")), task("x"));
    link_error(&mut joined, &task("e"), true);
    assert_eq!(shown(&joined), "{a~e!, b~e! -> x~e}");
}

#[test]
fn an_empty_group_has_no_first_member_to_link_to() {
    let refused = link(&mut group(Vec::new()), task("k")).unwrap_err().to_string();
    assert_eq!(refused, "a group without members has nothing to call k after");
}

#[test]
fn what_begins_takes_the_result_or_none() {
    let check = |mut spec: Spec, immutable: &str, prepended: &[&str]| {
        let mut with = spec.clone();
        prepend(&mut with, &json!(7));
        make_immutable(&mut spec);
        assert_eq!(shown(&spec), immutable);
        let mut took = Vec::new();
        tasks_with_arguments(&with, &mut took);
        assert_eq!(took, prepended);
    };
    let pair = || group(tasks("a b"));
    check(task("a"), "a!", &["a"]);
    check(chain(tasks("a b")), "(a! | b)", &["a"]);
    check(pair(), "[a!, b!]", &["a", "b"]);
    check(chord(pair(), task("x")), "{a!, b! -> x}", &["a", "b"]);
    check(chain(vec![chord(pair(), task("x")), task("c")]), "({a!, b! -> x} | c)", &["a", "b"]);
}

fn tasks_with_arguments(spec: &Spec, found: &mut Vec<String>) {
    if !spec.args.is_empty() {
        found.push(spec.task.clone());
    }
    let members: Vec<&Spec> = match &spec.kind {
        Kind::Task => Vec::new(),
        Kind::Chain(members) | Kind::Group(members) => members.iter().collect(),
        Kind::Chord(chord) => chord.header.iter().chain(&chord.body).collect(),
    };
    members.into_iter().for_each(|member| tasks_with_arguments(member, found));
}

#[test]
fn the_results_of_a_member_that_ends_in_a_group_stay_together() {
    let check = |spec: Spec, expected: &str| assert_eq!(shown(&nested(spec)), expected);
    check(task("a"), "a");
    check(group(tasks("a b")), "{a, b -> celery.accumulate}");
    check(group(Vec::new()), "{ -> celery.accumulate}");
    check(chain(vec![task("x"), group(tasks("a b"))]), "(x | {a, b -> celery.accumulate})");
    check(chord(group(tasks("a b")), group(tasks("c"))), "{a, b -> {c -> celery.accumulate}}");
}
