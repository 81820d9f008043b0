//! The hand-made messages of Celery's captures, several of which end a Python worker or go round in it for ever.

use std::time::Duration;

use celery::core::envelope;
use serde_json::{Value, json};

use crate::{
    harness::{Circle, Log, push_raw},
    tasks::*,
};

const HANDMADE: &str =
    include_str!("../../celery-core/tests/fixtures/golden/faults/handmade_messages.json");

/// What becomes of a message.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    /// It is run, as by Celery.
    Runs,
    /// It is run, where Celery loses it, has no result, or dies.
    RunsHere,
    /// It is not for the task, which is stored as `TypeError`.
    Misfits,
    /// It is quarantined, and a failure of this type is stored.
    Fails(&'static str),
    /// It is quarantined, and nobody is known who could be told.
    Kept,
}

use Fate::{Fails, Kept, Misfits, Runs, RunsHere};

/// By case: the fate, and what the log says.
const FATES: [(&str, Fate, &str); 44] = [
    ("minimal_ok", Runs, "Task wireapp.add[h1] succeeded"),
    ("no_root_id", Runs, "Task wireapp.add[h2] succeeded"),
    ("no_lang", Runs, "Task wireapp.add[h3] succeeded"),
    ("no_id_header", Kept, "it has no `id`"),
    ("no_correlation_id", Runs, "Task wireapp.add[h5] succeeded"),
    ("no_priority", Runs, "Task wireapp.add[h6] succeeded"),
    ("no_delivery_mode", Runs, "Task wireapp.add[h7] succeeded"),
    ("no_content_type", Fails("InvalidTaskError"), "it has no `content-type`"),
    ("no_content_encoding", Runs, "Task wireapp.add[h9] succeeded"),
    ("embed_null", Runs, "Task wireapp.add[h10] succeeded"),
    ("embed_empty", Runs, "Task wireapp.add[h11] succeeded"),
    ("body_two_elements", Fails("InvalidTaskError"), "its body has 2 elements and not three"),
    ("body_text_no_encoding", Runs, "Task wireapp.add[h13] succeeded"),
    ("args_null", Fails("InvalidTaskError"), "`args` is null and not a list"),
    ("kwargs_null", Fails("InvalidTaskError"), "`kwargs` is null and not an object"),
    ("kwargs_list", Fails("InvalidTaskError"), "`kwargs` is a list and not an object"),
    ("body_is_dict_v1", Runs, "Task wireapp.add[h17] succeeded"),
    ("v1_minimal", Runs, "Task wireapp.add[h18] succeeded"),
    ("v1_no_id", Kept, "it has no `id`"),
    ("hybrid_headers_and_dict_body", Runs, "Task wireapp.add[h20] succeeded"),
    ("unknown_task", Fails("NotRegistered"), "Task no.such.task[h21] is not registered"),
    ("body_bad_json", Fails("DecodeError"), "the body is not valid json"),
    ("body_bad_base64", Kept, "base64"),
    ("unaccepted_content_type", Fails("ContentDisallowed"), "refusing"),
    ("unknown_content_type", Fails("ContentDisallowed"), "refusing"),
    ("bad_eta", Fails("InvalidTaskError"), "tomorrow"),
    ("bad_expires", Fails("InvalidTaskError"), "soon"),
    ("eta_zulu", Runs, "Task wireapp.add[h28] succeeded"),
    ("unknown_compression", Fails("DecodeError"), "application/x-nope"),
    ("timelimit_null_pair", Runs, "Task wireapp.add[h30] succeeded"),
    ("timelimit_null", Runs, "Task wireapp.add[h31] succeeded"),
    ("retries_null", Runs, "Task wireapp.add[h32] succeeded"),
    ("extra_unknown_header", Runs, "Task wireapp.add[h33] succeeded"),
    ("wrong_args_count", Misfits, "missing 1 required positional argument: 'y'"),
    ("headers_null", Kept, "the message is not for a task"),
    ("no_headers", Kept, "the message is not for a task"),
    ("no_delivery_info", RunsHere, "Task wireapp.add[h37] succeeded"),
    ("no_delivery_tag", RunsHere, "Task wireapp.add[h38] succeeded"),
    // Without its properties nothing says that the body is in base64.
    ("no_properties", Fails("DecodeError"), "the body is not valid json"),
    ("no_body", Fails("InvalidTaskError"), "it has no body"),
    ("not_json", Kept, "no message"),
    ("json_number", Kept, "no message"),
    ("json_list", Kept, "no message"),
    ("stringified_ids_as_ints", Kept, "`id` is a number and not text"),
];

/// What a Redis server cannot settle without a tag is kept before it is looked at further.
fn on_redis(case: &str, fate: Fate, log: &'static str) -> (Fate, &'static str) {
    match case {
        "no_delivery_tag" | "no_properties" => (Kept, "the message has no delivery tag"),
        _ => (fate, log),
    }
}

