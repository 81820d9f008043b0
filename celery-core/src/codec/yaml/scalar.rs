//! What a plain word is, by the implicit resolvers of PyYAML's `resolver.py`.

use jiff::{
    civil,
    tz::{Offset, TimeZone},
};

use crate::{
    date,
    value::{Value, tagged},
};

/// The value of a plain scalar: of the first resolver that takes it, and otherwise the text.
pub(super) fn plain(text: &str) -> Value {
    null(text)
        .or_else(|| boolean(text))
        .or_else(|| float(text))
        .or_else(|| int(text))
        .or_else(|| timestamp(text))
        .unwrap_or_else(|| text.into())
}

pub(super) fn null(text: &str) -> Option<Value> {
    matches!(text, "" | "~" | "null" | "Null" | "NULL").then_some(Value::Null)
}

pub(super) fn boolean(text: &str) -> Option<Value> {
    match text {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true.into()),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Some(false.into())
        }
        _ => None,
    }
}

/// It has a point, and if it has an exponent, that has a sign: `1e5` is text.
pub(super) fn float(text: &str) -> Option<Value> {
    let (negative, unsigned) = sign(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" => {
            return Some(tagged::float(if negative { f64::NEG_INFINITY } else { f64::INFINITY }));
        }
        ".nan" | ".NaN" | ".NAN" if unsigned == text => return Some(tagged::float(f64::NAN)),
        _ => {}
    }
    let (whole, rest) = unsigned.split_once('.')?;
    let magnitude = if whole.contains(':') {
        let digits = rest.bytes().all(is_digit_or_line);
        let (minutes, seconds) = whole.rsplit_once(':')?;
        let minutes = sexagesimal(minutes, true).filter(|_| digits && is_sixtieth(seconds))?;
        minutes as f64 * 60.0 + without_lines(&format!("{seconds}.{rest}")).parse::<f64>().ok()?
    } else {
        let (fraction, exponent) = match rest.split_once(['e', 'E']) {
            Some((fraction, exponent)) => (fraction, Some(exponent)),
            None => (rest, None),
        };
        let starts = match (whole.bytes().next(), fraction.bytes().next()) {
            (Some(first), _) => first.is_ascii_digit(),
            (None, first) => text == unsigned && first.is_some_and(|it| it.is_ascii_digit()),
        };
        let signed = exponent.is_none_or(|it| {
            it.strip_prefix(['+', '-'])
                .is_some_and(|it| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit()))
        });
        if !starts || !signed || !whole.bytes().chain(fraction.bytes()).all(is_digit_or_line) {
            return None;
        }
        without_lines(unsigned).parse::<f64>().ok()?
    };
    Some(tagged::float(if negative { -magnitude } else { magnitude }))
}

/// Decimal, binary (`0b1`), octal (`017`), hexadecimal (`0x1f`) or sexagesimal (`1:30`).
pub(super) fn int(text: &str) -> Option<Value> {
    let (negative, unsigned) = sign(text);
    if !unsigned.starts_with(|it: char| it.is_ascii_digit()) {
        return None;
    }
    let radix = |digits: &str, radix: u32| {
        let valid = !digits.is_empty() && digits.chars().all(|it| it == '_' || it.is_digit(radix));
        valid.then(|| without_lines(digits)).and_then(|it| u128::from_str_radix(&it, radix).ok())
    };
    let magnitude = if let Some(digits) = unsigned.strip_prefix("0b") {
        radix(digits, 2)?.to_string()
    } else if let Some(digits) = unsigned.strip_prefix("0x") {
        radix(digits, 16)?.to_string()
    } else if unsigned.len() > 1 && unsigned.starts_with('0') {
        radix(unsigned, 8)?.to_string()
    } else if unsigned.contains(':') {
        sexagesimal(unsigned, false)?.to_string()
    } else if unsigned.bytes().all(is_digit_or_line) {
        without_lines(unsigned)
    } else {
        return None;
    };
    Some(tagged::int(&if negative && magnitude != "0" {
        format!("-{magnitude}")
    } else {
        magnitude
    }))
}

