use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{codec::json, value::tests::any_value};

#[test]
fn values_print_as_saferepr_prints_them() {
    let file: Value =
        serde_json::from_str(include_str!("../../tests/fixtures/vectors/repr.json")).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert!(cases.len() > 1000);
    for case in cases {
        let text = case["json"].as_str().unwrap();
        let given = json::from_str(text).unwrap();
        let limits = Limits {
            max_len: case["max_len"].as_u64().map(|it| it as usize),
            max_levels: case["max_levels"].as_u64().unwrap() as usize,
        };
        let printed = match &given {
            Value::Array(items) if case["tuple"] == true => args(items, &limits),
            Value::Object(map) if Tagged::of(map).is_none() => kwargs(map, &limits),
            _ => value(&given, &limits),
        };
        assert_eq!(printed, case["repr"].as_str().unwrap(), "{text} within {limits:?}");
    }
}

#[test]
fn the_arguments_of_a_real_message_print_as_python_printed_them() {
    for file in [
        include_str!("../../tests/fixtures/golden/msg/argsrepr_long.json"),
        include_str!("../../tests/fixtures/golden/msg/json_special_types.json"),
    ] {
        let capture = json::from_str(file).unwrap();
        let message = &capture["messages"][0];
        let headers = &message["envelope"]["headers"];
        let body = json::from_str(message["body_bytes"].as_str().unwrap()).unwrap();
        let limits = Limits::default();
        assert_eq!(
            args(body[0].as_array().unwrap(), &limits),
            headers["argsrepr"].as_str().unwrap()
        );
        // The tuples within have become lists on their way through JSON.
        let lists = headers["kwargsrepr"]
            .as_str()
            .unwrap()
            .replace("(1,)", "[1]")
            .replace("(...)", "[...]");
        assert_eq!(kwargs(body[1].as_object().unwrap(), &limits), lists);
    }
}

#[test]
fn arguments_that_the_caller_hides_are_not_what_would_be_printed() {
    let capture: Value = serde_json::from_str(include_str!(
        "../../tests/fixtures/golden/msg/argsrepr_explicit.json"
    ))
    .unwrap();
    let message = &capture["messages"][0];
    assert_eq!(message["envelope"]["headers"]["argsrepr"], "(secret)");
    let body = json::from_str(message["body_bytes"].as_str().unwrap()).unwrap();
    assert_eq!(args(body[0].as_array().unwrap(), &Limits::default()), "(2, 3)");
}

#[test]
fn a_form_that_python_would_not_write_prints_as_the_object_it_is() {
    let odd = json!({ "__type__": "datetime", "__value__": "soon" });
    assert_eq!(value(&odd, &Limits::default()), "{'__type__': 'datetime', '__value__': 'soon'}");
}

proptest! {
    #[test]
    fn a_repr_is_about_as_long_as_its_limit(given in any_value(), max_len in 0_usize..200, max_levels in 0_usize..5) {
        let printed = value(&given, &Limits { max_len: Some(max_len), max_levels });
        // The last piece may take all that is left again, for escapes or hex; then come the brackets.
        prop_assert!(printed.chars().count() <= 3 * max_len + 64, "{printed}");
    }
}
