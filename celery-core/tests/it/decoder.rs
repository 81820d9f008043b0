//! The readers hold against everything, and what is written is read as it was.

use std::sync::LazyLock;

use bytes::Bytes;
use celery_core::{
    codec::{AcceptContent, Compression, Serializer},
    envelope::{self, BodyEncoding},
    message::{DeliveryInfo, Message},
    protocol::{Embed, TaskHeaders, TaskMessage, task_name},
    value::{Map, Value},
};
use jiff::tz::TimeZone;
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Number, json};

use crate::captures;

static GOOD: LazyLock<Vec<String>> = LazyLock::new(|| {
    let names = [
        "msg/delay",
        "msg/headers",
        "msg/expires_seconds",
        "msg/serializer_msgpack",
        "msg/serializer_yaml",
        "msg/compression_zlib",
        "msg/compression_bzip2",
        "msg/compression_zstd",
        "options/protocol1",
        "options/body_encoding_utf8",
        "canvas/chord_nested_header",
        "canvas/stamped_chain_link",
    ];
    names.iter().flat_map(|name| captures::envelopes(&captures::read(name))).collect()
});

fn everything() -> AcceptContent {
    AcceptContent::new(["json", "msgpack", "yaml"]).unwrap()
}

/// Reads it as far as that goes; what was read can be written, and reads the same.
fn read_through(raw: &[u8]) {
    let Ok(message) = envelope::from_json(raw) else { return };
    let again = envelope::from_json(&envelope::to_json(&message, BodyEncoding::Utf8))
        .expect("it was written by us");
    assert_eq!(again.body, message.body);
    assert_eq!(again.headers, message.headers);
    read_task(&message);
}

fn read_task(message: &Message) {
    task_name(message);
    match TaskMessage::decode(message, &everything()) {
        Ok(task) => {
            assert!(task.eta(&TimeZone::UTC).is_ok() && task.expires(&TimeZone::UTC).is_ok());
            let written =
                task.encode(Serializer::Json, None).expect("it was not too deep to be read");
            let again = TaskMessage::decode(&written, &everything()).expect("it was written by us");
            assert_eq!((again.id, again.args), (task.id, task.args));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        "[ -~é☃]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec(("[a-z_]{1,6}", inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn map(keys: &'static str) -> impl Strategy<Value = Map> {
    vec((keys, value()), 0..4).prop_map(|entries| entries.into_iter().collect())
}

fn text() -> impl Strategy<Value = String> {
    "[ -~é☃]{0,12}"
}

fn date() -> impl Strategy<Value = String> {
    select(vec!["2030-01-02T03:04:05", "2030-01-02T03:04:05.678901+05:30", "2030-01-02T03:04:05Z"])
        .prop_map(str::to_owned)
}

fn seconds() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<u32>().prop_map(Number::from),
        (0.001..1e6).prop_map(|it| Number::from_f64(it).unwrap())
    ]
}

fn headers() -> impl Strategy<Value = TaskHeaders> {
    let who = (
        option::of(text()),
        option::of(text()),
        option::of(text()),
        option::of(any::<i64>()),
        any::<u32>(),
    );
    let when =
        (option::of(date()), option::of(date()), option::of(seconds()), option::of(seconds()));
    let shown = (
        option::of(text()),
        option::of(text()),
        option::of(text()),
        option::of(any::<bool>()),
        any::<u32>(),
    );
    let stamps = (option::of(vec(text().prop_map(Value::from), 0..3)), map("[a-z]{1,5}"));
    (who, when, shown, stamps, text()).prop_map(|(who, when, shown, stamps, root_id)| TaskHeaders {
        lang: Some("py".to_owned()),
        shadow: who.0,
        group: who.1,
        parent_id: who.2,
        group_index: who.3,
        retries: who.4 >> 1,
        eta: when.0,
        expires: when.1,
        timelimit: (when.2, when.3),
        argsrepr: shown.0,
        kwargsrepr: shown.1,
        origin: shown.2,
        ignore_result: shown.3,
        replaced_task_nesting: shown.4 >> 1,
        stamped_headers: stamps.0,
        stamps: stamps.1,
        root_id: Some(root_id),
    })
}

