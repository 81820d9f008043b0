//! Tasks that are replaced, and tasks that join a chord which runs already.

use celery::{
    Task,
    core::signature::{Spec, Untyped},
    prelude::*,
};
use serde_json::{Value, json};

use crate::{
    harness::{
        Circle, Probe,
        canvas::{chain, chord, group, set, si, sig},
    },
    tasks::*,
};

/// Is replaced by that signature.
#[shared_task(bind)]
async fn make_way(
    task: &Context,
    signature: Value,
    #[state] probe: Probe,
) -> Result<i64, TaskError> {
    probe.note(request(task));
    Err(task.replace(untyped(signature)?).into())
}

/// The same, acknowledged late, on a thread.
#[shared_task(bind, acks_late)]
fn make_way_late(task: &Context, signature: Value) -> Result<i64, TaskError> {
    Err(task.replace(untyped(signature)?).into())
}

/// Is replaced by its like so many times.
#[shared_task(bind)]
async fn count_down(task: &Context, left: i64) -> Result<i64, TaskError> {
    match left {
        0 => Ok(task.request().headers.replaced_task_nesting.into()),
        left => Err(task.replace(CountDown::s(left - 1)).into()),
    }
}

/// Has the chord that it is in wait for more.
#[shared_task(bind)]
async fn grow(task: &Context, x: i64) -> Result<i64, TaskError> {
    task.add_to_chord(Add::s(x, 1000)).await?;
    Ok(x)
}

fn untyped(signature: Value) -> Result<Signature<Untyped>, TaskError> {
    Ok(Spec::from_value(signature)?.into())
}

fn becomes(signature: &Value) -> Value {
    sig(MakeWay::NAME, json!([signature]))
}

fn note() -> Value {
    sig(Note::NAME, json!([]))
}

#[tokio::test(start_paused = true)]
async fn what_takes_the_place_of_a_task_has_its_id_and_what_follows_it() {
    let circle = Circle::new();
    let worker = circle.worker();
    let call = set(becomes(&sig(Add::NAME, json!([5, 100]))), "link", json!([note()]));
    let result = circle.apply(call).await;
    let stored = circle.stored(&result.id).await;
    assert_eq!((&stored["result"], &stored["parent_id"]), (&json!(105), &json!(result.id)));
    let notes = circle.probe.noted(2).await;
    assert_eq!(notes[1]["note"], 105);
    worker.stop().await;
    assert_eq!(circle.probe.notes().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn its_failure_is_that_of_the_task() {
    let circle = Circle::new();
    let worker = circle.worker();
    let call = becomes(&sig(Fail::NAME, json!(["cheese"])));
    let result = circle.apply(set(call, "link_error", json!([note()]))).await;
    assert_eq!(circle.stored(&result.id).await["result"]["exc_type"], "OutOfCheese");
    assert_eq!(circle.probe.noted(2).await[1]["note"], json!(result.id));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_chain_goes_on_from_whatever_took_the_place_of_a_step() {
    let circle = Circle::new();
    let worker = circle.worker();
    let add = |x: i64| sig(Add::NAME, json!([x]));
    for (by, expected) in [
        (si(Add::NAME, json!([1, 2])), json!(3)),
        (chain(&[si(Add::NAME, json!([1, 2])), add(3), add(4)]), json!(10)),
        (group(&[si(Add::NAME, json!([1, 2])), si(Add::NAME, json!([3, 4]))]), json!([3, 7])),
        (chord(&[si(Add::NAME, json!([1, 2]))], sig(Echo::NAME, json!([]))), json!([3])),
        (chain(&[si(Add::NAME, json!([1, 2])), group(&[add(3), add(4)])]), json!([6, 7])),
    ] {
        let steps = [becomes(&by), sig(Echo::NAME, json!([])), sig(Echo::NAME, json!([]))];
        let result = circle.apply(chain(&steps)).await;
        let before = result.parent.clone().unwrap();
        let first = before.parent.clone().unwrap();
        for id in [&first.id, &before.id, &result.id] {
            assert_eq!(circle.stored(id).await["result"], expected, "{by}");
        }
    }
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn it_is_the_part_of_the_chord_that_the_task_was() {
    let circle = Circle::new();
    let worker = circle.worker();
    for (by, expected) in [
        (sig(Add::NAME, json!([1, 100])), json!(101)),
        (group(&[sig(Add::NAME, json!([1, 1])), sig(Add::NAME, json!([2, 2]))]), json!([2, 4])),
        (chain(&[sig(Add::NAME, json!([1, 1])), sig(Mul::NAME, json!([10]))]), json!(20)),
    ] {
        let header = [becomes(&by), sig(Add::NAME, json!([1, 1]))];
        let stored = circle.ran(chord(&header, sig(Echo::NAME, json!([])))).await;
        assert_eq!(stored["result"], json!([expected, 2]));
    }
    let header = [becomes(&sig(Fail::NAME, json!(["cheese"]))), sig(Add::NAME, json!([1, 1]))];
    let stored = circle.ran(chord(&header, sig(Echo::NAME, json!([])))).await;
    assert_eq!(stored["result"]["exc_type"], "ChordError");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_may_be_replaced_again_and_again() {
    let circle = Circle::new();
    let worker = circle.worker();
    assert_eq!(circle.done(CountDown::s(5)).await["result"], 5);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_late_task_is_replaced_in_the_step_that_acknowledges_it() {
    let circle = Circle::new();
    let worker = circle.worker();
    let stored = circle.ran(sig(MakeWayLate::NAME, json!([sig(Add::NAME, json!([1, 2]))]))).await;
    assert_eq!(stored["result"], 3);
    worker.stop().await;
    assert_eq!(circle.waiting("celery").await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_cannot_be_replaced_fails() {
    let circle = Circle::new();
    let worker = circle.worker();
    for (by, why) in [
        (chain(&[]), "without tasks"),
        (set(sig(Add::NAME, json!([1, 2])), "chord", note()), "part of a chord"),
        (set(sig(Add::NAME, json!([1, 2])), "serializer", json!("pickle")), "pickle"),
    ] {
        let stored = circle.ran(becomes(&by)).await;
        assert_eq!(stored["status"], "FAILURE", "{by}");
        let message = stored["result"]["exc_message"][0].as_str().unwrap();
        assert!(message.contains(why), "{message}");
    }
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_in_a_header_may_add_parts_to_it() {
    let circle = Circle::new();
    let worker = circle.worker();
    let header = [sig(Grow::NAME, json!([1])), sig(Add::NAME, json!([1, 1]))];
    let stored = circle.ran(chord(&header, sig(Echo::NAME, json!([])))).await;
    let mut results = stored["result"].as_array().unwrap().clone();
    results.sort_by_key(Value::as_i64);
    assert_eq!(results, [1, 2, 1001]);
    let alone = circle.ran(sig(Grow::NAME, json!([1]))).await;
    assert_eq!(alone["result"]["exc_message"], json!(["the task is not in the header of a chord"]));
    worker.stop().await;
}
