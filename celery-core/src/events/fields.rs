//! The fields of an event under way, written as they are given: nothing is kept that would be written later.

use std::fmt::Write as _;

use crate::{
    codec::json,
    value::{Value, number},
};

/// The fields of an event that is to be sent, in the order in which they are added.
#[derive(Debug)]
pub struct Fields {
    /// JSON as Python writes it, without the braces; each field ends with a comma and a blank.
    out: String,
}

impl Fields {
    pub(super) fn new() -> Self {
        Self { out: String::with_capacity(256) }
    }

    /// Adds a field.
    pub fn add(&mut self, name: &str, value: impl Field) -> &mut Self {
        json::write_str(&mut self.out, name);
        self.out.push_str(": ");
        value.write(&mut self.out);
        self.out.push_str(", ");
        self
    }

    /// Adds what ends every event, and returns the text.
    pub(super) fn end(mut self, microseconds: i64, kind: &str) -> String {
        self.out.push_str("\"timestamp\": ");
        write_timestamp(&mut self.out, microseconds);
        self.out.push_str(", \"type\": ");
        json::write_str(&mut self.out, kind);
        self.out
    }
}

/// What the value of a field may be. Text that is not there is null.
pub trait Field {
    /// Writes it as Python's JSON.
    fn write(self, out: &mut String);
}

impl Field for &str {
    fn write(self, out: &mut String) {
        json::write_str(out, self);
    }
}

impl Field for &String {
    fn write(self, out: &mut String) {
        json::write_str(out, self);
    }
}

impl Field for &Value {
    fn write(self, out: &mut String) {
        json::write_value(out, self);
    }
}

impl Field for bool {
    fn write(self, out: &mut String) {
        out.push_str(if self { "true" } else { "false" });
    }
}

impl Field for f64 {
    fn write(self, out: &mut String) {
        if self.is_finite() {
            number::write_float(out, self);
        } else if self.is_nan() {
            out.push_str("NaN");
        } else {
            out.push_str(if self > 0.0 { "Infinity" } else { "-Infinity" });
        }
    }
}

impl<const N: usize> Field for [f64; N] {
    fn write(self, out: &mut String) {
        out.push('[');
        for (at, number) in self.into_iter().enumerate() {
            out.push_str(if at == 0 { "" } else { ", " });
            number.write(out);
        }
        out.push(']');
    }
}

impl<T: Field> Field for Option<T> {
    fn write(self, out: &mut String) {
        match self {
            Some(value) => value.write(out),
            None => out.push_str("null"),
        }
    }
}

macro_rules! whole_numbers {
    ($($number:ty)*) => {
        $(impl Field for $number {
            fn write(self, out: &mut String) {
                // Writing to a string cannot fail.
                _ = write!(out, "{self}");
            }
        })*
    };
}

whole_numbers! { i32 i64 u32 u64 usize }

/// A Unix time as Python prints the float: no more digits than it takes, and at least one behind the point.
fn write_timestamp(out: &mut String, microseconds: i64) {
    let (seconds, rest) = (microseconds.div_euclid(1_000_000), microseconds.rem_euclid(1_000_000));
    _ = write!(out, "{seconds}.{rest:06}");
    let digits = out.trim_end_matches('0').len();
    out.truncate(digits);
    if out.ends_with('.') {
        out.push('0');
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_written_as_python_writes_them() {
        let mut fields = Fields::new();
        fields.add("uuid", "é").add("runtime", 0.25).add("eta", None::<&str>).add("retries", 3_u32);
        fields.add("loadavg", [1.0, 0.5, 2.25]).add("terminated", true);
        fields.add("more", &json!([1, null])).add("worst", f64::NAN);
        assert_eq!(
            fields.end(1_795_367_950_390_000, "task-x"),
            r#""uuid": "\u00e9", "runtime": 0.25, "eta": null, "retries": 3, "loadavg": [1.0, 0.5, 2.25], "terminated": true, "more": [1, null], "worst": NaN, "timestamp": 1795367950.39, "type": "task-x""#
        );
    }

    #[test]
    fn a_timestamp_is_a_float() {
        for (microseconds, text) in [
            (0, "0.0"),
            (1_000_000, "1.0"),
            (1_795_367_950_000_001, "1795367950.000001"),
            (1_795_367_950_100_000, "1795367950.1"),
        ] {
            let mut out = String::new();
            write_timestamp(&mut out, microseconds);
            assert_eq!(out, text);
        }
    }
}