/// The cases, with what is pushed and what a Python worker stored.
fn cases() -> impl Iterator<Item = (&'static str, Fate, &'static str, String, Value)> {
    let golden: Value = serde_json::from_str(HANDMADE).unwrap();
    assert_eq!(golden["cases"].as_object().unwrap().len(), FATES.len());
    FATES.into_iter().map(move |(name, fate, log)| {
        let case = &golden["cases"][name];
        let pushed = match &case["pushed"] {
            Value::String(text) => text.clone(),
            message => message.to_string(),
        };
        (name, fate, log, pushed, case["results"].clone())
    })
}

/// The id under which a result is found.
fn id(pushed: &str) -> Option<String> {
    let message: Value = serde_json::from_str(pushed).ok()?;
    match &message["headers"]["id"] {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        // Version 1 has it in the body, and here as the correlation id too.
        _ => message["properties"]["correlation_id"].as_str().map(str::to_owned),
    }
}

/// Waits for the fate of one message, and holds it against the expected one.
async fn check(circle: &Circle, case: &str, fate: Fate, pushed: &str, python: &Value) {
    // The worker goes on with the next good message.
    assert_eq!(circle.done(Add::s(1, 1)).await["result"], 2, "{case}");
    let stored = match id(pushed) {
        Some(id) => circle.stored_now(&id).await,
        None => None,
    };
    let kept = circle.quarantined("celery").await;
    let failure = || stored.clone().unwrap_or_default()["result"]["exc_type"].clone();
    match fate {
        Runs | RunsHere => {
            let stored = stored.unwrap_or_else(|| panic!("{case}: no result"));
            assert_eq!(
                (&stored["status"], &stored["result"]),
                (&json!("SUCCESS"), &json!(3)),
                "{case}"
            );
            let by_python = python.as_object().unwrap().values().next();
            assert_eq!(by_python.is_some(), fate == Runs, "{case}");
            let keys = |document: &Value| {
                document.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
            };
            assert!(by_python.is_none_or(|python| keys(python) == keys(&stored)), "{case}");
        }
        Misfits => assert_eq!(failure(), "TypeError", "{case}"),
        Fails(kind) => assert_eq!(failure(), kind, "{case}"),
        Kept => assert_eq!(stored, None, "{case}"),
    }
    if matches!(fate, Kept | Fails(_)) {
        let found: Vec<_> = kept.iter().map(|kept| same(&kept.raw)).collect();
        assert!(found.contains(&same(pushed.as_bytes())), "{case}: not found among {found:?}");
    }
}

/// An item without what a broker adds to it or writes in another way.
fn same(raw: &[u8]) -> Value {
    match serde_json::from_slice::<Value>(raw) {
        Ok(Value::Object(message)) => json!([
            message.get("headers").filter(|it| !it.is_null()).unwrap_or(&json!({})),
            message.get("content-type")
        ]),
        Ok(other) => other,
        Err(_) => String::from_utf8_lossy(raw).into_owned().into(),
    }
}

#[tokio::test(start_paused = true)]
async fn each_handmade_message_is_logged_settled_or_kept_and_the_next_one_served() {
    let circle = Circle::new();
    let log = Log::start();
    let worker = circle.worker();
    let (mut not_representable, mut kept) = (Vec::new(), 0);
    for (case, fate, logged, pushed, python) in cases() {
        let Ok(message) = envelope::from_json(pushed.as_bytes()) else {
            not_representable.push(case);
            continue;
        };
        kept += usize::from(matches!(fate, Kept | Fails(_)));
        log.take();
        circle.push("celery", message).await;
        check(&circle, case, fate, &pushed, &python).await;
        let log = log.take();
        assert!(log.contains(logged), "{case}: {log}");
    }
    worker.stop().await;
    // An embedded broker is given messages, not bytes.
    assert_eq!(not_representable, ["body_bad_base64", "not_json", "json_number", "json_list"]);
    assert_eq!(circle.waiting("celery").await, 0);
    assert_eq!(circle.quarantined("celery").await.len(), kept);
}

#[tokio::test]
async fn each_handmade_message_pushed_to_redis_is_settled_or_kept_and_the_next_one_served() {
    let all = async {
        let circle = Circle::redis();
        let log = Log::start();
        let worker = circle.worker();
        let mut kept = 0;
        for (case, fate, logged, pushed, python) in cases() {
            let (fate, logged) = on_redis(case, fate, logged);
            kept += usize::from(matches!(fate, Kept | Fails(_)));
            log.take();
            push_raw(&circle, [pushed.as_bytes()]);
            check(&circle, case, fate, &pushed, &python).await;
            let log = log.take();
            assert!(log.contains(logged), "{case}: {log}");
        }
        worker.stop().await;
        assert_eq!(circle.waiting("celery").await, 0);
        assert_eq!(circle.quarantined("celery").await.len(), kept);
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("a worker that goes on");
}
