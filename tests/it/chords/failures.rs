//! Chords of which a part fails, in whatever way.

use celery::{
    Task,
    core::{
        codec::Serializer,
        protocol::{Embed, TaskMessage},
        tree::ResultTree,
    },
};
use serde_json::{Value, json};

use super::{note, sums};
use crate::{
    harness::{
        Circle,
        canvas::{chain, chord, group, set, si, sig},
    },
    tasks::*,
};

/// Sends a chord of a sum and that part, and returns what is stored of its body, and its header.
async fn with_part(circle: &Circle, part: Value) -> (Value, ResultTree) {
    let header = [sig(Add::NAME, json!([1, 1])), part];
    let result = circle.apply(chord(&header, note())).await;
    let stored = circle.stored(&result.id).await;
    (stored, *result.parent.expect("a header"))
}

fn dependency(id: &str, repr: &str) -> Value {
    json!({
        "exc_type": "ChordError",
        "exc_message": [format!("Dependency {id} raised {repr}")],
        "exc_module": "celery.exceptions",
    })
}

#[tokio::test(start_paused = true)]
async fn the_body_fails_with_the_failure_of_a_part() {
    let circle = Circle::new();
    let worker = circle.worker();
    let (stored, header) = with_part(&circle, sig(Fail::NAME, json!(["cheese"]))).await;
    let failed = header.leaves()[1].to_owned();
    assert_eq!(stored["status"], "FAILURE");
    assert_eq!(stored["result"], dependency(&failed, "OutOfCheese('no cheese')"));
    let traceback = stored["traceback"].as_str().unwrap();
    assert!(traceback.contains("celery.exceptions.ChordError: Dependency"), "{traceback}");
    // What succeeded is not lost by it.
    assert_eq!(circle.stored(header.leaves()[0]).await["result"], 2);
    worker.stop().await;
    assert!(circle.probe.notes().is_empty(), "the body is not run");
    assert_eq!(circle.tally(&header.id).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_part_fails_that_is_not_run_or_not_to_its_end() {
    let circle = Circle::new();
    let worker = circle.worker();
    for (part, repr) in [
        (set(sig(Add::NAME, json!([1, 1])), "expires", json!(-5)), "TaskRevokedError('expired')"),
        (sig("no.such.task", json!([])), "NotRegistered('no.such.task')"),
        (
            sig(Add::NAME, json!([1])),
            "TypeError(\"add() missing 1 required positional argument: 'y'\")",
        ),
        (sig(Hard::NAME, json!([])), "TimeLimitExceeded(7)"),
        (sig(Rejects::NAME, json!([])), "Reject('because', False)"),
        (sig(Panics::NAME, json!([])), "Panic('at the disco')"),
    ] {
        let (stored, header) = with_part(&circle, part).await;
        assert_eq!(stored["result"], dependency(header.leaves()[1], repr));
    }
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_revoked_fails_the_body() {
    let circle = Circle::new();
    let worker = circle.worker();
    // While it waits, and while it runs.
    for terminate in [false, true] {
        let late = match terminate {
            false => set(sig(Add::NAME, json!([1, 1])), "countdown", json!(60)),
            true => sig(Hold::NAME, json!(["held"])),
        };
        let header = [late, sig(Note::NAME, json!(["other"]))];
        let result = circle.apply(chord(&header, note())).await;
        let header = result.parent.expect("a header");
        let part = header.leaves()[0].to_owned();
        let before = circle.probe.notes().len();
        circle.probe.noted(before + if terminate { 2 } else { 1 }).await;
        let revoke = circle.app.control().revoke([&part]);
        let revoke = if terminate { revoke.terminate("TERM") } else { revoke };
        revoke.send().await.unwrap();
        let repr = if terminate {
            "TaskRevokedError('terminated')"
        } else {
            "TaskRevokedError('revoked')"
        };
        assert_eq!(circle.stored(&result.id).await["result"], dependency(&part, repr));
    }
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_error_callbacks_of_the_body_get_its_id() {
    let circle = Circle::new();
    let worker = circle.worker();
    let body = set(sig(Echo::NAME, json!([])), "link_error", json!([note()]));
    let header = [sig(Fail::NAME, json!(["cheese"])), sig(Add::NAME, json!([1, 1]))];
    let result = circle.apply(chord(&header, body)).await;
    let note = circle.probe.noted(1).await.remove(0);
    assert_eq!(
        (&note["note"], &note["request"]["parent_id"]),
        (&json!(result.id), &json!(result.id))
    );
    worker.stop().await;
    assert_eq!(circle.probe.notes().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_follows_the_body_fails_with_it() {
    let circle = Circle::new();
    let worker = circle.worker();
    let header = [sig(Fail::NAME, json!(["cheese"])), sig(Add::NAME, json!([1, 1]))];
    let steps = [group(&header), sig(Echo::NAME, json!([])), sig(Echo::NAME, json!([])), note()];
    let result = circle.apply(chain(&steps)).await;
    let (last, second) = (result.id.as_str(), &result.parent.as_ref().unwrap().id);
    let stored = circle.stored(last).await;
    assert_eq!(stored["result"]["exc_type"], "ChordError");
    assert_eq!(circle.stored(second).await["result"], stored["result"]);
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn each_task_of_a_body_that_is_a_group_fails_with_what_the_part_failed_with() {
    let circle = Circle::new();
    let worker = circle.worker();
    let members = [
        set(sig(Echo::NAME, json!([])), "link_error", json!([note()])),
        sig(Echo::NAME, json!([])),
    ];
    let header = [sig(Fail::NAME, json!(["cheese"])), sig(Add::NAME, json!([1, 1]))];
    let result = circle.apply(chord(&header, group(&members))).await;
    let members = result.leaves();
    for member in &members {
        let stored = circle.stored(member).await;
        assert_eq!(stored["result"]["exc_message"], json!(["no cheese"]));
    }
    assert_eq!(circle.probe.noted(1).await[0]["note"], members[0]);
    worker.stop().await;
    assert_eq!(circle.probe.notes().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_step_of_a_chain_in_a_header_fails_the_part_that_the_chain_is() {
    let circle = Circle::new();
    let worker = circle.worker();
    let part = chain(&[
        sig(Fail::NAME, json!(["cheese"])),
        sig(Echo::NAME, json!([])),
        sig(Echo::NAME, json!([])),
    ]);
    let (stored, header) = with_part(&circle, part).await;
    let last = header.members.as_ref().unwrap()[1].id.clone();
    assert_eq!(stored["result"], dependency(&last, "OutOfCheese('no cheese')"));
    // One that ends in a group is as many parts as that has members.
    let part =
        chain(&[sig(Fail::NAME, json!(["milk"])), group(&[si(Add::NAME, json!([1, 1])), note()])]);
    let (stored, _) = with_part(&circle, part).await;
    assert_eq!(stored["result"]["exc_type"], "ChordError");
    worker.stop().await;
    assert!(circle.probe.notes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_chord_within_a_header_fails_the_one_around_it() {
    let circle = Circle::new();
    let worker = circle.worker();
    let header = [sig(Fail::NAME, json!(["cheese"])), sig(Add::NAME, json!([1, 1]))];
    let (stored, around) = with_part(&circle, chord(&header, sig(Echo::NAME, json!([])))).await;
    let inner = around.members.as_ref().unwrap()[1].clone();
    let failed = inner.parent.unwrap().leaves()[0].to_owned();
    let repr = format!("ChordError(\"Dependency {failed} raised OutOfCheese('no cheese')\")");
    assert_eq!(stored["result"], dependency(&inner.id, &repr));
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_cannot_be_sent_fails() {
    let circle = Circle::new();
    let worker = circle.worker();
    let body = set(note(), "serializer", json!("pickle"));
    let result = circle.apply(chord(&sums(2), body)).await;
    let stored = circle.stored(&result.id).await;
    assert_eq!(stored["result"]["exc_type"], "ChordError");
    let message = stored["result"]["exc_message"][0].as_str().unwrap();
    assert!(message.starts_with("Callback error: "), "{message}");
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_chord_that_cannot_be_read_harms_nobody() {
    let circle = Circle::new();
    let worker = circle.worker();
    for (number, body) in [json!({}), json!({ "task": 3 })].into_iter().enumerate() {
        let id = format!("part-{number}");
        let mut message = TaskMessage {
            id: id.clone(),
            task: Add::NAME.to_owned(),
            args: vec![json!(1), json!(1)],
            embed: Embed { chord: Some(body), ..Embed::default() },
            ..TaskMessage::default()
        };
        message.headers.group = Some("a-group".to_owned());
        circle.push("celery", message.encode(Serializer::Json, None).unwrap()).await;
        assert_eq!(circle.stored(&id).await["result"], 2);
    }
    worker.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_workflow_is_revoked_by_the_stamps_of_its_tasks() {
    let circle = Circle::with(json!({ "result_extended": true }));
    let worker = circle.worker();
    let stamped = |signature: Value| {
        set(set(signature, "stamped_headers", json!(["team"])), "team", json!(["blue", "red"]))
    };
    let stored = circle.ran(stamped(sig(Add::NAME, json!([1, 1])))).await;
    assert_eq!(
        (&stored["stamped_headers"], &stored["team"]),
        (&json!(["team"]), &json!(["blue", "red"]))
    );
    circle.app.control().revoke_by_stamped_headers([("team", "red")]).send().await.unwrap();
    let late = set(stamped(sig(Add::NAME, json!([1, 1]))), "countdown", json!(60));
    let result = circle.apply(chord(&[late, sig(Add::NAME, json!([2, 2]))], stamped(note()))).await;
    let part = result.parent.as_ref().unwrap().leaves()[0].to_owned();
    let stored = circle.stored(&result.id).await;
    assert_eq!(stored["result"], dependency(&part, "TaskRevokedError('revoked')"));
    worker.stop().await;
}
