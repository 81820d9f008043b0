//! JSON beside what Python's `json` module writes and reads.

use serde_json::json;

use super::super::json as codec;
use crate::value::{Value, number};

fn vectors(file: &str) -> Value {
    serde_json::from_str(file).unwrap()
}

#[test]
fn floats_print_as_python_prints_them() {
    let file = vectors(include_str!("../../../tests/fixtures/vectors/floats.json"));
    let floats = file["floats"].as_array().unwrap();
    assert!(floats.len() >= 300);
    for case in floats {
        let float = f64::from_bits(case["bits"].as_str().unwrap().parse().unwrap());
        let repr = case["repr"].as_str().unwrap();
        let mut printed = String::new();
        number::write_float(&mut printed, float);
        assert_eq!(printed, repr);
        assert_eq!(
            codec::from_str(repr).unwrap().as_f64().unwrap().to_bits(),
            float.to_bits(),
            "{repr}"
        );
        let yaml = super::super::yaml::encode(&json!([float]));
        assert_eq!(&yaml[2..yaml.len() - 1], case["yaml"].as_str().unwrap());
    }
}

#[test]
fn what_kombu_dumped_is_written_back_byte_for_byte() {
    let file = vectors(include_str!("../../../tests/fixtures/vectors/json.json"));
    for text in file["dumped"].as_array().unwrap() {
        let text = text.as_str().unwrap();
        assert_eq!(codec::to_string(&codec::from_str(text).unwrap()), text);
    }
}

#[test]
fn what_json_lacks_is_read_into_typed_values() {
    let check =
        |text: &str, expect: Value| assert_eq!(codec::from_str(text).unwrap(), expect, "{text}");
    let typed = |kind: &str, text: &str| json!({ "__type__": kind, "__value__": text });
    check(
        "[NaN, Infinity,-Infinity]",
        json!([typed("float", "nan"), typed("float", "inf"), typed("float", "-inf")]),
    );
    check(
        r#"["NaN", "\"NaN", {"Infinity": NaN}]"#,
        json!(["NaN", "\"NaN", { "Infinity": typed("float", "nan") }]),
    );
    check("18446744073709551616", typed("int", "18446744073709551616"));
    check("[18446744073709551615, -9223372036854775808]", json!([u64::MAX, i64::MIN]));
    check("-9223372036854775809", typed("int", "-9223372036854775809"));
    check("1e999", typed("float", "inf"));
    check("-1.5E+400", typed("float", "-inf"));
    check("1e-999", json!(0.0));
    check("[-0, -0.0]", json!([0, -0.0]));
    check("\u{feff}[1]", json!([1]));
    check(r#"{"a": 1, "a": 2}"#, json!({ "a": 2 }));
    // Kept, where Python's reader fails.
    let strange = json!({ "__type__": "complex", "__value__": [1, 2] });
    check(&codec::to_string(&strange), strange);
    let broken = json!({ "__type__": "int", "__value__": "1, 2" });
    check(&codec::to_string(&broken), broken.clone());
}

#[test]
fn what_is_not_json_is_refused_with_its_place() {
    for text in [
        "",
        " ",
        "[",
        "nan",
        "-NaN",
        "Inf",
        "NaNa",
        "01",
        "+1",
        "1.",
        ".5",
        "1.e999",
        "-",
        "[1,]",
        "{NaN: 1}",
        "{1: 2}",
        "'a'",
        "\"\n\"",
        "[1] 2",
        "1NaN",
        "\"abc",
        "\"\\",
        "00000000000000000000001",
        "1e9999999999x",
        "\u{feff}",
    ] {
        assert!(codec::from_str(text).is_err(), "{text:?} was read");
    }
    let surrogate = codec::from_str(r#"["\ud800"]"#).unwrap_err();
    let reason = std::error::Error::source(&surrogate).unwrap().to_string();
    assert!(reason.contains("hex escape") && reason.contains("line 1"), "{reason}");
    assert_eq!(codec::from_str(r#""\ud83d\ude00""#).unwrap(), "😀");
    assert!(codec::from_slice(b"\"\xff\"").is_err());
}
