use jiff::tz::TimeZone;
use serde_json::Value;

use super::*;

fn vectors() -> Vec<Value> {
    let file = include_str!("../../tests/fixtures/vectors/dates.json");
    serde_json::from_str::<Value>(file).unwrap()["dates"].as_array().unwrap().clone()
}

#[test]
fn all_that_isoparse_reads_is_read_the_same_and_the_rest_refused() {
    for case in vectors() {
        let text = case["text"].as_str().unwrap();
        let read = split(text).ok();
        let Some(expected) = case["read"].as_str() else {
            assert!(read.is_none(), "{text:?} was read as {read:?}");
            continue;
        };
        let (at, offset) = read.unwrap_or_else(|| panic!("{text:?} was not read"));
        assert_eq!(offset.is_none(), case["naive"].as_bool().unwrap(), "{text:?}");
        let got = match offset {
            None => format_naive(at),
            Some(_) => format(parse(text, &TimeZone::UTC).unwrap(), &TimeZone::UTC),
        };
        assert_eq!(got, expected, "{text:?}");
    }
}

#[test]
fn a_date_is_written_with_its_offset_and_without_an_empty_fraction() {
    let check = |at: &str, zone: TimeZone, expect: &str| {
        assert_eq!(format(at.parse().unwrap(), &zone), expect);
    };
    let fixed = |seconds| TimeZone::fixed(Offset::from_seconds(seconds).unwrap());
    check("2026-11-22T17:48:22.887290Z", TimeZone::UTC, "2026-11-22T17:48:22.887290+00:00");
    check("2026-11-22T17:48:22.000001999Z", TimeZone::UTC, "2026-11-22T17:48:22.000001+00:00");
    check("2030-01-02T01:04:05Z", fixed(7200), "2030-01-02T03:04:05+02:00");
    check("2030-01-02T01:04:05Z", fixed(-12600), "2030-01-01T21:34:05-03:30");
    check("2030-01-02T01:04:05Z", fixed(-30), "2030-01-02T01:03:35-00:00:30");
}

#[test]
fn a_naive_date_is_read_in_the_given_zone() {
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    let check = |text: &str, expect: &str| {
        assert_eq!(parse(text, &berlin).unwrap(), expect.parse().unwrap());
    };
    check("2030-01-02T03:04:05", "2030-01-02T02:04:05Z");
    // There twice, and not there at all.
    check("2024-10-27T02:30:00", "2024-10-27T00:30:00Z");
    check("2024-03-31T02:30:00", "2024-03-31T01:30:00Z");
}

#[test]
fn dates_of_real_messages_are_written_as_they_were_read() {
    for (file, naive) in [
        (include_str!("../../tests/fixtures/golden/msg/eta.json"), false),
        (include_str!("../../tests/fixtures/golden/msg/eta_offset.json"), false),
        (include_str!("../../tests/fixtures/golden/msg/eta_naive.json"), true),
        (include_str!("../../tests/fixtures/golden/msg/countdown.json"), false),
    ] {
        let capture: Value = serde_json::from_str(file).unwrap();
        let eta = capture["messages"][0]["envelope"]["headers"]["eta"].as_str().unwrap();
        let (at, offset) = split(eta).unwrap();
        assert_eq!(offset.is_none(), naive);
        let written = match offset {
            None => format_naive(at),
            Some(offset) => format(offset.to_timestamp(at).unwrap(), &TimeZone::fixed(offset)),
        };
        assert_eq!(written, eta);
    }
}

proptest::proptest! {
    #[test]
    fn every_instant_reads_back_to_the_microsecond(micros in -62_000_000_000_000_000_i64..250_000_000_000_000_000, offset in -86_399..86_399_i32) {
        let at = Timestamp::from_microsecond(micros).unwrap();
        let zone = TimeZone::fixed(Offset::from_seconds(offset).unwrap());
        proptest::prop_assert_eq!(parse(&format(at, &zone), &TimeZone::UTC), Ok(at));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[0-9TZW:+.,é -]{0,30}") {
        let _ = parse(&text, &TimeZone::UTC);
    }
}
