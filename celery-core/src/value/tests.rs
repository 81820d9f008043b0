use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{python, *};

/// Any value that a body may hold, Python's typed values among them.
pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(tagged::float),
        any::<i128>().prop_map(|it| tagged::int(&it.to_string())),
        any::<String>().prop_map(Value::from),
        "[-+0-9:._eExob~ynotrufalsNUL#'\" ]{0,8}".prop_map(Value::from),
        any::<Vec<u8>>().prop_map(|it| tagged::bytes(&it)),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec(("\\PC{0,6}|[a-z]{0,6}|x{120,130}", inner), 0..6)
                .prop_map(|it| Value::Object(it.into_iter().collect())),
        ]
    })
}

fn tagged_text(kind: &str, text: &str) -> Value {
    json!({ "__type__": kind, "__value__": text })
}

#[test]
fn typed_values_read_into_the_types_of_their_kind() {
    let at = "2024-05-06T07:08:09.123456+00:00";
    assert_eq!(
        from_value::<jiff::Timestamp>(tagged_text("datetime", at)).unwrap(),
        "2024-05-06T07:08:09.123456Z".parse().unwrap()
    );
    assert_eq!(from_value::<String>(tagged_text("datetime", at)).unwrap(), at);
    let day: jiff::civil::Date = from_value(tagged_text("date", "2024-05-06")).unwrap();
    assert_eq!(day, jiff::civil::date(2024, 5, 6));
    let time: jiff::civil::Time = from_value(tagged_text("time", "07:08:09")).unwrap();
    assert_eq!(time, jiff::civil::time(7, 8, 9, 0));
    assert_eq!(from_value::<String>(tagged_text("decimal", "1.50")).unwrap(), "1.50");
    let id: uuid::Uuid = from_value(tagged::uuid(uuid::Uuid::from_u128(5))).unwrap();
    assert_eq!(id, uuid::Uuid::from_u128(5));
    assert_eq!(from_value::<Vec<u8>>(tagged_text("bytes", "hé")).unwrap(), "hé".as_bytes());
    assert_eq!(from_value::<Vec<u8>>(tagged_text("base64", "//4=")).unwrap(), [0xff, 0xfe]);
    assert_eq!(from_value::<String>(tagged_text("bytes", "hé")).unwrap(), "hé");
    assert!(from_value::<f64>(tagged_text("float", "nan")).unwrap().is_nan());
    assert_eq!(from_value::<f32>(tagged_text("float", "-inf")).unwrap(), f32::NEG_INFINITY);
    let large = "170141183460469231731687303715884105728";
    assert_eq!(from_value::<u128>(tagged_text("int", large)).unwrap().to_string(), large);
    assert_eq!(
        from_value::<i128>(tagged_text("int", "-18446744073709551616")).unwrap(),
        -(1 << 64)
    );
    assert_eq!(from_value::<f64>(tagged_text("int", "1000000000000000000000")).unwrap(), 1e21);
    assert_eq!(from_value::<Option<u128>>(tagged_text("int", large)).unwrap().unwrap(), 1 << 127);
}

#[test]
fn what_takes_anything_gets_the_object_unchanged() {
    #[derive(Deserialize)]
    struct Row {
        raw: Value,
        at: python::DateTime,
    }
    let sent = tagged_text("datetime", "2024-05-06T00:00:00");
    let row: Row = from_value(json!({ "raw": sent, "at": sent })).unwrap();
    assert_eq!(row.raw, sent);
    assert_eq!(row.at, python::DateTime::Naive(jiff::civil::date(2024, 5, 6).at(0, 0, 0, 0)));
}

#[test]
fn a_decimal_type_that_asks_for_anything_gets_the_text() {
    /// As the common decimal crates do it.
    struct Money(String);
    impl<'de> Deserialize<'de> for Money {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl serde::de::Visitor<'_> for Visitor {
                type Value = Money;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a Decimal type representing a fixed-point number")
                }
                fn visit_str<E>(self, text: &str) -> Result<Money, E> {
                    Ok(Money(text.to_owned()))
                }
            }
            deserializer.deserialize_any(Visitor)
        }
    }
    assert_eq!(from_value::<Money>(tagged_text("decimal", "1.50")).unwrap().0, "1.50");
}

#[test]
fn a_mistake_is_told_with_its_place() {
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only read")]
    struct User {
        emails: Vec<String>,
        kind: Kind,
    }
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only read")]
    enum Kind {
        Admin { level: u8 },
        Guest,
    }
    let check = |value: Value, expect: &str| {
        assert_eq!(from_value::<BTreeMap<String, User>>(value).unwrap_err().to_string(), expect);
    };
    check(
        json!({ "eva": { "emails": ["a", 1], "kind": "Guest" } }),
        "eva.emails[1]: invalid type: integer `1`, expected a string",
    );
    check(
        json!({ "eva": { "emails": [], "kind": { "Admin": { "level": 256 } } } }),
        "eva.kind.Admin.level: invalid value: integer `256`, expected u8",
    );
    check(json!({ "eva": { "emails": [] } }), "eva: missing field `kind`");
    let three = from_value::<(u8, u8)>(json!([1, 2, 3])).unwrap_err();
    assert_eq!(three.to_string(), "invalid length 3, expected only 2");
    let large =
        from_value::<Vec<i64>>(json!([tagged_text("int", "18446744073709551616")])).unwrap_err();
    assert!(large.to_string().starts_with("[0]: "), "{large}");
    let binary = from_value::<String>(tagged_text("base64", "//4=")).unwrap_err();
    assert_eq!(binary.to_string(), "invalid type: byte array, expected a string");
    let naive =
        from_value::<jiff::Timestamp>(tagged_text("datetime", "2024-05-06T00:00:00")).unwrap_err();
    assert!(naive.to_string().contains("offset"), "{naive}");
}

