//! Python's repr of values, as Celery's `saferepr` prints it: what logs, events and Flower show of arguments.
//!
//! It is cut where it would be long, and where it would be deep. Quirks are kept, since people compare: in strings the
//! quote alone is escaped, a cut string loses its last word, and bytes that are not UTF-8 print as hex. Python's own
//! `repr`, which has none of these quirks, is [`python`].

mod quote;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use jiff::tz::Offset;

use crate::{
    date,
    value::{Map, Value, number, tagged::Tagged},
};

/// How much of a value is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// About how many characters, before closing brackets. `None` is no limit.
    pub max_len: Option<usize>,
    /// How many levels of nesting, as the setting `task_repr_maxlevels`. Zero is no limit.
    pub max_levels: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_len: Some(1024), max_levels: 3 }
    }
}

/// Positional arguments, which print as a tuple.
///
/// ```
/// use celery_core::repr::{self, Limits};
/// use serde_json::json;
///
/// assert_eq!(repr::args(&[json!(2), json!("it's")], &Limits::default()), r"(2, 'it\'s')");
/// assert_eq!(repr::args(&[json!(null)], &Limits::default()), "(None,)");
/// ```
pub fn args(args: &[Value], limits: &Limits) -> String {
    print(limits, |printer| {
        printer.items(if args.len() == 1 { ["(", ",)"] } else { ["(", ")"] }, args)
    })
}

/// Keyword arguments, which print as a dict.
pub fn kwargs(kwargs: &Map, limits: &Limits) -> String {
    print(limits, |printer| printer.entries(kwargs))
}

/// Any value, such as a result.
pub fn value(value: &Value, limits: &Limits) -> String {
    print(limits, |printer| printer.value(value))
}

/// Any value as Python's own `repr` prints it, whole.
///
/// ```
/// use celery_core::repr;
/// use serde_json::json;
///
/// assert_eq!(repr::python(&json!(["it's", "a\nb"])), r#"["it's", 'a\nb']"#);
/// ```
pub fn python(value: &Value) -> String {
    let mut printer = Printer::new(Limits { max_len: None, max_levels: 0 });
    printer.quotes = Quotes::Python;
    _ = printer.value(value);
    printer.out
}

fn print(limits: &Limits, body: impl FnOnce(&mut Printer) -> ControlFlow<()>) -> String {
    let mut printer = Printer::new(*limits);
    // Cut or complete, what is printed is the answer.
    _ = body(&mut printer);
    printer.out
}

struct Printer {
    out: String,
    /// How many characters may still be printed.
    left: Option<i64>,
    level: usize,
    max_levels: usize,
    quotes: Quotes,
}

/// Whose way to quote text and bytes.
#[derive(Clone, Copy)]
enum Quotes {
    Celery,
    Python,
}

/// `Break` means that the text was cut, and only closing brackets follow.
type Printed = ControlFlow<()>;

impl Printer {
    fn new(Limits { max_len, max_levels }: Limits) -> Self {
        let left = max_len.map(|it| i64::try_from(it).unwrap_or(i64::MAX));
        Self { out: String::new(), left, level: 0, max_levels, quotes: Quotes::Celery }
    }

    fn value(&mut self, value: &Value) -> Printed {
        match value {
            Value::Null => self.text("None"),
            Value::Bool(true) => self.text("True"),
            Value::Bool(false) => self.text("False"),
            Value::Number(it) => match it.as_f64().filter(|_| it.is_f64()) {
                Some(float) => self.float(float),
                None => self.text(&it.to_string()),
            },
            Value::String(text) => self.quoted(text),
            Value::Array(items) => self.items(["[", "]"], items),
            Value::Object(map) => match Tagged::of(map) {
                Some(tagged) => self.tagged(tagged, map),
                None => self.entries(map),
            },
        }
    }

    fn tagged(&mut self, tagged: Tagged<'_>, map: &Map) -> Printed {
        let text = match tagged {
            Tagged::Datetime(text) => datetime(text),
            Tagged::Date(text) => date::split(text).ok().map(|(at, _)| {
                format!("datetime.date({}, {}, {})", at.year(), at.month(), at.day())
            }),
            Tagged::Time(text) => {
                text.parse().ok().map(|at| format!("datetime.time({})", clock(at)))
            }
            Tagged::Decimal(text) => Some(format!("Decimal('{text}')")),
            Tagged::Uuid(id) => Some(format!("UUID('{id}')")),
            Tagged::Int(digits) => Some(digits.to_owned()),
            Tagged::Bytes(bytes) => return self.bytes(&bytes),
            Tagged::Float(float) => return self.float(float),
        };
        match text {
            Some(text) => self.text(&text),
            // A date that is none was not made by Python; show what there is.
            None => self.entries(map),
        }
    }