fn embed() -> impl Strategy<Value = Embed> {
    let signatures = || option::of(vec(value(), 0..3));
    let chord = option::of(map("[a-z]{1,5}").prop_map(Value::Object));
    (signatures(), signatures(), signatures(), chord, map("x_[a-z]{1,5}")).prop_map(
        |(callbacks, errbacks, chain, chord, extra)| Embed {
            callbacks,
            errbacks,
            chain,
            chord,
            extra,
        },
    )
}

fn delivery_info() -> impl Strategy<Value = DeliveryInfo> {
    (text(), text(), any::<bool>(), any::<u32>(), map("x_[a-z]{1,5}")).prop_map(
        |(exchange, routing_key, redelivered, delivery_count, extra)| DeliveryInfo {
            exchange,
            routing_key,
            redelivered,
            delivery_count,
            extra,
        },
    )
}

fn task_message() -> impl Strategy<Value = TaskMessage> {
    let call = (text(), text(), vec(value(), 0..4), map("[a-z]{1,5}"));
    let properties = (
        option::of(text()),
        text(),
        any::<i64>(),
        1u8..=2,
        option::of("[0-9]{1,6}"),
        delivery_info(),
    );
    let extra = (map("x-[a-z]{1,5}"), map("x_[a-z]{1,5}"));
    (call, embed(), headers(), properties, extra).prop_map(
        |(call, embed, headers, properties, extra)| TaskMessage {
            task: call.0,
            id: call.1,
            args: call.2,
            kwargs: call.3,
            embed,
            headers,
            reply_to: properties.0,
            correlation_id: Some(properties.1),
            priority: Some(properties.2),
            delivery_mode: Some(properties.3),
            expiration: properties.4,
            delivery_info: properties.5,
            extra_headers: extra.0,
            extra_properties: extra.1,
            content_type: String::new(),
            compression: None,
        },
    )
}

/// A change of some bytes, somewhere.
#[derive(Clone, Debug)]
enum Change {
    Put(prop::sample::Index, Vec<u8>),
    Cut(prop::sample::Index, usize),
    Swap(prop::sample::Index, &'static str),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    let pieces = vec![
        "null",
        "NaN",
        "[]",
        "{}",
        "\"\"",
        "-1",
        "1e400",
        "99999999999999999999",
        "\\ud800",
        "]",
        "}",
    ];
    prop_oneof![
        (at(), vec(any::<u8>(), 1..4)).prop_map(|(at, bytes)| Change::Put(at, bytes)),
        (at(), 1usize..40).prop_map(|(at, len)| Change::Cut(at, len)),
        (at(), select(pieces)).prop_map(|(at, piece)| Change::Swap(at, piece)),
    ]
}

