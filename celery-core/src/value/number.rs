//! Numbers as Python prints them.

use std::fmt::Write as _;

use serde_json::Number;

/// A number of seconds as it is written: whole where it is.
pub(crate) fn seconds(seconds: f64) -> Number {
    let whole = seconds.fract() == 0.0 && seconds.abs() < 1e15;
    let exact = whole.then(|| Number::from(seconds as i64));
    exact.or_else(|| Number::from_f64(seconds)).unwrap_or_else(|| 0.into())
}

/// `repr(float)`: the shortest digits that read back, always with a point or an exponent.
pub(crate) fn write_float(out: &mut String, number: f64) {
    if !number.is_finite() {
        out.push_str(match number {
            f64::INFINITY => "inf",
            f64::NEG_INFINITY => "-inf",
            _ => "nan",
        });
        return;
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) =
        scientific.split_once('e').expect("Rust's scientific notation has an exponent");
    let exponent: i32 = exponent.parse().expect("Rust's exponents are small integers");
    if (-4..16).contains(&exponent) {
        let start = out.len();
        // Writing to a string cannot fail.
        _ = write!(out, "{number}");
        if !out[start..].contains('.') {
            out.push_str(".0");
        }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        _ = write!(out, "{mantissa}e{sign}{:02}", exponent.unsigned_abs());
    }
}

/// Whether `text` is an integer as JSON writes it: digits, no leading zeros, perhaps a minus.
pub(crate) fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    match digits {
        [] => false,
        [b'0'] => true,
        [first, rest @ ..] => (b'1'..=b'9').contains(first) && rest.iter().all(u8::is_ascii_digit),
    }
}