#[test]
fn rust_values_keep_what_json_would_lose() {
    struct Raw;
    impl Serialize for Raw {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(&[0xff])
        }
    }
    let check =
        |value: Result<Value, ValueError>, expect: Value| assert_eq!(value.unwrap(), expect);
    check(to_value(&f64::NAN), tagged_text("float", "nan"));
    check(to_value(&[f32::INFINITY, 1.5]), json!([tagged_text("float", "inf"), 1.5]));
    check(to_value(&u128::MAX), tagged_text("int", &u128::MAX.to_string()));
    check(to_value(&5_i128), json!(5));
    check(to_value(&Raw), tagged_text("base64", "/w=="));
    check(to_value(&BTreeMap::from([(1, "a"), (2, "b")])), json!({ "1": "a", "2": "b" }));
    let raw = serde_json::value::RawValue::from_string(r#"{"a":[1]}"#.to_owned()).unwrap();
    check(to_value(&raw), json!({ "a": [1] }));
    let unfit = to_value(&json_map_with_list_keys()).unwrap_err();
    assert!(unfit.to_string().starts_with("a key must be text"), "{unfit}");
}

fn json_map_with_list_keys() -> BTreeMap<Vec<u8>, u8> {
    BTreeMap::from([(vec![1], 1)])
}

#[test]
fn enums_and_structs_go_there_and_back_as_serde_json_has_them() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Point,
        Circle(f64),
        Line(i32, i32),
        Box { width: u8, name: Option<char> },
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Drawing {
        shapes: Vec<Shape>,
        unit: (),
        size: (u8, String),
        names: BTreeMap<i64, bool>,
    }
    let drawing = Drawing {
        shapes: vec![
            Shape::Point,
            Shape::Circle(0.5),
            Shape::Line(1, -2),
            Shape::Box { width: 9, name: Some('é') },
        ],
        unit: (),
        size: (1, "m".to_owned()),
        names: BTreeMap::from([(-1, true), (2, false)]),
    };
    let value = to_value(&drawing).unwrap();
    assert_eq!(value, serde_json::to_value(&drawing).unwrap());
    assert_eq!(from_value::<Drawing>(value).unwrap(), drawing);
}

#[test]
fn python_types_are_sent_as_kombu_has_them_and_read_from_text_too() {
    fn check<T>(typed: &T, expect: &Value, text: &str)
    where
        T: Serialize + DeserializeOwned + PartialEq + fmt::Debug,
    {
        let sent = to_value(typed).unwrap();
        assert_eq!(sent, *expect);
        assert_eq!(serde_json::to_value(typed).unwrap(), *expect);
        assert_eq!(from_value::<T>(sent.clone()).unwrap(), *typed);
        assert_eq!(serde_json::from_value::<T>(sent).unwrap(), *typed);
        assert_eq!(from_value::<T>(text.into()).unwrap(), *typed);
    }
    let offset = jiff::tz::offset(2);
    let at = "2030-01-02T01:04:05Z".parse().unwrap();
    let iso = "2030-01-02T03:04:05+02:00";
    check(&python::DateTime::Aware(at, offset), &tagged_text("datetime", iso), iso);
    let naive = jiff::civil::date(2024, 5, 6).at(7, 8, 9, 5000);
    check(
        &python::DateTime::Naive(naive),
        &tagged_text("datetime", "2024-05-06T07:08:09.000005"),
        "2024-05-06T07:08:09.000005",
    );
    check(&python::Date(naive.date()), &tagged_text("date", "2024-05-06"), "2024-05-06");
    check(
        &python::Time(jiff::civil::time(7, 8, 9, 0)),
        &tagged_text("time", "07:08:09"),
        "07:08:09",
    );
    check(&python::Decimal("1.50".into()), &tagged_text("decimal", "1.50"), "1.50");
    let id = uuid::Uuid::from_u128(0x12345678_1234_5678_1234_567812345678);
    check(&python::Uuid(id), &tagged::uuid(id), "12345678-1234-5678-1234-567812345678");
    check(&python::Bytes(b"text".to_vec()), &tagged_text("bytes", "text"), "text");
    assert_eq!(to_value(&python::Bytes(vec![0xff, 0xfe])).unwrap(), tagged_text("base64", "//4="));
    assert_eq!(from_value::<python::Bytes>(json!([255, 0])).unwrap().0, [255, 0]);
    let wrong = from_value::<python::Uuid>(tagged_text("decimal", "1")).unwrap_err();
    assert_eq!(wrong.to_string(), "expected a Python uuid, or its text");
}

proptest! {
    #[test]
    fn a_value_is_a_value(given in any_value()) {
        prop_assert_eq!(to_value(&given).unwrap(), given.clone());
        prop_assert_eq!(from_value::<Value>(given.clone()).unwrap(), given);
    }
}
