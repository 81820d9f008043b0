//! Options by their names, as settings give them.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::Options;
use crate::{
    codec::{Compression, Serializer},
    rate::Rate,
    value::Value,
};

/// What is wrong with an option: a sentence that goes on after its name.
type Complaint = String;

impl Options {
    /// Sets the option of that name. Null takes back what the task says.
    ///
    /// # Errors
    /// A sentence that names the option, and what it expects.
    pub(super) fn set(mut self, name: &str, value: &Value) -> Result<Self, Complaint> {
        let wrong = |expected: String| format!("`{name}` expects {expected}, but found {value}");
        self.try_set(name, value).map_err(|problem| match problem {
            Problem::Value(expected) => wrong(expected),
            Problem::Name(why) => why,
        })?;
        Ok(self)
    }

    fn try_set(&mut self, name: &str, value: &Value) -> Result<(), Problem> {
        match name {
            "acks_late" => self.acks_late = Some(flag(value)?),
            "acks_on_failure" => self.acks_on_failure = optional(flag, value)?,
            "acks_on_timeout" => self.acks_on_timeout = optional(flag, value)?,
            "acks_on_failure_or_timeout" => {
                self.acks_on_failure_or_timeout = optional(flag, value)?;
            }
            "max_retries" => self.max_retries = optional(whole, value)?,
            "default_retry_delay" => self.default_retry_delay = seconds(value)?,
            "retry_backoff" => {
                self.retry_backoff = match value.as_bool() {
                    Some(on) => u64::from(on),
                    None => whole(value)?,
                }
            }
            "retry_backoff_max" => self.retry_backoff_max = seconds(value)?,
            "retry_jitter" => self.retry_jitter = flag(value)?,
            "rate_limit" => self.rate_limit = Some(rate(value)?),
            "time_limit" => self.time_limit = optional(seconds, value)?,
            "soft_time_limit" => self.soft_time_limit = optional(seconds, value)?,
            "ignore_result" => self.ignore_result = Some(flag(value)?),
            "store_errors_even_if_ignored" => {
                self.store_errors_even_if_ignored = Some(flag(value)?);
            }
            "track_started" => self.track_started = Some(flag(value)?),
            "isolate" => self.isolate = flag(value)?,
            "reject_on_worker_lost" => {
                self.reject_on_worker_lost = optional(flag, value)?;
            }
            "retry_on_worker_lost" => self.retry_on_worker_lost = optional(flag, value)?,
            "trail" => self.trail = flag(value)?,
            "send_events" => self.send_events = flag(value)?,
            "shadow" => self.shadow = optional(text, value)?,
            "resultrepr_maxsize" => self.resultrepr_maxsize = whole(value)?,
            "priority" => self.priority = optional(whole, value)?,
            "queue" => self.queue = optional(text, value)?,
            "exchange" => self.exchange = optional(text, value)?,
            "routing_key" => self.routing_key = optional(text, value)?,
            "serializer" => self.serializer = optional(serializer, value)?,
            "compression" => self.compression = optional(compression, value)?,
            "expires" => self.expires = optional(seconds, value)?,
            "autoretry_for" | "dont_autoretry_for" | "throws" => {
                return Err(Problem::Name(format!(
                    "`{name}` is a list of types of errors, which are Rust's: set it on the task"
                )));
            }
            "shadow_name" | "before_start" | "on_success" | "on_failure" | "on_retry"
            | "after_return" => {
                return Err(Problem::Name(format!(
                    "`{name}` is a function, which is Rust's: set it on the task"
                )));
            }
            _ => return Err(Problem::Name(unknown(name))),
        }
        Ok(())
    }
}

enum Problem {
    /// It expects something else.
    Value(String),
    /// It is none, or none that can be set.
    Name(String),
}

/// The names that can be set.
const NAMES: &[&str] = &[
    "acks_late",
    "acks_on_failure",
    "acks_on_failure_or_timeout",
    "acks_on_timeout",
    "compression",
    "default_retry_delay",
    "exchange",
    "expires",
    "ignore_result",
    "isolate",
    "max_retries",
    "priority",
    "queue",
    "rate_limit",
    "reject_on_worker_lost",
    "resultrepr_maxsize",
    "retry_backoff",
    "retry_backoff_max",
    "retry_jitter",
    "retry_on_worker_lost",
    "routing_key",
    "send_events",
    "serializer",
    "shadow",
    "soft_time_limit",
    "store_errors_even_if_ignored",
    "time_limit",
    "track_started",
    "trail",
];

fn unknown(name: &str) -> String {
    let near = NAMES.iter().map(|known| (strsim::damerau_levenshtein(name, known), known)).min();
    match near {
        Some((distance, known)) if distance <= 3 => {
            format!("a task has no option `{name}`, did you mean `{known}`?")
        }
        _ => format!("a task has no option `{name}`; there are {}", NAMES.join(", ")),
    }
}

fn expected<T>(value: Option<T>, what: &str) -> Result<T, Problem> {
    value.ok_or_else(|| Problem::Value(what.to_owned()))
}

