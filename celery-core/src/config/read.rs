//! Reads the given values into typed fields, and keeps every complaint.

use std::time::Duration;

use serde_json::Value;

use super::error::Problem;
use super::settings::{self, Setting};
use super::source::{Given, Givens};
use crate::codec::{AcceptContent, Compression, Serializer};

/// A value as a type, or what was expected in its place.
pub(super) type Parsed<T> = Result<T, String>;

/// Hands out the settings by name; defaults stand in for what is not given or is wrong.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) givens: Givens,
    pub(super) problems: Vec<Problem>,
}

impl Reader {
    /// Reads one setting with one of the functions below.
    ///
    /// A wrong value is noted as a problem, and the default is returned so that reading can go on.
    pub(super) fn read<T>(&mut self, name: &'static str, parse: impl Fn(&Value) -> Parsed<T>) -> T {
        let setting =
            settings::find(name).expect("a test reads every field, so each name is in the table");
        if let Some(Given { written, value }) = self.givens.get(name) {
            match parse(value) {
                Ok(parsed) => return parsed,
                Err(expected) => {
                    let problem = wrong_value(setting, written, expected, value);
                    self.problems.push(problem);
                }
            }
        }
        parse(&setting.default_value()).expect("a test reads the default of every field")
    }

    /// Whether any source gives the setting.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.givens.contains_key(name)
    }

    /// Notes that a given value is wrong for a reason that the value alone does not show.
    pub(super) fn refuse(&mut self, name: &'static str, expected: String) {
        if let (Some(setting), Some(given)) = (settings::find(name), self.givens.get(name)) {
            let problem = wrong_value(setting, &given.written, expected, &given.value);
            self.problems.push(problem);
        }
    }

    /// Notes every given setting that this version does not honour.
    pub(super) fn refuse_unsupported(&mut self) {
        for setting in settings::all() {
            let Some(Given { written, value }) = self.givens.get(setting.name) else { continue };
            if let Some(why) = setting.refusal(value) {
                self.problems
                    .push(Problem::Refused { setting: written.clone(), why: why.to_owned() });
            }
        }
    }
}

fn wrong_value(setting: &Setting, written: &str, expected: String, value: &Value) -> Problem {
    let found = match value {
        Value::Null => "null (leave the setting out to get its default)".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) if !setting.is_secret() => {
            format!("the {} {value}", type_name(value))
        }
        _ => format!("a {}", type_name(value)),
    };
    Problem::WrongValue { setting: written.to_owned(), expected, found }
}

/// What a reader of a complaint calls the value's type.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "dictionary",
    }
}

/// Null as `None`, anything else by `parse`.
pub(super) fn optional<T>(
    parse: impl Fn(&Value) -> Parsed<T>,
) -> impl Fn(&Value) -> Parsed<Option<T>> {
    move |value| if value.is_null() { Ok(None) } else { parse(value).map(Some) }
}

pub(super) fn boolean(value: &Value) -> Parsed<bool> {
    value.as_bool().ok_or_else(|| "true or false".to_owned())
}

pub(super) fn text(value: &Value) -> Parsed<String> {
    value.as_str().map(str::to_owned).ok_or_else(|| "a string".to_owned())
}

/// A text that names something, so that it cannot be empty.
pub(super) fn name(value: &Value) -> Parsed<String> {
    text(value)
        .ok()
        .filter(|name| !name.is_empty())
        .ok_or_else(|| "a string that is not empty".to_owned())
}

pub(super) fn texts(value: &Value) -> Parsed<Vec<String>> {
    let items = value.as_array().ok_or_else(|| "a list of strings".to_owned())?;
    items.iter().map(|item| text(item).map_err(|_| "a list of strings".to_owned())).collect()
}

/// The name of a serializer that there is.
pub(super) fn serializer(value: &Value) -> Parsed<String> {
    let name = name(value)?;
    match Serializer::from_name(&name) {
        Ok(_) => Ok(name),
        Err(error) => Err(format!("the name of a serializer ({error})")),
    }
}

/// The name of a compression that there is.
pub(super) fn compression(value: &Value) -> Parsed<String> {
    let name = name(value)?;
    match Compression::from_name(&name) {
        Ok(_) => Ok(name),
        Err(error) => Err(format!("the name of a compression ({error})")),
    }
}

/// A list of what a reader accepts.
pub(super) fn content_types(value: &Value) -> Parsed<Vec<String>> {
    let names = texts(value)?;
    match AcceptContent::new(&names) {
        Ok(_) => Ok(names),
        Err(error) => Err(format!("a list of names of serializers ({error})")),
    }
}

/// A whole number that fits the type; 4.0 is one.
pub(super) fn integer<T: TryFrom<i64>>(value: &Value) -> Parsed<T> {
    let whole = value.as_i64().or_else(|| whole_float(value.as_f64()?));
    whole.and_then(|number| T::try_from(number).ok()).ok_or_else(|| {
        // The smallest type in use is u8: what fits no signed range is a natural number.
        let natural = T::try_from(-1).is_err();
        let kind = if natural { "a whole number that is not negative" } else { "a whole number" };
        match T::try_from(i64::from(u16::MAX) + 1) {
            Ok(_) => kind.to_owned(),
            Err(_) if T::try_from(256).is_ok() => "a whole number from 0 to 65535".to_owned(),
            Err(_) => "a whole number from 0 to 255".to_owned(),
        }
    })
}

fn whole_float(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "the range where this is exact is checked")]
    let whole = (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64);
    whole
}

/// 0 and null as `None`, as where Celery tests for truth.
pub(super) fn positive<T: TryFrom<i64> + PartialEq + Default>(value: &Value) -> Parsed<Option<T>> {
    if value.is_null() {
        return Ok(None);
    }
    integer(value).map(|number: T| Some(number).filter(|number| *number != T::default()))
}

/// Seconds; also what serde makes of a `Duration`.
pub(super) fn seconds(value: &Value) -> Parsed<Duration> {
    let duration = match value {
        Value::Number(number) => {
            number.as_f64().and_then(|secs| Duration::try_from_secs_f64(secs).ok())
        }
        Value::Object(_) => serde_json::from_value(value.clone()).ok(),
        _ => None,
    };
    duration.ok_or_else(|| "a number of seconds that is not negative".to_owned())
}

/// Seconds, where 0 and null mean that there is no limit.
pub(super) fn limit(value: &Value) -> Parsed<Option<Duration>> {
    if value.is_null() {
        return Ok(None);
    }
    seconds(value).map(|limit| Some(limit).filter(|limit| !limit.is_zero()))
}

/// Milliseconds, as a whole number.
pub(super) fn milliseconds(value: &Value) -> Parsed<Duration> {
    integer(value).map(|millis: u64| Duration::from_millis(millis))
}