impl Change {
    fn make(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::Put(at, new) => {
                let at = at.index(bytes.len());
                let end = bytes.len().min(at + new.len());
                bytes.splice(at..end, new.iter().copied());
            }
            Self::Cut(at, len) => {
                let at = at.index(bytes.len());
                let end = bytes.len().min(at + len);
                bytes.drain(at..end);
            }
            // In place of a whole value, as far as the next delimiter.
            Self::Swap(at, piece) => {
                let at = at.index(bytes.len());
                let Some(start) =
                    bytes[at..].iter().position(|byte| *byte == b':').map(|found| at + found + 1)
                else {
                    return;
                };
                let len = bytes[start..].iter().position(|byte| b",}]".contains(byte)).unwrap_or(0);
                bytes.splice(start..start + len, piece.bytes());
            }
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(raw: Vec<u8>) {
        read_through(&raw);
    }

    #[test]
    fn no_json_makes_a_reader_panic(value in value()) {
        read_through(value.to_string().as_bytes());
    }

    #[test]
    fn no_change_of_a_good_message_makes_a_reader_panic(
        which: prop::sample::Index,
        changes in vec(change(), 1..4),
    ) {
        let mut raw = which.get(&GOOD[..]).clone().into_bytes();
        changes.iter().for_each(|change| change.make(&mut raw));
        read_through(&raw);
    }

    #[test]
    fn no_change_of_a_good_body_makes_a_reader_panic(
        which: prop::sample::Index,
        changes in vec(change(), 1..4),
    ) {
        let mut message = envelope::from_json(which.get(&GOOD[..]).as_bytes()).unwrap();
        let mut body = message.body.to_vec();
        changes.iter().for_each(|change| change.make(&mut body));
        message.body = Bytes::from(body);
        read_task(&message);
    }

    #[test]
    fn no_type_of_a_header_makes_a_reader_panic(which: prop::sample::Index, header: prop::sample::Index, value in value()) {
        let mut message = envelope::from_json(which.get(&GOOD[..]).as_bytes()).unwrap();
        let names: Vec<String> = message.headers.keys().map(str::to_owned).chain(["task".to_owned()]).collect();
        message.headers.insert(header.get(&names).clone(), value);
        read_task(&message);
    }

    #[test]
    fn a_task_message_reads_as_it_was_written(
        task in task_message(),
        serializer in select(vec![Serializer::Json, Serializer::Msgpack, Serializer::Yaml]),
        compression in option::of(select(vec![Compression::Zlib, Compression::Bzip2, Compression::Zstd])),
        encoding in select(vec![BodyEncoding::Base64, BodyEncoding::Utf8]),
    ) {
        let message = task.encode(serializer, compression).unwrap();
        let json = envelope::to_json(&message, encoding);
        prop_assert!(json.is_ascii());
        let read = envelope::from_json(&json).unwrap();
        prop_assert_eq!(&read, &message);
        let expected = TaskMessage {
            content_type: serializer.content_type().to_owned(),
            compression: compression.map(|it| it.mime().to_owned()),
            ..task
        };
        prop_assert_eq!(TaskMessage::decode(&read, &everything()).unwrap(), expected);
    }
}

#[test]
fn numbers_that_only_python_writes_survive() {
    let raw = br#"{"body": "", "headers": {"a": NaN, "b": [123456789012345678901234567890, -Infinity]}, "properties": {"delivery_info": {"exchange": "", "routing_key": ""}, "body_encoding": "base64", "delivery_tag": ""}}"#;
    let message = envelope::from_json(raw).unwrap();
    assert_eq!(
        envelope::to_json(&message, BodyEncoding::Base64).escape_ascii().to_string(),
        raw.escape_ascii().to_string()
    );
    let raw = br#"{"headers": {"b": [123456789012345678901234567890]}}"#;
    let written = envelope::to_json(&envelope::from_json(raw).unwrap(), BodyEncoding::Base64);
    assert!(written.escape_ascii().to_string().contains("[123456789012345678901234567890]"));
}

#[test]
fn a_body_with_broken_lines_or_without_padding_is_read() {
    let message = |body: &str, encoding: Value| {
        let envelope = json!({ "body": body, "properties": { "body_encoding": encoding } });
        envelope::from_json(envelope.to_string().as_bytes())
    };
    assert_eq!(&message("W1sx\r\nLCAy\nXQ==", json!("base64")).unwrap().body[..], b"[[1, 2]");
    assert_eq!(&message("W1sxLCAyXQ", json!("base64")).unwrap().body[..], b"[[1, 2]");
    assert_eq!(&message("[1]", json!(null)).unwrap().body[..], b"[1]");
    assert_eq!(
        message("[1]", json!("rot13")).unwrap_err().to_string(),
        "its body has the encoding \"rot13\", and only base64 and utf-8 are known"
    );
}
