//! Chords: parts are counted, and when all are there the body is sent, once.

mod failures;
mod left;

use celery::Task;
use serde_json::{Value, json};

use crate::{
    harness::{
        Circle,
        canvas::{chain, chord, group, set, si, sig},
    },
    tasks::*,
};

/// So many sums, of which the first is 0 and each other is greater by two.
fn sums(count: i64) -> Vec<Value> {
    (0..count).map(|number| sig(Add::NAME, json!([number, number]))).collect()
}

fn note() -> Value {
    sig(Note::NAME, json!([]))
}

#[tokio::test(start_paused = true)]
async fn the_body_gets_the_results_in_the_order_of_the_header() {
    let circle = Circle::new();
    let worker = circle.worker();
    let result = circle.apply(chord(&sums(3), note())).await;
    let stored = circle.stored(&result.id).await;
    assert_eq!(stored["result"], json!([0, 2, 4]));
    let header = result.parent.expect("a header");
    let members = header.leaves();
    let request = circle.probe.notes()[0]["request"].clone();
    assert_eq!((&request["group"], &request["group_index"]), (&json!(header.id), &Value::Null));
    // Each member is its own root, and the body belongs to the one that came last.
    let parent = request["parent_id"].as_str().unwrap();
    assert!(members.contains(&parent), "{parent} of {members:?}");
    assert_eq!(request["root_id"], request["parent_id"]);
    // As in Celery, the body is no child of it: it is sent after the result is stored.
    assert_eq!(circle.stored(parent).await["children"], json!([]));
    worker.stop().await;
    assert_eq!(circle.tally(&header.id).await, None, "nothing is left of the join");
    assert_eq!(circle.probe.notes().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_header_of_one_and_an_empty_one_are_joined_as_well() {
    let circle = Circle::new();
    let _worker = circle.worker();
    assert_eq!(circle.ran(chord(&sums(1), note())).await["result"], json!([0]));
    assert_eq!(circle.ran(chord(&[], note())).await["result"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn chains_groups_and_chords_in_a_header_are_parts_of_it() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let of_a_chain = chain(&[sig(Add::NAME, json!([1, 1])), sig(Mul::NAME, json!([10]))]);
    let of_a_group = group(&sums(2));
    let of_a_chord = chord(&sums(2), sig(Echo::NAME, json!([])));
    let header = [of_a_chain, of_a_group, of_a_chord, sig(Add::NAME, json!([3, 4]))];
    let stored = circle.ran(chord(&header, note())).await;
    // As in Celery's capture, the members of a group take its place from behind.
    assert_eq!(stored["result"], json!([20, 2, 0, [0, 2], 7]));
}

#[tokio::test(start_paused = true)]
async fn a_chain_that_ends_in_a_group_is_a_list_within_the_list() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let members = [sig(Add::NAME, json!([1])), sig(Mul::NAME, json!([10]))];
    let ends_in_a_group = chain(&[sig(Add::NAME, json!([1, 1])), group(&members)]);
    let stored = circle.ran(chord(&[ends_in_a_group, sig(Add::NAME, json!([3, 4]))], note())).await;
    assert_eq!(stored["result"], json!([[3, 20], 7]));
}

#[tokio::test(start_paused = true)]
async fn a_body_may_be_a_chain_a_group_or_a_chord() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let echo = || sig(Echo::NAME, json!([]));
    let body = chain(&[echo(), sig(Echo::NAME, json!([])), note()]);
    assert_eq!(circle.ran(chord(&sums(2), body)).await["result"], json!([0, 2]));
    let result = circle.apply(chord(&sums(2), group(&[echo(), note()]))).await;
    for member in result.leaves() {
        assert_eq!(circle.stored(member).await["result"], json!([0, 2]));
    }
    let body = chord(&[echo(), echo()], note());
    assert_eq!(circle.ran(chord(&sums(2), body)).await["result"], json!([[0, 2], [0, 2]]));
}

#[tokio::test(start_paused = true)]
async fn a_group_in_a_chain_is_the_header_of_what_follows() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let members = [sig(Add::NAME, json!([1])), sig(Mul::NAME, json!([10]))];
    let steps =
        [sig(Add::NAME, json!([2, 3])), group(&members), sig(Echo::NAME, json!([])), note()];
    let stored = circle.ran(chain(&steps)).await;
    assert_eq!(stored["result"], json!([6, 50]));
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_task_may_be_of_any_kind() {
    let circle = Circle::new();
    let worker = circle.worker();
    let callbacks = [
        chain(&[sig(Add::NAME, json!([1])), note()]),
        group(&[note(), sig(Echo::NAME, json!([]))]),
        chord(&[sig(Echo::NAME, json!([])), sig(Echo::NAME, json!([]))], note()),
    ];
    let call = set(sig(Add::NAME, json!([2, 3])), "link", json!(callbacks));
    let first = circle.ran(call).await;
    let mut notes: Vec<_> =
        circle.probe.noted(3).await.iter().map(|note| note["note"].to_string()).collect();
    notes.sort_unstable();
    assert_eq!(notes, ["5", "6", "[5,5]"]);
    // As in Celery: the group by itself, and the others as one.
    let children = first["children"].as_array().unwrap();
    assert_eq!(children.len(), 2, "{children:?}");
    assert_eq!(children[1][1].as_array().unwrap().len(), 2, "{children:?}");
    let one = set(sig(Add::NAME, json!([2, 3])), "link", json!([callbacks[0]]));
    let children = circle.ran(one).await["children"].clone();
    let note = circle.probe.noted(4).await[3]["request"].clone();
    // Of a chain it is the step that was sent.
    assert_eq!(children, json!([[[note["parent_id"], null], null]]));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_part_whose_result_is_ignored_is_counted_with_it() {
    let circle = Circle::new();
    let _worker = circle.worker();
    let header =
        [sig(Ignored::NAME, json!([7])), set(sums(1).remove(0), "ignore_result", json!(true))];
    let result = circle.apply(chord(&header, note())).await;
    assert_eq!(circle.stored(&result.id).await["result"], json!([7, 0]));
    for part in result.parent.unwrap().leaves() {
        assert_eq!(circle.stored_now(part).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_retried_is_counted_when_it_is_done() {
    let circle = Circle::new();
    let worker = circle.worker();
    let header = [sig(Flaky::NAME, json!([2])), sig(Add::NAME, json!([1, 1]))];
    let result = circle.apply(chord(&header, sig(Echo::NAME, json!([])))).await;
    let stored = circle.stored(&result.id).await;
    assert_eq!(stored["result"], json!([2, 2]));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_body_and_its_chain_inherit_the_priority_of_the_last_part() {
    let circle = Circle::with(json!({ "task_inherit_parent_priority": true }));
    let _worker = circle.worker();
    let header: Vec<_> = sums(2).into_iter().map(|sum| set(sum, "priority", json!(6))).collect();
    circle.ran(chord(&header, chain(&[si(Add::NAME, json!([1, 1])), note()]))).await;
    assert_eq!(circle.probe.notes()[0]["request"]["priority"], 6);
}
