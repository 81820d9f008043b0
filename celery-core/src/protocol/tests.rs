use serde_json::json;

use super::*;
use crate::codec::{AcceptContent, Compression, Serializer};

/// A message of these headers and this body.
#[expect(clippy::needless_pass_by_value, reason = "a test gives `json!` as it is")]
fn message(headers: Value, body: Value) -> Message {
    let Value::Object(headers) = headers else { panic!("headers are an object") };
    Message {
        body: Serializer::Json.encode(&body).unwrap(),
        content_type: Some("application/json".to_owned()),
        headers: headers.into(),
        ..Message::default()
    }
}

fn decode(headers: Value, body: Value) -> Result<TaskMessage, ProtocolError> {
    TaskMessage::decode(&message(headers, body), &AcceptContent::new(["json"]).unwrap())
}

/// Checks that a message is refused as malformed, for this reason, and that its task and id are known.
#[track_caller]
fn check_malformed(headers: Value, body: Value, reason: &str) {
    let error = decode(headers, body).unwrap_err();
    let ProtocolErrorKind::Malformed(fault) = &error.kind else { panic!("{error}") };
    assert_eq!(fault, reason);
    assert_eq!((error.task.as_deref(), error.id.as_deref()), (Some("t"), Some("i")));
    assert_eq!(error.to_string(), format!("the message breaks the task protocol: {reason}"));
}

#[test]
fn a_header_of_the_wrong_type_is_named() {
    let check = |header: &str, value: Value, reason: &str| {
        check_malformed(
            json!({ "task": "t", "id": "i", header: value }),
            json!([[], {}, {}]),
            reason,
        );
    };
    check("retries", json!("1"), "`retries` is text and not a whole number");
    check("retries", json!(-1), "`retries` is -1 and not a number of times");
    check("retries", json!(1.5), "`retries` is 1.5 and not a whole number of 64 bits");
    check("group_index", json!(true), "`group_index` is a boolean and not a whole number");
    check("timelimit", json!(60), "`timelimit` is a number and not a list of two, hard and soft");
    check("timelimit", json!([60]), "`timelimit` has 1 elements and not two, hard and soft");
    check(
        "timelimit",
        json!(["60", null]),
        "`timelimit` is text and not a list of two numbers of seconds, hard and soft",
    );
    check("eta", json!(17), "`eta` is a number and not text");
    check("shadow", json!({}), "`shadow` is an object and not text");
    check("ignore_result", json!("yes"), "`ignore_result` is text and not true or false");
    check("stamps", json!([]), "`stamps` is a list and not an object");
    check("stamped_headers", json!("team"), "`stamped_headers` is text and not a list");
    check("compression", json!(1), "`compression` is a number and not text");
}

#[test]
fn a_body_of_the_wrong_shape_is_named() {
    let check = |body: Value, reason: &str| {
        check_malformed(json!({ "task": "t", "id": "i" }), body, reason);
    };
    check(json!([[], {}, {}, {}]), "its body has 4 elements and not three: args, kwargs and embed");
    check(json!({}), "`body` is an object and not a list of args, kwargs and embed");
    check(json!("args"), "`body` is text and not a list of args, kwargs and embed");
    check(json!([{}, {}, {}]), "`args` is an object and not a list");
    check(json!([[], {}, 1]), "`embed` is a number and not an object");
    check(json!([[], {}, { "chain": {} }]), "`chain` is an object and not a list of signatures");
    check(json!([[], {}, { "chord": [] }]), "`chord` is a list and not a signature");
}

#[test]
fn null_stands_for_what_is_absent() {
    let headers: Vec<&str> = vec![
        "lang",
        "shadow",
        "eta",
        "expires",
        "group",
        "group_index",
        "retries",
        "timelimit",
        "root_id",
        "parent_id",
        "argsrepr",
        "kwargsrepr",
        "origin",
        "ignore_result",
        "replaced_task_nesting",
        "stamped_headers",
        "stamps",
        "compression",
    ];
    let mut nulls: Map = headers.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
    nulls.insert("task".to_owned(), "t".into());
    nulls.insert("id".to_owned(), "i".into());
    let bare = decode(json!({ "task": "t", "id": "i" }), json!([[], {}, null])).unwrap();
    assert_eq!(decode(Value::Object(nulls), json!([[], {}, []])).unwrap(), bare);
    assert_eq!(bare.headers, TaskHeaders::default());
    assert_eq!(bare.embed, Embed::default());
}

