//! Random canvases: what is put together here is what Celery puts together, and comes to the same on either side.

use celery::{
    AsyncResult, Celery, Stamping, StampingVisitor, Stamps,
    core::signature::{Kind, Spec},
};
use peers::{LIMIT, PythonWorker, Space, scenario};
use serde_json::{Value, json};

use super::rust::RustWorker;
use crate::{
    canvases::{model, random},
    harness::app,
};

/// Has a scenario of Python's read this.
async fn asked(space: &Space, name: &str, wanted: &[Value], key: &str) -> Vec<Value> {
    // What stands for the prefix may not be in it.
    let wanted = Value::from(wanted).to_string().replace("{}", "{ }");
    let _: String = space.redis("SET", &["{}wanted", &wanted]).await;
    scenario(space, name).await.case(key).as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_together_is_what_celery_puts_together() {
    let space = Space::new();
    let sketches = random::sample(300);
    let told: Vec<Value> = sketches.iter().map(random::Sketch::told).collect();
    let theirs = asked(&space, "drawings", &told, "forms").await;
    for (sketch, theirs) in sketches.iter().zip(theirs) {
        let ours = sketch.untyped().into_spec().unwrap();
        let theirs = Spec::from_value(theirs).unwrap();
        assert_eq!(ours.to_value(), theirs.to_value(), "{sketch:?}");
    }
}

/// Stamps each part with what it is asked of it, and in which order.
#[derive(Default)]
struct Teller(u64);

impl Teller {
    fn told(&mut self, name: &str) -> Stamps {
        self.0 += 1;
        Stamps::from([(format!("at_{name}"), self.0)])
    }
}

impl StampingVisitor for Teller {
    fn on_signature(&mut self, _: &mut Spec, _: &Stamps) -> Stamps {
        self.told("task")
    }

    fn on_group_start(&mut self, _: &mut Spec, _: &Stamps) -> Stamps {
        self.told("group")
    }

    fn on_group_end(&mut self, _: &mut Spec, _: &Stamps) {
        self.told("end");
    }

    fn on_chain_start(&mut self, _: &mut Spec, _: &Stamps) -> Stamps {
        self.told("chain")
    }

    fn on_chain_end(&mut self, _: &mut Spec, _: &Stamps) {
        self.told("end");
    }

    fn on_chord_body(&mut self, _: &mut Spec, _: &Stamps) -> Stamps {
        self.told("body")
    }

    fn on_callback(&mut self, _: &mut Spec, _: &Stamps) -> Stamps {
        self.told("callback")
    }
}

/// The stamps of each task in it, after those of its callbacks.
fn stamps(spec: &Spec) -> Vec<Value> {
    let all = |specs: &[Spec]| specs.iter().flat_map(stamps).collect::<Vec<_>>();
    let mut found = all(&spec.options.link);
    match &spec.kind {
        Kind::Task => found.push(json!([spec.task, spec.options.stamps])),
        Kind::Chain(members) | Kind::Group(members) => found.extend(all(members)),
        Kind::Chord(chord) => {
            found.extend(all(&chord.header));
            found.extend(chord.body.iter().flat_map(stamps));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn stamps_are_put_where_celery_puts_them() {
    let space = Space::new();
    let sketches = random::sample(200);
    let told: Vec<Value> = sketches.iter().map(random::Sketch::told).collect();
    let theirs = asked(&space, "stampings", &told, "stamps").await;
    for (sketch, theirs) in sketches.iter().zip(theirs) {
        let mut teller = Teller::default();
        let stamping = Stamping::from([("all", true)]).visitor(&mut teller);
        let ours = sketch.untyped().stamp(stamping).into_spec().unwrap();
        assert_eq!(Value::from(stamps(&ours)), theirs, "{sketch:?}");
    }
}

/// Canvases with what they come to. Those that Celery never ends are left out: chords that have the results of groups in their
/// headers, and groups in which only empty ones end.
fn sample() -> Vec<(Spec, Value)> {
    let specs =
        random::sample(120).into_iter().map(|it| it.canvas().untyped().into_spec().unwrap());
    let sample = specs.filter(model::ends_in_celery).take(30);
    sample.map(|spec| (model::value_of(&spec), spec)).map(|(value, spec)| (spec, value)).collect()
}

/// Has Python call all of them, and then us.
async fn check(space: &Space, app: &Celery) {
    let sample = sample();
    let wanted: Vec<Value> = sample.iter().map(|(spec, _)| spec.to_value()).collect();
    let theirs = asked(space, "canvases", &wanted, "values").await;
    let mut ours = Vec::new();
    for (spec, _) in &sample {
        ours.push(AsyncResult::<Value>::from_tree(app, app.apply(spec.clone()).await.unwrap()));
    }
    for (number, (spec, expected)) in sample.iter().enumerate() {
        let told = format!("{} of {number}: {}", spec.task, spec.to_value());
        assert_eq!(theirs[number], *expected, "called by Python, {told}");
        let value = ours[number].get_within(LIMIT).await;
        assert_eq!(value.unwrap_or_else(|error| panic!("{told}: {error}")), *expected, "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_worker_comes_to_what_the_model_comes_to() {
    let space = Space::new();
    let _theirs = PythonWorker::start(&space, &["-P", "threads", "-c", "4"]).await;
    check(&space, &app(&space)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_worker_comes_to_what_the_model_comes_to() {
    let space = Space::new();
    let app = app(&space);
    let ours = RustWorker::start(&app, &["celery"], 4);
    check(&space, &app).await;
    ours.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_together_come_to_what_the_model_comes_to() {
    let space = Space::new();
    let app = app(&space);
    let _theirs = PythonWorker::start(&space, &["-P", "threads", "-c", "2"]).await;
    let ours = RustWorker::start(&app, &["celery"], 2);
    check(&space, &app).await;
    ours.stop().await;
}
