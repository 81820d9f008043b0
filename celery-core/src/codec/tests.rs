mod hostile;
mod json_vectors;
mod yaml_vectors;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::value::tests::any_value;

macro_rules! golden {
    ($name:literal) => {
        json::from_str(include_str!(concat!("../../tests/fixtures/golden/", $name))).unwrap()
    };
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn hex(value: &Value) -> Vec<u8> {
    let digits = text(value);
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

/// The body of a captured message, in bytes.
fn body(capture: &Value) -> Vec<u8> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.decode(text(&capture["messages"][0]["envelope"]["body"])).unwrap()
}

fn property<'a>(capture: &'a Value, name: &str) -> Option<&'a str> {
    capture["messages"][0]["envelope"][name].as_str()
}

fn decode_capture(capture: &Value, accept: &AcceptContent) -> Result<Value, DecodeError> {
    let compression = capture["messages"][0]["envelope"]["headers"]["compression"].as_str();
    let (kind, encoding) =
        (property(capture, "content-type"), property(capture, "content-encoding"));
    decode(&body(capture), kind, encoding, compression, accept)
}

#[test]
fn each_serializer_reads_pythons_body_and_writes_the_same_bytes() {
    for (serializer, capture) in [
        (Serializer::Json, golden!("msg/serializer_json.json")),
        (Serializer::Msgpack, golden!("msg/serializer_msgpack.json")),
        (Serializer::Yaml, golden!("msg/serializer_yaml.json")),
    ] {
        assert_eq!(property(&capture, "content-type"), Some(serializer.content_type()));
        assert_eq!(property(&capture, "content-encoding"), Some(serializer.content_encoding()));
        let value = decode_capture(&capture, &serializer.into()).unwrap();
        assert_eq!(value, capture["messages"][0]["body_decoded"]);
        assert_eq!(serializer.encode(&value).unwrap(), body(&capture));
    }
}

#[test]
fn typed_values_of_a_real_message_are_written_back_byte_for_byte() {
    let capture = golden!("msg/json_special_types.json");
    let value = decode_capture(&capture, &AcceptContent::default()).unwrap();
    assert_eq!(Serializer::Json.encode(&value).unwrap(), body(&capture));
}

