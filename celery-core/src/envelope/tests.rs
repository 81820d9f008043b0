use serde_json::json;

use super::*;
use crate::value::Value;

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "a test gives `json!` as it is")]
fn read(envelope: Value) -> Message {
    from_json(envelope.to_string().as_bytes()).unwrap()
}

#[track_caller]
fn check_refused(envelope: &str, reason: &str) {
    let malformed = from_json(envelope.as_bytes()).unwrap_err();
    assert_eq!(malformed.to_string(), reason);
    assert_eq!(malformed.raw, envelope);
}

#[test]
fn keys_are_in_the_order_of_kombu_and_what_is_absent_is_left_out() {
    let mut message = read(json!({
        "later": [1],
        "properties": {
            "delivery_tag": "t", "priority": 3, "origin": "gen1@host", "expiration": "60000", "delivery_mode": 1,
            "delivery_info": { "redelivered": true, "x": null, "routing_key": "k", "exchange": "e" },
            "body_encoding": "base64", "reply_to": "r", "correlation_id": "c",
        },
        "headers": { "é": "\u{1f600}" }, "content-type": "application/json", "content-encoding": "utf-8", "body": "W10=",
    }));
    let written = String::from_utf8(to_json(&message, BodyEncoding::Base64)).unwrap();
    assert_eq!(
        written,
        concat!(
            r#"{"body": "W10=", "content-encoding": "utf-8", "content-type": "application/json", "#,
            r#""headers": {"\u00e9": "\ud83d\ude00"}, "properties": {"correlation_id": "c", "reply_to": "r", "#,
            r#""origin": "gen1@host", "delivery_mode": 1, "expiration": "60000", "delivery_info": {"exchange": "e", "#,
            r#""routing_key": "k", "redelivered": true, "x": null}, "priority": 3, "body_encoding": "base64", "#,
            r#""delivery_tag": "t"}, "later": [1]}"#
        )
    );
    message = Message::default();
    assert_eq!(
        to_json(&message, BodyEncoding::Base64).escape_ascii().to_string().replace('\\', ""),
        concat!(
            r#"{"body": "", "headers": {}, "properties": {"delivery_info": {"exchange": "", "routing_key": ""}, "#,
            r#""body_encoding": "base64", "delivery_tag": ""}}"#
        )
    );
}

#[test]
fn what_may_be_missing_is_done_without() {
    assert_eq!(read(json!({})), Message::default());
    assert_eq!(
        read(json!({ "headers": null, "properties": null, "body": null })),
        Message::default()
    );
    let nulls = json!({ "delivery_info": null, "delivery_tag": null, "body_encoding": null, "priority": null });
    assert_eq!(read(json!({ "properties": nulls })), Message::default());
}

#[test]
fn a_property_of_another_type_is_kept_and_written_again() {
    let message = read(
        json!({ "properties": { "priority": "high", "reply_to": 7, "delivery_mode": 3.5, "delivery_tag": 9 } }),
    );
    let properties = &message.properties;
    assert_eq!(
        (properties.priority, &properties.reply_to, properties.delivery_mode),
        (None, &None, None)
    );
    assert_eq!(properties.delivery_tag, "9");
    assert_eq!(from_json(&to_json(&message, BodyEncoding::Base64)).unwrap(), message);
}

#[test]
fn the_last_of_two_equal_keys_stands_as_in_python() {
    let message =
        from_json(br#"{"content-type": "a", "content-type": "b", "headers": {"k": 1, "k": 2}}"#)
            .unwrap();
    assert_eq!(message.content_type.as_deref(), Some("b"));
    assert_eq!(message.headers["k"], 2);
}

#[test]
fn a_body_that_is_no_text_is_base64_whatever_was_asked_for() {
    let mut message = Message { body: Bytes::from_static(b"\xff"), ..Message::default() };
    let envelope = |message: &Message| {
        serde_json::from_slice::<Value>(&to_json(message, BodyEncoding::Utf8)).unwrap()
    };
    let binary = envelope(&message);
    assert_eq!(
        (&binary["body"], &binary["properties"]["body_encoding"]),
        (&json!("/w=="), &json!("base64"))
    );
    message.body = Bytes::from_static("é\n".as_bytes());
    let text = envelope(&message);
    assert_eq!(
        (&text["body"], &text["properties"]["body_encoding"]),
        (&json!("é\n"), &json!("utf-8"))
    );
}

#[test]
fn a_redelivered_message_says_so_where_kombu_does() {
    let mut message = Message::default();
    message.mark_redelivered();
    let envelope: Value = serde_json::from_slice(&to_json(&message, BodyEncoding::Base64)).unwrap();
    assert_eq!(envelope["headers"]["redelivered"], true);
    assert_eq!(envelope["properties"]["delivery_info"]["redelivered"], true);
    assert_eq!(read(envelope), message);
}

#[test]
fn what_is_no_envelope_is_refused_with_the_reason() {
    check_refused("", "it is not JSON: EOF while parsing a value at line 1 column 0");
    check_refused(
        r#"{"body": "W10="#,
        "it is not JSON: EOF while parsing a string at line 1 column 14",
    );
    check_refused(
        r#""text""#,
        r#"it is no message: invalid type: string "text", expected an object at line 1 column 6"#,
    );
    check_refused(
        r#"{"headers": []}"#,
        "it is no message: invalid type: sequence, expected a map at line 1 column 12",
    );
    check_refused(
        r#"{"properties": {"delivery_info": "celery"}}"#,
        "it is no message: its `delivery_info` is not an object at line 1 column 42",
    );
    check_refused(
        r#"{"body": "", "properties": {"body_encoding": "hex"}}"#,
        "its body has the encoding \"hex\", and only base64 and utf-8 are known",
    );
    check_refused(
        r#"{"headers": {"n": NaN}, "body": 7}"#,
        "it is no message: invalid type: integer `7`, expected a string",
    );
}
