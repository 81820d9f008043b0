//! The messages that were pushed to a real worker by hand, to see what it bears: what we make of each.

use celery_core::{
    codec::AcceptContent,
    envelope,
    protocol::{ProtocolErrorKind, TaskMessage},
};
use serde_json::Value;

use crate::captures;

/// What becomes of a message.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// It is a task's, and is run as far as there is such a task.
    Task,
    /// No envelope; the reason.
    NoEnvelope(String),
    /// Nobody's.
    NotATask,
    /// The body cannot be read; why, and whether there is an id to store a failure under.
    Undecodable(String, bool),
    /// The protocol is broken; how, and whether there is an id.
    Malformed(String, bool),
}

fn outcome(raw: &[u8]) -> Outcome {
    let message = match envelope::from_json(raw) {
        Ok(message) => message,
        Err(malformed) => {
            assert_eq!(malformed.raw, raw);
            return Outcome::NoEnvelope(malformed.reason);
        }
    };
    match TaskMessage::decode(&message, &AcceptContent::new(["json"]).unwrap()) {
        Ok(_) => Outcome::Task,
        Err(error) => match error.kind {
            ProtocolErrorKind::NotATask => Outcome::NotATask,
            ProtocolErrorKind::Undecodable(why) => {
                Outcome::Undecodable(why.to_string(), error.id.is_some())
            }
            ProtocolErrorKind::Malformed(why) => Outcome::Malformed(why, error.id.is_some()),
            other => panic!("{other}"),
        },
    }
}

/// Those that are not run, each with why. A Python worker runs the others, or ran them in a test without an id, or with
/// one that it could not store, or lost its connection over properties that we can do without.
fn refused(case: &str) -> Option<Outcome> {
    use Outcome::{Malformed, NoEnvelope, NotATask, Undecodable};
    let malformed = |why: &str| Malformed(why.to_owned(), true);
    Some(match case {
        "no_id_header" | "v1_no_id" => Malformed("it has no `id`".to_owned(), false),
        "stringified_ids_as_ints" => Malformed("`id` is a number and not text".to_owned(), false),
        "no_content_type" => malformed("it has no `content-type`, so that its body cannot be read"),
        "no_body" => malformed("it has no body"),
        "body_two_elements" => malformed("its body has 2 elements and not three: args, kwargs and embed"),
        "args_null" => malformed("`args` is null and not a list"),
        "kwargs_null" => malformed("`kwargs` is null and not an object"),
        "kwargs_list" => malformed("`kwargs` is a list and not an object"),
        "bad_eta" => malformed("`eta`: \"tomorrow\" is not an ISO 8601 date such as 2030-01-02T03:04:05+00:00"),
        "bad_expires" => malformed("`expires`: \"soon\" is not an ISO 8601 date such as 2030-01-02T03:04:05+00:00"),
        // Without properties nothing says that its body is base64.
        "body_bad_json" | "no_properties" => Undecodable("the body is not valid json".to_owned(), true),
        "unaccepted_content_type" => Undecodable(
            "refusing pickled content (application/x-python-serialize): reading it runs code that the sender chose; \
             let the sender use task_serializer = \"json\""
                .to_owned(),
            true,
        ),
        "unknown_content_type" => Undecodable(
            "refusing to deserialize untrusted content of type \"application/x-nonsense\": \
             add it to accept_content if its senders are trusted"
                .to_owned(),
            true,
        ),
        "unknown_compression" => {
            Undecodable("there is no compression \"application/x-nope\": use zlib, bzip2 or zstd".to_owned(), true)
        }
        "headers_null" | "no_headers" => NotATask,
        "body_bad_base64" => NoEnvelope("its body is not base64: Invalid symbol 42, offset 0.".to_owned()),
        "not_json" => NoEnvelope("it is not JSON: expected value at line 1 column 1".to_owned()),
        "json_number" => NoEnvelope(
            "it is no message: invalid type: integer `17`, expected an object at line 1 column 2".to_owned(),
        ),
        "json_list" => {
            NoEnvelope("it is no message: invalid type: sequence, expected an object at line 1 column 0".to_owned())
        }
        _ => return None,
    })
}

#[test]
fn each_handmade_message_is_run_or_refused_with_its_reason() {
    let capture = captures::read("faults/handmade_messages");
    let cases = capture["cases"].as_object().unwrap();
    assert_eq!(cases.len(), 44);
    for (name, case) in cases {
        let raw = match &case["pushed"] {
            Value::String(text) => text.clone(),
            envelope => envelope.to_string(),
        };
        assert_eq!(outcome(raw.as_bytes()), refused(name).unwrap_or(Outcome::Task), "{name}");
        // What a real worker ran to success, we run.
        let results = case["results"].as_object().unwrap();
        if results.values().any(|result| result["status"] == "SUCCESS") {
            assert_eq!(refused(name), None, "{name}");
        }
    }
}
