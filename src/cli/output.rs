//! What commands print, and in which colours.

use std::io::{self, IsTerminal, Write};

use celery_core::{codec::json, repr, value::Value};

/// How commands speak on standard output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    /// Whether there are colours.
    pub(super) colors: bool,
    /// Whether less is said.
    pub(super) quiet: bool,
}

/// The styles that Celery uses, as terminals know them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Style {
    /// What went well.
    Ok,
    /// What went wrong.
    Error,
    /// The name of a node.
    Node,
    /// An arrow.
    Arrow,
    /// The mark of an item in a list.
    Bullet,
    /// A warning.
    Warning,
}

impl Style {
    const fn code(self) -> &'static str {
        match self {
            Self::Ok => "\x1b[32m\x1b[1m",
            Self::Error => "\x1b[31m\x1b[1m",
            Self::Node => "\x1b[36m\x1b[1m",
            Self::Arrow => "\x1b[37m\x1b[1m",
            Self::Bullet => "\x1b[37m",
            Self::Warning => "\x1b[31m",
        }
    }
}

impl Output {
    /// With colours on a terminal, unless they are not wanted.
    pub(super) fn new(no_color: bool, quiet: bool) -> Self {
        Self { colors: !no_color && io::stdout().is_terminal(), quiet }
    }

    /// Prints a line.
    pub(super) fn line(&self, text: &str) -> io::Result<()> {
        writeln!(io::stdout(), "{text}")
    }

    pub(super) fn style(&self, text: &str, style: Style) -> String {
        if self.colors { format!("{}{text}\x1b[0m", style.code()) } else { text.to_owned() }
    }

    /// What a worker replied, as `inspect` prints it; without its body as `status` does.
    pub(super) fn reply(&self, node: &str, reply: &Value, with_body: bool) -> String {
        let (status, body) = self.pretty(reply);
        let arrow =
            if self.quiet { String::new() } else { format!("{} ", self.style("->", Style::Arrow)) };
        let mut text = format!("{arrow} {}{status}", self.style(&format!("{node}: "), Style::Node));
        if with_body && !body.is_empty() {
            text.push('\n');
            text.push_str(&indent(&body));
        }
        text
    }

    fn pretty(&self, value: &Value) -> (String, String) {
        let ok = self.style("OK", Style::Ok);
        match value {
            Value::Array(items) if items.is_empty() => (ok, "- empty -".to_owned()),
            Value::Array(items) => {
                let item = |item: &Value| {
                    format!("{} {}", self.style("*", Style::Bullet), python_str(item))
                };
                (ok, items.iter().map(item).collect::<Vec<_>>().join("\n"))
            }
            Value::Object(map) => match (map.get("ok"), map.get("error")) {
                (Some(value), _) => (ok, indent(&self.pretty(value).1)),
                (None, Some(value)) => {
                    (self.style("ERROR", Style::Error), indent(&self.pretty(value).1))
                }
                (None, None) => (ok, sorted_json(value, 0)),
            },
            other => (ok, python_str(other)),
        }
    }
}

/// What Python's `str` makes of a value: text as it is, anything else as its `repr`.
pub(super) fn python_str(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => repr::python(other),
    }
}

fn indent(text: &str) -> String {
    text.split('\n').map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// `json.dumps(value, sort_keys=True, indent=4)`.
fn sorted_json(value: &Value, level: usize) -> String {
    let (inner, outer) = ("    ".repeat(level + 1), "    ".repeat(level));
    match value {
        Value::Array(items) if !items.is_empty() => {
            let items: Vec<_> = items
                .iter()
                .map(|item| format!("{inner}{}", sorted_json(item, level + 1)))
                .collect();
            format!("[\n{}\n{outer}]", items.join(",\n"))
        }
        Value::Object(map) if !map.is_empty() => {
            let mut keys: Vec<_> = map.keys().collect();
            keys.sort();
            let entry = |key: &String| {
                let name = json::to_string(&Value::from(key.as_str()));
                format!("{inner}{name}: {}", sorted_json(&map[key], level + 1))
            };
            format!(
                "{{\n{}\n{outer}}}",
                keys.into_iter().map(entry).collect::<Vec<_>>().join(",\n")
            )
        }
        other => json::to_string(other),
    }
}

/// A word for that many things.
pub(super) fn pluralize(count: u64, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}
