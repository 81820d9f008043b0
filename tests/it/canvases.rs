//! Random nested canvases come to what the rules say: a model evaluates them, and so do workers.

pub(crate) mod model;
pub(crate) mod random;

use celery::prelude::*;
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use crate::harness::{Circle, within};

/// Tells its argument and the number, so that what comes where is seen in what comes out.
pub(crate) fn tagged(value: &Value, number: &Value) -> Value {
    json!([value, number])
}

/// All numbers in it, however deep, and one more.
pub(crate) fn total(value: &Value, more: i64) -> i64 {
    match value {
        Value::Array(values) => values.iter().fold(more, |sum, value| total(value, sum)),
        value => more + value.as_i64().unwrap_or_default(),
    }
}

#[shared_task(name = "canvases.tag")]
fn tag(value: Value, #[default = Value::Null] number: Value) -> Value {
    tagged(&value, &number)
}

#[shared_task(name = "canvases.total")]
fn sum(value: Value, #[default = 0] more: i64) -> i64 {
    total(&value, more)
}

#[test]
fn a_worker_comes_to_what_the_model_comes_to() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let circle = Circle::new();
    let _worker = runtime.block_on(async { circle.worker() });
    let seed: u8 =
        std::env::var("CELERY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    let config = Config { cases: 1000, failure_persistence: None, ..Config::default() };
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let checked = TestRunner::new_with_rng(config, random).run(&random::sketches(), |sketch| {
        let canvas = sketch.canvas().untyped();
        let expected = model::value_of(&canvas.clone().into_spec().expect("a signature"));
        let value = runtime.block_on(async { within(circle.call(canvas).await.get()).await });
        prop_assert_eq!(value.expect("a value"), expected);
        Ok(())
    });
    checked.unwrap_or_else(|error| panic!("{error}"));
}