#[test]
fn a_hybrid_has_its_fields_in_the_body_and_its_headers_on_top() {
    let task = decode(
        json!({ "task": "t", "id": "i", "x": 1 }),
        json!({
            "task": "other", "id": "other", "args": [1], "retries": 2, "taskset": "g", "utc": true,
            "callbacks": [{ "task": "c" }],
        }),
    )
    .unwrap();
    assert_eq!((&*task.task, &*task.id, task.headers.retries), ("t", "i", 2));
    assert_eq!(task.headers.group.as_deref(), Some("g"));
    assert_eq!(task.embed.callbacks, Some(vec![json!({ "task": "c" })]));
    assert_eq!(json!(task.extra_headers), json!({ "x": 1 }));
}

#[test]
fn a_message_of_version_1_is_refused_under_its_own_id() {
    check_malformed(
        json!({}),
        json!({ "task": "t", "id": "i", "kwargs": [] }),
        "`kwargs` is a list and not an object",
    );
    check_malformed(
        json!({ "task": null }),
        json!({ "task": "t", "id": "i", "eta": 1 }),
        "`eta` is a number and not text",
    );
}

#[test]
fn what_names_no_task_is_nobodys() {
    let nobodys = |headers: Value, body: Value| {
        matches!(decode(headers, body).unwrap_err().kind, ProtocolErrorKind::NotATask)
    };
    assert!(nobodys(json!({}), json!([[], {}, {}])));
    assert!(nobodys(json!({ "task": null, "id": "i" }), json!({ "task": null })));
    assert!(nobodys(json!({ "hostname": "w1" }), json!({ "type": "worker-online" })));
    assert_eq!(task_name(&message(json!({ "hostname": "w1" }), json!(null))), None);
    assert_eq!(task_name(&message(json!({ "task": "t" }), json!(null))), Some("t"));
}

#[test]
fn a_task_message_says_what_celery_says_by_default() {
    let task = TaskMessage { id: "i".into(), task: "t".into(), ..TaskMessage::default() };
    let written = task.encode(Serializer::Json, None).unwrap();
    assert_eq!(
        written.body,
        r#"[[], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]"#
    );
    assert_eq!(
        Value::Object(written.headers.into()).to_string(),
        concat!(
            r#"{"lang":"py","task":"t","id":"i","shadow":null,"eta":null,"expires":null,"group":null,"#,
            r#""group_index":null,"retries":0,"timelimit":[null,null],"root_id":"i","parent_id":null,"argsrepr":null,"#,
            r#""kwargsrepr":null,"origin":null,"ignore_result":null,"replaced_task_nesting":0,"#,
            r#""stamped_headers":null,"stamps":{}}"#
        )
    );
    let properties = &written.properties;
    assert_eq!(properties.correlation_id.as_deref(), Some("i"));
    assert_eq!((properties.delivery_mode, properties.priority), (Some(2), Some(0)));
    assert_eq!(written.content_encoding.as_deref(), Some("utf-8"));
}

#[test]
fn a_header_of_the_callers_replaces_a_standard_one_and_the_compression_comes_last() {
    let extra_headers =
        Map::from_iter([("shadow".to_owned(), json!("s")), ("x".to_owned(), json!(1))]);
    let task =
        TaskMessage { id: "i".into(), task: "t".into(), extra_headers, ..TaskMessage::default() };
    let written = task.encode(Serializer::Msgpack, Some(Compression::Zlib)).unwrap();
    assert_eq!(written.headers["shadow"], "s");
    assert_eq!(written.headers.keys().rev().take(2).collect::<Vec<_>>(), ["compression", "x"]);
    assert_eq!(written.headers["compression"], "application/x-gzip");
    assert_eq!(written.content_type.as_deref(), Some("application/x-msgpack"));
}

#[test]
fn the_cause_of_an_undecodable_body_is_the_source() {
    let mut message = message(json!({ "task": "t", "id": "i" }), json!([]));
    message.body = "[".into();
    let error = TaskMessage::decode(&message, &AcceptContent::new(["json"]).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "the body is not valid json");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("EOF"), "{source}");
    assert_eq!(error.id.as_deref(), Some("i"));
}
