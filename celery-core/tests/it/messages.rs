//! Messages as Celery wrote them: read, and written again to the same bytes.

use celery_core::{
    codec::{AcceptContent, Compression, DecodeError, Serializer, json},
    date,
    envelope::{self, BodyEncoding},
    message::Message,
    protocol::{ProtocolErrorKind, RetryChanges, TaskMessage, task_name},
};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::captures;

fn everything() -> AcceptContent {
    AcceptContent::new(["json", "msgpack", "yaml"]).unwrap()
}

fn encoding(raw: &str) -> BodyEncoding {
    if raw.contains(r#""body_encoding": "utf-8""#) {
        BodyEncoding::Utf8
    } else {
        BodyEncoding::Base64
    }
}

/// Writes a message with what it came with.
fn encode(task: &TaskMessage) -> Message {
    let serializer = Serializer::from_name(&task.content_type).unwrap();
    let compression = task.compression.as_deref().map(|mime| Compression::from_mime(mime).unwrap());
    task.encode(serializer, compression).unwrap()
}

fn text(json: Vec<u8>) -> String {
    String::from_utf8(json).unwrap()
}

/// Reads and writes a task message, and holds what was written beside the original.
#[track_caller]
fn same_again(name: &str, raw: &str) -> TaskMessage {
    let message =
        envelope::from_json(raw.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
    let task = TaskMessage::decode(&message, &everything())
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(task_name(&message), Some(&*task.task), "{name}");
    let mut written = encode(&task);
    // The broker gives each copy its own.
    written.properties.delivery_tag = message.properties.delivery_tag.clone();
    if task.compression.is_some() {
        let codec = Compression::from_mime(task.compression.as_deref().unwrap()).unwrap();
        let plain = |message: &Message| codec.decompress(&message.body).unwrap();
        assert_eq!(plain(&written), plain(&message), "{name}");
        // Two libraries need not find the same way to compress.
        written.body = message.body.clone();
    }
    assert_eq!(text(envelope::to_json(&written, encoding(raw))), raw, "{name}");
    task
}

/// How many task messages the captures of a folder hold, each of which was read and written.
fn all_again(folder: &str, except: &[&str]) -> usize {
    let mut count = 0;
    for name in captures::names(folder).iter().filter(|name| !except.contains(&name.as_str())) {
        for raw in captures::envelopes(&captures::read(name)) {
            let message = envelope::from_json(raw.as_bytes())
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(text(envelope::to_json(&message, encoding(&raw))), raw, "{name}");
            // Events and remote control use envelopes, too.
            if task_name(&message).is_some() {
                same_again(name, &raw);
                count += 1;
            }
        }
    }
    count
}

#[test]
fn what_a_client_sends_is_written_to_the_same_bytes() {
    let other_codecs = ["msg/compression_brotli", "msg/compression_lzma", "msg/serializer_pickle"];
    assert_eq!(all_again("msg", &other_codecs), captures::names("msg").len() - other_codecs.len());
    assert_eq!(all_again("options", &["options/protocol1", "options/protocol1_chain"]), 7);
}

#[test]
fn what_the_canvas_sends_is_written_to_the_same_bytes() {
    let counts =
        ["canvas", "chord", "canvas_run", "worker", "beat"].map(|folder| all_again(folder, &[]));
    assert_eq!(counts, [39, 33, 12, 8, 6]);
}

#[test]
fn what_is_sent_in_codecs_that_we_lack_is_refused_by_name() {
    let refused = |name: &str| {
        let raw = captures::envelopes(&captures::read(name)).remove(0);
        let message = envelope::from_json(raw.as_bytes()).unwrap();
        let error = TaskMessage::decode(&message, &everything()).unwrap_err();
        assert_eq!(error.task.as_deref(), Some("wireapp.add"));
        assert_eq!(error.id.as_deref(), message.properties.correlation_id.as_deref());
        error.kind
    };
    for name in ["msg/compression_brotli", "msg/compression_lzma"] {
        let kind = refused(name);
        assert!(
            matches!(kind, ProtocolErrorKind::Undecodable(DecodeError::UnknownCompression(_))),
            "{name}: {kind}"
        );
    }
    assert!(matches!(
        refused("msg/serializer_pickle"),
        ProtocolErrorKind::Undecodable(DecodeError::Pickle)
    ));
}

#[test]
fn what_is_not_accepted_is_refused() {
    let raw = captures::envelopes(&captures::read("msg/serializer_yaml")).remove(0);
    let message = envelope::from_json(raw.as_bytes()).unwrap();
    let error = TaskMessage::decode(&message, &AcceptContent::new(["json"]).unwrap()).unwrap_err();
    assert!(
        matches!(error.kind, ProtocolErrorKind::Undecodable(DecodeError::NotAccepted(_))),
        "{error}"
    );
}

#[test]
fn a_message_of_version_1_reads_as_one_of_version_2() {
    let raw = captures::envelopes(&captures::read("options/protocol1")).remove(0);
    let message = envelope::from_json(raw.as_bytes()).unwrap();
    assert_eq!(text(envelope::to_json(&message, BodyEncoding::Base64)), raw);
    let body = json::from_slice(&message.body).unwrap();
    let task = TaskMessage::decode(&message, &everything()).unwrap();
    assert_eq!((&*task.task, json!(task.id)), ("wireapp.add", body["id"].clone()));
    assert_eq!(json!([task.args, task.kwargs]), json!([[2, 3], {}]));
    assert_eq!(
        json!([task.headers.eta, task.headers.expires]),
        json!([body["eta"], body["expires"]])
    );
    assert_eq!(json!(task.embed.callbacks), body["callbacks"]);
    assert_eq!((task.embed.errbacks.as_ref(), task.embed.chord.as_ref()), (None, None));
    assert_eq!(task.headers.argsrepr.as_deref(), Some("(2, 3)"));
    assert_eq!(json!(task.extra_headers), json!({ "x-a": "b" }));
    assert_eq!(task.expiration.as_deref(), Some("60000"));

    let again = TaskMessage::decode(&encode(&task), &everything()).unwrap();
    let headers = celery_core::protocol::TaskHeaders {
        // What version 1 has not, and version 2 always has.
        lang: Some("py".into()),
        root_id: Some(task.id.clone()),
        ..task.headers.clone()
    };
    assert_eq!(again, TaskMessage { headers, ..task });
}

#[test]
fn a_chain_of_version_1_is_nested_callbacks() {
    let raw = captures::envelopes(&captures::read("options/protocol1_chain")).remove(0);
    let task =
        TaskMessage::decode(&envelope::from_json(raw.as_bytes()).unwrap(), &everything()).unwrap();
    let callbacks = task.embed.callbacks.unwrap();
    assert_eq!(callbacks[0]["task"], "wireapp.mul");
    assert_eq!(callbacks[0]["options"]["link"][0]["task"], "wireapp.echo");
    assert_eq!(task.embed.chain, None);
}

#[test]
fn a_retry_is_the_message_that_celery_publishes() {
    let sent = captures::envelopes(&captures::read("worker/retry_republish"));
    let [first, second, ..] = &sent[..] else { panic!("the capture has {} messages", sent.len()) };
    let task = |raw: &str| {
        TaskMessage::decode(&envelope::from_json(raw.as_bytes()).unwrap(), &everything()).unwrap()
    };
    let (first, second) = (task(first), task(second));
    let mut retried = first.retry(RetryChanges {
        eta: second.headers.eta.clone(),
        origin: second.headers.origin.clone(),
        expiration: second.expiration.clone(),
        ..RetryChanges::default()
    });
    // Celery lets an option of its own slip into the properties; nobody reads it.
    assert!(retried.extra_properties.is_empty());
    retried.extra_properties = second.extra_properties.clone();
    assert_eq!(retried, second);
    assert_eq!(encode(&retried), encode(&second));
}

#[test]
fn a_retry_counts_up_and_leaves_behind_what_brokers_noted() {
    let raw = captures::envelopes(&captures::read("msg/headers")).remove(0);
    let mut message = envelope::from_json(raw.as_bytes()).unwrap();
    message.mark_redelivered();
    message.headers.insert("x-death".to_owned(), json!([{ "count": 1 }]));
    message.headers.insert("x-first-death-queue".to_owned(), json!("celery"));
    let task = TaskMessage::decode(&message, &everything()).unwrap();
    let changes = RetryChanges { args: Some(vec![json!(7)]), ..RetryChanges::default() };
    let twice = task.retry(changes).retry(RetryChanges::default());
    assert_eq!(json!(twice.extra_headers), json!({ "x-trace": "abc", "nested": { "a": 1 } }));
    assert!(task.delivery_info.redelivered && !twice.delivery_info.redelivered);
    assert_eq!((twice.headers.retries, &twice.args), (2, &vec![json!(7)]));
    assert_eq!(twice.headers.argsrepr.as_deref(), Some("(7,)"));
    assert_eq!((&twice.id, twice.headers.parent_id.as_ref()), (&task.id, Some(&task.id)));
}

#[test]
fn dates_are_read_with_their_offset_or_in_the_zone_given() {
    let eta = |name: &str, zone: &TimeZone| {
        let raw = captures::envelopes(&captures::read(name)).remove(0);
        same_again(name, &raw).eta(zone).unwrap().map(|at| date::format(at, &TimeZone::UTC))
    };
    let kolkata = TimeZone::get("Asia/Kolkata").unwrap();
    assert_eq!(eta("msg/eta", &kolkata).as_deref(), Some("2030-01-02T03:04:05+00:00"));
    assert_eq!(eta("msg/eta_offset", &kolkata).as_deref(), Some("2030-01-02T01:04:05+00:00"));
    assert_eq!(eta("msg/eta_naive", &TimeZone::UTC).as_deref(), Some("2030-01-02T03:04:05+00:00"));
    assert_eq!(eta("msg/eta_naive", &kolkata).as_deref(), Some("2030-01-01T21:34:05+00:00"));
    assert_eq!(
        eta("options/timezone", &TimeZone::UTC).as_deref(),
        Some("2026-11-22T17:47:53.851671+00:00")
    );
    assert_eq!(eta("msg/delay", &TimeZone::UTC), None);
}

#[test]
fn the_embedded_signatures_are_kept_whole() {
    for (name, field) in
        [("canvas/chain4", "chain"), ("canvas/chord", "chord"), ("msg/link_many", "callbacks")]
    {
        let raw = captures::envelopes(&captures::read(name)).remove(0);
        let message = envelope::from_json(raw.as_bytes()).unwrap();
        let body: Value = json::from_slice(&message.body).unwrap();
        let task = TaskMessage::decode(&message, &everything()).unwrap();
        let embed = json!({ "chain": task.embed.chain, "chord": task.embed.chord, "callbacks": task.embed.callbacks });
        assert!(!embed[field].is_null(), "{name}");
        assert_eq!(embed[field], body[2][field], "{name}");
    }
}