#[test]
fn results_read_in_every_serializer() {
    let capture = golden!("results/serializers_and_options.json");
    for (serializer, options) in [
        (
            Serializer::Msgpack,
            r#"{"result_serializer": "msgpack", "accept_content": ["json", "msgpack"]}"#,
        ),
        (Serializer::Yaml, r#"{"result_serializer": "yaml", "accept_content": ["json", "yaml"]}"#),
        (Serializer::Json, r#"{"task_serializer": "json"}"#),
    ] {
        let stored = capture["results"][options].as_object().unwrap();
        assert_eq!(stored.len(), 2);
        for meta in stored.values() {
            let bytes = match &meta["value"] {
                Value::String(text) => text.clone().into_bytes(),
                other => hex(&other["$hex"]),
            };
            let value = serializer.decode(&bytes).unwrap();
            match text(&value["status"]) {
                "SUCCESS" => assert_eq!(value["result"], 3),
                _ => assert_eq!(value["result"]["exc_message"], json!(["no cheese", 42])),
            }
            let again = serializer.encode(&value).unwrap();
            assert_eq!(serializer.decode(&again).unwrap(), value);
            // PyYAML folds the long lines of a traceback; all else is the same.
            if serializer != Serializer::Yaml || value["status"] == "SUCCESS" {
                assert_eq!(again, bytes);
            }
        }
    }
}

#[test]
fn compressed_bodies_are_read_as_they_were_sent() {
    for (compression, capture) in [
        (Compression::Zlib, golden!("msg/compression_zlib.json")),
        (Compression::Zlib, golden!("msg/compression_gzip.json")),
        (Compression::Bzip2, golden!("msg/compression_bzip2.json")),
        (Compression::Zstd, golden!("msg/compression_zstd.json")),
    ] {
        let message = &capture["messages"][0];
        assert_eq!(message["envelope"]["headers"]["compression"], compression.mime());
        let plain = text(&message["body_bytes"]).as_bytes();
        let packed = hex(&message["body_compressed_hex"]);
        assert_eq!(compression.decompress(&packed).unwrap(), plain);
        assert_eq!(compression.decompress(&compression.compress(plain)).unwrap(), plain);
        assert_eq!(compression.compress(plain)[..2], packed[..2], "the stream starts as Python's");
        let value = decode_capture(&capture, &AcceptContent::default()).unwrap();
        assert_eq!(value, message["body_decoded"]);
    }
}

#[test]
fn pickle_brotli_and_lzma_are_refused_with_a_reason() {
    let check = |capture: Value, expect: &str| {
        let error = decode_capture(&capture, &AcceptContent::default()).unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
    };
    check(golden!("msg/serializer_pickle.json"), "runs code that the sender chose");
    check(golden!("msg/compression_brotli.json"), "\"application/x-brotli\" is not supported here");
    check(golden!("msg/compression_lzma.json"), "\"application/x-lzma\" is not supported here");
    assert_eq!(AcceptContent::new(["json", "pickle"]).unwrap_err(), UnknownSerializer::Pickle);
    assert_eq!(Serializer::from_name(PICKLE).unwrap_err(), UnknownSerializer::Pickle);
    let unknown = Serializer::from_name("xml").unwrap_err();
    assert_eq!(unknown.to_string(), "there is no serializer \"xml\": use json, msgpack or yaml");
    assert!(
        Compression::from_name("rar")
            .unwrap_err()
            .to_string()
            .starts_with("there is no compression \"rar\"")
    );
}

#[test]
fn only_accepted_content_is_read() {
    let json_only = AcceptContent::default();
    let refused = decode(b"- 1", Some("application/x-yaml"), None, None, &json_only).unwrap_err();
    assert!(
        matches!(&refused, DecodeError::NotAccepted(it) if it == "application/x-yaml"),
        "{refused}"
    );
    let read = decode(b"[1]", Some("application/json; charset=utf-8"), None, Some(""), &json_only);
    assert_eq!(read.unwrap(), json!([1]));
    let both = AcceptContent::new(["json", "application/x-yaml", "json"]).unwrap();
    assert_eq!(both.serializers(), [Serializer::Json, Serializer::Yaml]);
    assert_eq!(decode(b"- 1", Some("application/x-yaml"), None, None, &both).unwrap(), json!([1]));
}

#[test]
fn raw_bodies_are_text_or_bytes_as_stated() {
    let accept = AcceptContent::default();
    let read = |body: &[u8], kind: Option<&str>, encoding: Option<&str>| {
        decode(body, kind, encoding, None, &accept)
    };
    let bytes = json!({ "__type__": "base64", "__value__": "/w==" });
    assert_eq!(read(b"\xff", Some("application/data"), Some("binary")).unwrap(), bytes);
    assert_eq!(read("hé".as_bytes(), None, None).unwrap(), json!("hé"));
    assert_eq!(read(b"\xe9", Some("application/text"), Some("Latin-1")).unwrap(), json!("é"));
    assert!(matches!(read(b"\xe9", None, Some("us-ascii")), Err(DecodeError::Text(_))));
    assert!(matches!(read(b"\xe9", None, None), Err(DecodeError::Text(_))));
    assert!(matches!(read(b"", None, Some("utf-7")), Err(DecodeError::UnknownEncoding(_))));
    // Not among what kombu always trusts.
    assert!(matches!(read(b"a", Some("text/plain"), None), Err(DecodeError::NotAccepted(_))));
    let text = AcceptContent::new(["text/plain"]).unwrap();
    assert_eq!(decode(b"a", Some("text/plain"), None, None, &text).unwrap(), json!("a"));
}

#[test]
fn msgpack_has_what_python_packs() {
    let check = |bytes: &[u8], expect: Value| {
        assert_eq!(Serializer::Msgpack.decode(bytes).unwrap(), expect, "{bytes:x?}");
    };
    check(&[0xcf, 255, 255, 255, 255, 255, 255, 255, 255], json!(u64::MAX));
    check(&[0xca, 0x3f, 0xc0, 0, 0], json!(1.5));
    check(&[0xc4, 2, 0xff, 0xfe], json!({ "__type__": "base64", "__value__": "//4=" }));
    check(&[0x82, 1, 0xc0, 0xc3, 0xa1, b'x'], json!({ "1": null, "true": "x" }));
    let at = |text: &str| json!({ "__type__": "datetime", "__value__": text });
    check(&[0xd6, 0xff, 0, 0, 0, 1], at("1970-01-01T00:00:01+00:00"));
    check(
        &[0xd7, 0xff, 0x77, 0x35, 0x94, 0, 0x66, 0x38, 0x80, 0x49],
        at("2024-05-06T07:01:29.500000+00:00"),
    );
    let mut early = vec![0xc7, 12, 0xff, 0, 0, 0, 0];
    early.extend((-1_i64).to_be_bytes());
    check(&early, at("1969-12-31T23:59:59+00:00"));
    // What Python's packer refuses goes as text.
    let typed = json!([at("2024-05-06T00:00:00"), { "__type__": "uuid", "__value__": { "hex": "0".repeat(32) } }]);
    let sent = Serializer::Msgpack.encode(&typed).unwrap();
    let uuid = "00000000-0000-0000-0000-000000000000";
    assert_eq!(Serializer::Msgpack.decode(&sent).unwrap(), json!(["2024-05-06T00:00:00", uuid]));
    let large = json!({ "__type__": "int", "__value__": "18446744073709551616" });
    let error = Serializer::Msgpack.encode(&json!([large])).unwrap_err();
    assert!(
        error.to_string().starts_with("msgpack cannot express the integer 18446744073709551616"),
        "{error}"
    );
}

/// The one thing among these values that msgpack has no form for.
fn has_large_int(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_large_int),
        Value::Object(map) => {
            map.get("__type__").is_some_and(|it| it == "int") || map.values().any(has_large_int)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

proptest! {
    #[test]
    fn json_reads_what_it_wrote(value in any_value()) {
        let bytes = Serializer::Json.encode(&value).unwrap();
        prop_assert!(bytes.is_ascii());
        prop_assert_eq!(Serializer::Json.decode(&bytes).unwrap(), value);
    }

    #[test]
    fn msgpack_reads_what_it_wrote(value in any_value()) {
        match Serializer::Msgpack.encode(&value) {
            Ok(bytes) => prop_assert_eq!(Serializer::Msgpack.decode(&bytes).unwrap(), value),
            Err(error) => prop_assert!(has_large_int(&value), "{error}"),
        }
    }

    #[test]
    fn yaml_reads_what_it_wrote(value in any_value()) {
        let bytes = Serializer::Yaml.encode(&value).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        prop_assert_eq!(Serializer::Yaml.decode(&bytes).unwrap(), value, "{}", text);
    }
}