fn optional<T>(
    read: impl FnOnce(&Value) -> Result<T, Problem>,
    value: &Value,
) -> Result<Option<T>, Problem> {
    if value.is_null() { Ok(None) } else { read(value).map(Some) }
}

fn flag(value: &Value) -> Result<bool, Problem> {
    // Python takes nothing for false.
    if value.is_null() {
        return Ok(false);
    }
    expected(value.as_bool(), "true or false")
}

fn whole<T: TryFrom<u64>>(value: &Value) -> Result<T, Problem> {
    let number = value.as_u64().and_then(|number| T::try_from(number).ok());
    expected(number, "a whole number that is not negative, and not too large")
}

fn seconds(value: &Value) -> Result<Duration, Problem> {
    let seconds = value.as_f64().and_then(|it| Duration::try_from_secs_f64(it).ok());
    expected(seconds, "a number of seconds")
}

fn text(value: &Value) -> Result<&'static str, Problem> {
    expected(value.as_str().filter(|text| !text.is_empty()), "a text").map(interned)
}

fn rate(value: &Value) -> Result<&'static str, Problem> {
    let text = match value {
        Value::Null => "0".to_owned(),
        Value::Number(number) => number.to_string(),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    let rate = Rate::parse(&text).ok().map(|_| interned(&text));
    expected(
        rate,
        "how many tasks may begin in a second, a minute or an hour (`10/s`, `10/m`, `10/h`)",
    )
}

fn serializer(value: &Value) -> Result<&'static str, Problem> {
    let name = value.as_str().filter(|name| Serializer::from_name(name).is_ok());
    expected(name, "`json`, `msgpack` or `yaml`").map(interned)
}

fn compression(value: &Value) -> Result<&'static str, Problem> {
    let name = value.as_str().filter(|name| Compression::from_name(name).is_ok());
    expected(name, "`zlib`, `bzip2` or `zstd`").map(interned)
}

/// The text for ever, as that of a const is. Each is kept once, so that they are as many as the settings of the program
/// have different ones, however often an app is built of them.
fn interned(text: &str) -> &'static str {
    static TEXTS: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    let texts = texts.get_or_insert_default();
    if let Some(known) = texts.get(text) {
        return known;
    }
    let kept: &'static str = Box::leak(text.to_owned().into_boxed_str());
    texts.insert(kept);
    kept
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Every option has a name that settings may use, or a reason why not.
    #[test]
    fn every_option_is_known_by_its_name() {
        let shown = format!("{:#?}", Options::new());
        let fields: Vec<_> = shown
            .lines()
            .filter_map(|line| line.strip_prefix("    ")?.split_once(": "))
            .map(|(name, _)| name)
            .filter(|name| !name.starts_with(' '))
            .collect();
        assert!(fields.len() > 25, "{fields:?}");
        for name in &fields {
            let error = Options::new().set(name, &json!({})).unwrap_err();
            assert!(!error.contains("has no option"), "{error}");
            let settable = error.contains("expects");
            assert_eq!(NAMES.contains(name), settable, "{error}");
        }
        assert!(NAMES.iter().all(|name| fields.contains(name)));
        assert!(NAMES.is_sorted());
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_expected() {
        let check = |name, value, expected: &str| {
            let error = Options::new().set(name, &value).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        };
        check("acks_late", json!("yes"), "`acks_late` expects true or false, but found \"yes\"");
        check("max_retries", json!(-1), "`max_retries` expects a whole number");
        check("priority", json!(256), "`priority` expects a whole number");
        check("time_limit", json!("1"), "`time_limit` expects a number of seconds");
        check("rate_limit", json!("10/d"), "`rate_limit` expects how many tasks");
        check("queue", json!(1), "`queue` expects a text");
        check("serializer", json!("pickle"), "`serializer` expects `json`");
        check("compression", json!("lzma"), "`compression` expects `zlib`");
        check(
            "ack_late",
            json!(true),
            "a task has no option `ack_late`, did you mean `acks_late`?",
        );
        check("bind", json!(true), "a task has no option `bind`; there are acks_late, ");
        check("throws", json!([]), "`throws` is a list of types of errors, which are Rust's");
        check("on_failure", json!("f"), "`on_failure` is a function");
    }

    #[test]
    fn null_takes_back_what_the_task_says() {
        let task = Options::new().acks_late(true).rate_limit("1/s").queue("slow").time_limit(5);
        let null = |name| task.set(name, &Value::Null).unwrap();
        assert_eq!(null("acks_late").acks_late, Some(false));
        assert_eq!(null("rate_limit").rate_limit, Some("0"));
        assert_eq!(null("queue").queue, None);
        assert_eq!(null("time_limit").time_limit, None);
        assert_eq!(null("max_retries").max_retries, None);
    }

    #[test]
    fn a_text_is_kept_once() {
        let queue = || Options::new().set("queue", &json!("a-queue")).unwrap().queue.unwrap();
        assert!(std::ptr::eq(queue(), queue()));
    }
}
