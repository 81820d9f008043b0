//! Canvases at random: how they are put together, and what shrinks.

use celery::{Group, Signature, chain, chord, group, prelude::Untyped};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Value, json};

/// How a canvas is put together.
#[derive(Clone, Debug)]
pub(crate) enum Sketch {
    /// A task that tells its argument and its own number. Some have a callback.
    Tag(u8),
    /// A task that adds up all numbers in its argument, and its own.
    Total(u8),
    /// A task that takes no result.
    Fixed(u8),
    /// `celery.starmap` of a task.
    Starmap(u8),
    /// `a | b | …`
    Pipe(Vec<Self>),
    /// `chain([a, b, …])`
    Chain(Vec<Self>),
    /// `group([a, b, …])`
    Group(Vec<Self>),
    /// `group([group([a, …]), …])`, by their types.
    Lists(Vec<Vec<Self>>),
    /// `chord([a, …], body)`
    Chord(Vec<Self>, Box<Self>),
}

/// What is put together.
pub(crate) enum Canvas {
    One(Signature<Untyped>),
    Many(Group<Untyped>),
}

impl Canvas {
    pub(crate) fn untyped(self) -> Signature<Untyped> {
        match self {
            Self::One(one) => one,
            Self::Many(many) => many.untyped(),
        }
    }

    /// `first | next`, by what their types promise.
    fn then(self, next: Self) -> Self {
        match (self, next) {
            (Self::One(first), Self::One(next)) => Self::One(first | next),
            (Self::One(first), Self::Many(next)) => Self::Many(first | next),
            (Self::Many(first), Self::One(next)) => Self::One(first | next),
            (Self::Many(first), Self::Many(next)) => Self::Many(first | next),
        }
    }
}

impl Sketch {
    /// The same in Celery's way, where no types are known.
    pub(crate) fn untyped(&self) -> Signature<Untyped> {
        let all = |sketches: &[Self]| -> Vec<Signature<Untyped>> {
            sketches.iter().map(Self::untyped).collect()
        };
        match self {
            Self::Pipe(parts) => all(parts)
                .into_iter()
                .reduce(|first, next| first | next)
                .expect("a pipe has a part"),
            Self::Chain(parts) => chain(all(parts)),
            Self::Group(members) => group(all(members)).untyped(),
            Self::Lists(lists) => {
                group(lists.iter().map(|list| group(all(list)).untyped())).untyped()
            }
            Self::Chord(header, body) => chord(all(header), body.untyped()),
            task => task.canvas().untyped(),
        }
    }

    /// How the other side draws it.
    pub(crate) fn told(&self) -> Value {
        let all = |sketches: &[Self]| sketches.iter().map(Self::told).collect::<Value>();
        match self {
            Self::Tag(number) => json!(["tag", number]),
            Self::Total(number) => json!(["total", number]),
            Self::Fixed(number) => json!(["fixed", number]),
            Self::Starmap(number) => json!(["starmap", number]),
            Self::Pipe(parts) => json!(["pipe", all(parts)]),
            Self::Chain(parts) => json!(["chain", all(parts)]),
            Self::Group(members) => json!(["group", all(members)]),
            Self::Lists(lists) => {
                json!([
                    "group",
                    lists.iter().map(|list| json!(["group", all(list)])).collect::<Value>()
                ])
            }
            Self::Chord(header, body) => json!(["chord", all(header), body.told()]),
        }
    }

    pub(crate) fn canvas(&self) -> Canvas {
        let task = |name: &str| Signature::named(format!("canvases.{name}"));
        let untyped = |sketches: &[Self]| -> Vec<Signature<Untyped>> {
            sketches.iter().map(|sketch| sketch.canvas().untyped()).collect()
        };
        match self {
            Self::Tag(number) => {
                let tag = task("tag").args((number,));
                Canvas::One(if number % 5 == 0 { tag.clone().link(tag) } else { tag })
            }
            Self::Total(number) => Canvas::One(task("total").args((number,))),
            Self::Fixed(number) => Canvas::One(task("tag").args((number, 0)).immutable().untyped()),
            Self::Starmap(number) => {
                let calls = (0..*number % 4).map(|call| (call, number));
                Canvas::One(task("tag").starmap(calls).untyped())
            }
            Self::Pipe(parts) => {
                let parts = parts.iter().map(Self::canvas);
                parts.reduce(Canvas::then).expect("a pipe has a part")
            }
            Self::Chain(parts) => Canvas::One(chain(untyped(parts))),
            Self::Group(members) => Canvas::Many(group(untyped(members))),
            Self::Lists(lists) => {
                let lists: Group<_, Vec<Value>> =
                    group(lists.iter().map(|list| group(untyped(list))));
                Canvas::Many(lists.returning())
            }
            Self::Chord(header, body) => match body.canvas() {
                Canvas::One(body) => Canvas::One(chord(untyped(header), body)),
                Canvas::Many(body) => Canvas::Many(chord(untyped(header), body)),
            },
        }
    }
}

/// Sketches of some depth, without chains that have no step: nothing is called for one.
pub(crate) fn sketches() -> impl Strategy<Value = Sketch> {
    any_sketches().prop_filter("a chain without steps", |sketch| {
        let spec = sketch.canvas().untyped().into_spec();
        !super::model::has_empty_chain(&spec.expect("a signature"))
    })
}

fn any_sketches() -> impl Strategy<Value = Sketch> {
    let task = prop_oneof![
        4 => (1..100_u8).prop_map(Sketch::Tag),
        2 => (1..100_u8).prop_map(Sketch::Total),
        1 => (1..100_u8).prop_map(Sketch::Fixed),
        1 => (1..100_u8).prop_map(Sketch::Starmap),
    ];
    task.prop_recursive(4, 14, 3, |inner| {
        let some = |least| prop::collection::vec(inner.clone(), least..4);
        prop_oneof![
            3 => some(2).prop_map(Sketch::Pipe),
            1 => some(1).prop_map(Sketch::Chain),
            3 => some(0).prop_map(Sketch::Group),
            1 => prop::collection::vec(some(0), 1..3).prop_map(Sketch::Lists),
            2 => (some(1), inner.clone()).prop_map(|(header, body)| Sketch::Chord(header, Box::new(body))),
        ]
    })
}

/// The same sketches each time.
pub(crate) fn sample(count: u64) -> Vec<Sketch> {
    let seed = |number: u64| {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&number.to_le_bytes());
        TestRng::from_seed(RngAlgorithm::ChaCha, &seed)
    };
    let of = |number| {
        let mut runner = TestRunner::new_with_rng(Config::default(), seed(number));
        sketches().new_tree(&mut runner).expect("a sketch").current()
    };
    (0..count).map(of).collect()
}