    fn items(&mut self, [open, close]: [&str; 2], items: &[Value]) -> Printed {
        self.container(open, close, |it| {
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    it.literal(", ")?;
                }
                it.value(item)?;
            }
            Printed::Continue(())
        })
    }

    fn entries(&mut self, map: &Map) -> Printed {
        self.container("{", "}", |it| {
            for (index, (key, value)) in map.iter().enumerate() {
                if index > 0 {
                    it.literal(", ")?;
                }
                it.quoted(key)?;
                it.literal(": ")?;
                it.value(value)?;
            }
            Printed::Continue(())
        })
    }

    fn container(
        &mut self,
        open: &str,
        close: &str,
        body: impl FnOnce(&mut Self) -> Printed,
    ) -> Printed {
        if self.max_levels > 0 && self.level >= self.max_levels {
            return self.literal(&format!("{open}...{close}"));
        }
        // What was not opened is not closed.
        self.literal(open)?;
        self.level += 1;
        let printed = body(self);
        self.level -= 1;
        self.out.push_str(close);
        // Where nothing was left out, closing is not a reason to cut.
        if printed.is_continue() {
            self.count(close);
        }
        printed
    }

    fn float(&mut self, float: f64) -> Printed {
        let mut text = String::new();
        number::write_float(&mut text, float);
        self.text(&text)
    }

    fn quoted(&mut self, text: &str) -> Printed {
        self.room()?;
        let text = match self.quotes {
            Quotes::Celery => format!("'{}'", self.truncated(text).replace('\'', "\\'")),
            Quotes::Python => quote::text(text),
        };
        self.push(&text)
    }

    fn bytes(&mut self, bytes: &[u8]) -> Printed {
        self.room()?;
        if let Quotes::Python = self.quotes {
            return self.push(&quote::bytes(bytes));
        }
        let shown = match self.left.and_then(|it| usize::try_from(it).ok()) {
            Some(left) if bytes.len() > left => &bytes[..left],
            _ => bytes,
        };
        let text = match str::from_utf8(shown) {
            Ok(text) => text.to_owned(),
            Err(_) => shown.iter().map(|it| format!("{it:02x}")).collect(),
        };
        let ellipsis = if shown.len() < bytes.len() { "..." } else { "" };
        self.push(&format!("b'{text}{ellipsis}'"))
    }

    fn text(&mut self, text: &str) -> Printed {
        self.room()?;
        let text = self.truncated(text);
        self.push(&text)
    }

    fn literal(&mut self, text: &str) -> Printed {
        self.room()?;
        self.push(text)
    }

    fn push(&mut self, text: &str) -> Printed {
        self.out.push_str(text);
        self.count(text);
        Printed::Continue(())
    }

    fn count(&mut self, text: &str) {
        if let Some(left) = self.left.as_mut().filter(|it| **it > 0) {
            *left -= i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
        }
    }

    /// Cuts the text here if there is no room left.
    fn room(&mut self) -> Printed {
        if self.left.is_some_and(|it| it <= 0) {
            self.out.push_str(", ...");
            return Printed::Break(());
        }
        Printed::Continue(())
    }

    /// `text`, or as much of it as there is room for, up to its last blank.
    fn truncated(&self, text: &str) -> String {
        let Some(left) = self.left.and_then(|it| usize::try_from(it).ok()) else {
            return text.to_owned();
        };
        let end = match text.char_indices().nth(left) {
            Some((end, _)) => end,
            None if text.chars().count() == left => text.len(),
            None => return text.to_owned(),
        };
        let cut = &text[..end];
        format!("{}...", cut.rsplit_once(' ').map_or(cut, |(words, _)| words))
    }
}

fn datetime(text: &str) -> Option<String> {
    let (at, offset) = date::split(text).ok()?;
    let day = format!("{}, {}, {}", at.year(), at.month(), at.day());
    let zone = match offset.map(Offset::seconds) {
        None => String::new(),
        Some(0) => ", tzinfo=datetime.timezone.utc".to_owned(),
        Some(seconds) => format!(", tzinfo=datetime.timezone({})", timedelta(seconds)),
    };
    Some(format!("datetime.datetime({day}, {}{zone})", clock(at.time())))
}

/// The hour and the minute, and the rest as far as it is not zero.
fn clock(at: jiff::civil::Time) -> String {
    let (second, micros) = (at.second(), at.subsec_nanosecond() / 1000);
    let mut text = format!("{}, {}", at.hour(), at.minute());
    if second != 0 || micros != 0 {
        text.push_str(&format!(", {second}"));
    }
    if micros != 0 {
        text.push_str(&format!(", {micros}"));
    }
    text
}

/// Python keeps seconds positive, and lets the days be negative.
fn timedelta(seconds: i32) -> String {
    if seconds < 0 {
        format!("datetime.timedelta(days=-1, seconds={})", seconds + 86400)
    } else {
        format!("datetime.timedelta(seconds={seconds})")
    }
}
