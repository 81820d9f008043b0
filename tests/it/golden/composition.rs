//! Signatures, as Celery writes them: put together here, and held against the captured dictionaries.

use celery::{Group, Signature, chain, chord, core::value::to_value, group, prelude::Untyped};
use serde_json::Value;

use super::{
    capture,
    tasks::{Add, Echo, Mul, Xsum},
};

fn form(name: &str) -> Value {
    capture("canvas/signature_dicts")["forms"][name].clone()
}

fn named(task: &str) -> Signature<Untyped> {
    Signature::named(format!("wireapp.{task}"))
}

/// What is written, but for what says that a signature with all its arguments takes no result: Celery finds that out when it
/// calls one with too many.
fn written(signature: &impl serde::Serialize) -> Value {
    fn mutable(value: &mut Value) {
        match value {
            Value::Array(values) => values.iter_mut().for_each(mutable),
            Value::Object(map) => {
                let is_map = map.get("kwargs").is_some_and(|kwargs| kwargs.get("it").is_some());
                if let Some(immutable) = map.get_mut("immutable").filter(|_| !is_map) {
                    *immutable = false.into();
                }
                map.values_mut().for_each(mutable);
            }
            _ => {}
        }
    }
    let mut value = to_value(signature).unwrap();
    mutable(&mut value);
    value
}

#[test]
fn untyped_signatures_are_written_as_celery_writes_them() {
    let (add, mul, xsum) = (|| named("add"), || named("mul"), || named("xsum"));
    let check = |name: &str, signature: Signature<Untyped>| {
        assert_eq!(to_value(&signature).unwrap(), form(name), "{name}");
    };
    check("chain", add().args((1, 2)) | mul().args((3,)));
    check("group", group([add().args((1, 2)), mul().args((3, 4))]).untyped());
    check("chord", chord([add().args((1, 2)), add().args((3, 4))], xsum()));
    check("group_then_task", group([add().args((1, 2)), add().args((3, 4))]) | xsum());
    check(
        "chain_with_group",
        (add().args((1, 2)) | group([mul().args((3,)), mul().args((4,))])).untyped(),
    );
    check("linked", add().args((1, 2)).link(mul().args((3,))));
    check("immutable", add().args((1, 2)).immutable().untyped());
    let map = xsum().map([(1, 2), (3, 4)]);
    assert_eq!(to_value(&map).unwrap(), form("map"));
    let starmap = add().starmap([(1, 2), (3, 4)]);
    assert_eq!(to_value(&starmap).unwrap(), form("starmap"));
}

#[test]
fn typed_signatures_are_the_same() {
    let sums = || group([Add::s(1, 2), Add::s(3, 4)]);
    assert_eq!(written(&(Add::s(1, 2) | Mul::partial(3))), form("chain"));
    assert_eq!(written(&group([Add::s(1, 2), Mul::s(3, 4)])), form("group"));
    assert_eq!(written(&chord([Add::s(1, 2), Add::s(3, 4)], Xsum::partial())), form("chord"));
    assert_eq!(written(&(sums() | Xsum::partial())), form("group_then_task"));
    let fan = Add::s(1, 2) | group([Mul::partial(3), Mul::partial(4)]);
    assert_eq!(written(&fan), form("chain_with_group"));
    assert_eq!(written(&Xsum::map([vec![1, 2], vec![3, 4]])), form("map"));
    assert_eq!(written(&Add::starmap([(1, 2), (3, 4)])), form("starmap"));
    assert_eq!(written(&Add::s(1, 2).link(Mul::partial(3))), form("linked"));
}

#[test]
fn every_kind_fits_into_every_other() {
    let sums = || group([Add::s(1, 2), Add::s(3, 4)]);
    let steps: Signature<_, i64> = Add::s(1, 1) | Add::partial(1) | Mul::partial(2);
    let nested: Group<_, i64> = steps.clone() | group([Add::partial(1), Add::partial(2)]);
    let lists: Group<_, Vec<i64>> = group([nested.clone(), sums()]);
    let both: Signature<_, Value> = lists | named("collect");
    let header: Signature<_, i64> = chord([steps, sums() | Xsum::partial()], Xsum::partial());
    let several: Group<_, i64> = sums() | group([Xsum::partial(), Xsum::partial()]);
    let again: Signature<_, i64> = chain([Add::partial(1), Add::partial(2), Add::partial(3)]);
    let mixed: Group<Untyped, Value> =
        group([header.untyped(), several.untyped(), again.untyped(), Echo::s(None).untyped()]);
    let all: Signature<Untyped, Value> = mixed | named("collect");
    let value = to_value(&all).unwrap();
    assert_eq!(value["task"], "celery.chord");
    assert_eq!(value["kwargs"]["header"][0]["task"], "celery.chord");
    assert_eq!(to_value(&both).unwrap()["kwargs"]["header"][1]["task"], "celery.chord");
}