/// A date, or a date and a time. What looks like one and is none, such as a 13th month, is text.
pub(super) fn timestamp(text: &str) -> Option<Value> {
    let Timestamp { date: [year, month, day], time } = shape(text)?;
    let small = |it: i32| i8::try_from(it).ok();
    let year = i16::try_from(year).ok().filter(|it| *it > 0)?;
    let day = civil::Date::new(year, small(month)?, small(day)?).ok()?;
    let Some(Clock { time: [hour, minute, second], micros, offset }) = time else {
        return Some(tagged::object("date", day.to_string()));
    };
    let time =
        civil::Time::new(small(hour)?, small(minute)?, small(second)?, micros * 1000).ok()?;
    let at = day.to_datetime(time);
    let iso = match offset {
        None => date::format_naive(at),
        Some(seconds) => {
            let offset = Offset::from_seconds(seconds).ok()?;
            date::format(offset.to_timestamp(at).ok()?, &TimeZone::fixed(offset))
        }
    };
    Some(tagged::object("datetime", iso))
}

/// Whether PyYAML takes it for a timestamp, be it one or not.
pub(super) fn looks_like_timestamp(text: &str) -> bool {
    shape(text).is_some()
}

struct Timestamp {
    date: [i32; 3],
    time: Option<Clock>,
}

struct Clock {
    time: [i32; 3],
    micros: i32,
    offset: Option<i32>,
}

fn shape(text: &str) -> Option<Timestamp> {
    let mut reader = Reader { rest: text };
    let date =
        [reader.number(4, 4)?, reader.after('-')?.number(1, 2)?, reader.after('-')?.number(1, 2)?];
    if reader.rest.is_empty() {
        // A date alone has all its digits.
        return (text.len() == 10).then_some(Timestamp { date, time: None });
    }
    if !reader.blanks() && !reader.skip('T') && !reader.skip('t') {
        return None;
    }
    let time =
        [reader.number(1, 2)?, reader.after(':')?.number(2, 2)?, reader.after(':')?.number(2, 2)?];
    let mut micros = 0;
    if reader.skip('.') {
        let end = reader.rest.bytes().take_while(u8::is_ascii_digit).count();
        micros = format!("{:0<6}", &reader.rest[..end.min(6)]).parse().ok()?;
        reader.rest = &reader.rest[end..];
    }
    let blanks = reader.blanks();
    let offset = if reader.rest.is_empty() {
        (!blanks).then_some(None)?
    } else if reader.skip('Z') {
        Some(0)
    } else {
        let sign = if reader.skip('-') { -1 } else { reader.skip('+').then_some(1)? };
        let hours = reader.number(1, 2)?;
        let minutes = if reader.skip(':') { reader.number(2, 2)? } else { 0 };
        Some(sign * (hours * 3600 + minutes * 60))
    };
    reader.rest.is_empty().then_some(Timestamp { date, time: Some(Clock { time, micros, offset }) })
}

fn sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// Parts to the base of sixty. A float's may start with a zero, and it may be a single one.
fn sexagesimal(text: &str, in_float: bool) -> Option<i128> {
    let mut parts = text.split(':');
    let first = parts.next()?;
    let starts =
        first.bytes().next().is_some_and(|it| it.is_ascii_digit() && (in_float || it != b'0'));
    if !starts || !first.bytes().all(is_digit_or_line) {
        return None;
    }
    let first: i128 = without_lines(first).parse().ok()?;
    parts.try_fold(first, |sum, part| {
        let part = part.parse::<i128>().ok().filter(|_| is_sixtieth(part))?;
        sum.checked_mul(60)?.checked_add(part)
    })
}

/// One or two digits below sixty.
fn is_sixtieth(part: &str) -> bool {
    match part.as_bytes() {
        [one] => one.is_ascii_digit(),
        [ten, one] => (b'0'..=b'5').contains(ten) && one.is_ascii_digit(),
        _ => false,
    }
}

fn is_digit_or_line(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'_'
}

fn without_lines(digits: &str) -> String {
    digits.replace('_', "")
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn number(&mut self, least: usize, most: usize) -> Option<i32> {
        let count = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let digits = self.rest.get(..count).filter(|_| count >= least)?;
        self.rest = &self.rest[count..];
        digits.parse().ok()
    }

    fn skip(&mut self, expected: char) -> bool {
        let rest = self.rest.strip_prefix(expected);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn after(&mut self, expected: char) -> Option<&mut Self> {
        self.skip(expected).then_some(self)
    }

    fn blanks(&mut self) -> bool {
        let rest = self.rest.trim_start_matches([' ', '\t']);
        let skipped = rest.len() < self.rest.len();
        self.rest = rest;
        skipped
    }
}
