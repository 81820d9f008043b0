//! What each message costs a worker or a client before and after the server: `cargo bench -p celery-core`.

use celery_core::{
    codec::{AcceptContent, Serializer},
    envelope::{self, BodyEncoding},
    protocol::TaskMessage,
    worker::verdicts,
};
use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

/// A message of a call with two arguments, as a client sends it.
fn envelope_of_a_call() -> Vec<u8> {
    let task = TaskMessage {
        task: "proj.tasks.add".to_owned(),
        id: "7a0f9d2c-55c1-4c60-8f4b-b1d1b1a1f0c3".to_owned(),
        args: vec![2.into(), 40.into()],
        ..TaskMessage::default()
    };
    let message = task.encode(Serializer::Json, None).expect("numbers are JSON");
    envelope::to_json(&message, BodyEncoding::Base64)
}

fn reading(criterion: &mut Criterion) {
    let raw = envelope_of_a_call();
    let message = envelope::from_json(&raw).expect("it was just written");
    let accept = AcceptContent::new(["json"]).expect("there is JSON");
    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Elements(1));
    group.bench_function("envelope", |bencher| {
        bencher.iter(|| envelope::from_json(black_box(&raw)));
    });
    group.bench_function("task message", |bencher| {
        bencher.iter(|| TaskMessage::decode(black_box(&message), &accept));
    });
    group.finish();
}

fn writing(criterion: &mut Criterion) {
    let message = envelope::from_json(&envelope_of_a_call()).expect("it was just written");
    let accept = AcceptContent::new(["json"]).expect("there is JSON");
    let task = TaskMessage::decode(&message, &accept).expect("it was just written");
    let mut group = criterion.benchmark_group("write");
    group.throughput(Throughput::Elements(1));
    group.bench_function("task message", |bencher| {
        bencher.iter(|| black_box(&task).encode(Serializer::Json, None));
    });
    group.bench_function("envelope", |bencher| {
        bencher.iter(|| envelope::to_json(black_box(&message), BodyEncoding::Base64));
    });
    group.finish();
}

fn deciding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("verdict");
    group.throughput(Throughput::Elements(1));
    group.bench_function("a task that returned", |bencher| {
        bencher.iter_batched(
            || "a result".into(),
            |value| verdicts::of_a_value(black_box(value)),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("a task that asked for a retry", |bencher| {
        bencher.iter(|| verdicts::of_a_retry(black_box(1)));
    });
    group.finish();
}

criterion_group!(hot, reading, writing, deciding);
criterion_main!(hot);
