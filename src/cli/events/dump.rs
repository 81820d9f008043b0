//! An event as a line of text.

use std::collections::{HashMap, VecDeque};

use celery_core::{events::Event, value::Value};
use jiff::Timestamp;

use crate::cli::output::python_str;

/// How many tasks are known by what was first said of them.
const TASKS: usize = 4095;

/// Turns events into lines, as Celery's does. It remembers how tasks are called, which only some events say.
#[derive(Debug, Default)]
pub(super) struct Dumper {
    tasks: HashMap<String, String>,
    /// The ids of these, the oldest first.
    order: VecDeque<String>,
}

impl Dumper {
    /// The event as a line.
    pub(super) fn line(&mut self, event: &Event) -> String {
        let mut fields = event.fields.clone();
        let mut take = |name: &str| fields.shift_remove(name);
        let shown = |value: Option<Value>| python_str(&value.unwrap_or_default());
        let timestamp =
            take("timestamp").and_then(|time| time.as_f64()).map(date).unwrap_or_default();
        let hostname = shown(take("hostname"));
        let kind = event.kind().to_lowercase();
        let task = kind.starts_with("task-").then(|| {
            let uuid = shown(take("uuid"));
            if kind == "task-received" || kind == "task-sent" {
                let (name, args, kwargs) = (take("name"), take("args"), take("kwargs"));
                let (name, args, kwargs) = (shown(name), shown(args), shown(kwargs));
                self.remember(&uuid, format!("{name}({uuid}) args={args} kwargs={kwargs}"));
            }
            self.tasks.get(&uuid).cloned().unwrap_or_default() + " "
        });
        let mut fields: Vec<_> =
            fields.iter().map(|(name, value)| format!("{name}={}", python_str(value))).collect();
        fields.sort_unstable();
        let colon = if fields.is_empty() { "" } else { ":" };
        let (kind, task) = (humanize(&kind), task.unwrap_or_default());
        format!("{hostname} [{timestamp}] {kind}{colon} {task}{}", fields.join(", "))
    }

    fn remember(&mut self, uuid: &str, task: String) {
        if self.tasks.insert(uuid.to_owned(), task).is_none() {
            self.order.push_back(uuid.to_owned());
        }
        if self.order.len() > TASKS
            && let Some(oldest) = self.order.pop_front()
        {
            self.tasks.remove(&oldest);
        }
    }
}

/// What a type is called.
fn humanize(kind: &str) -> String {
    match kind {
        "worker-offline" => "shutdown".to_owned(),
        "worker-online" => "started".to_owned(),
        "worker-heartbeat" => "heartbeat".to_owned(),
        other => other.replace('-', " "),
    }
}

/// A Unix time as Python prints the date: microseconds only where there are any.
fn date(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "microseconds of any date fit")]
    let microseconds = (seconds * 1e6).round_ties_even() as i64;
    let at = Timestamp::from_microsecond(microseconds).unwrap_or_default();
    let date = at.strftime("%Y-%m-%d %H:%M:%S");
    match at.as_microsecond().rem_euclid(1_000_000) {
        0 => format!("{date}+00:00"),
        rest => format!("{date}.{rest:06}+00:00"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What Celery 5.7 printed of these events.
    #[test]
    fn lines_are_celerys() {
        let mut dumper = Dumper::default();
        let mut check = |event: Value, line: &str| {
            assert_eq!(dumper.line(&Event::from_value(event).unwrap()), line);
        };
        check(
            json!({"hostname": "h@x", "clock": 1, "freq": 2.0, "loadavg": [1.0, 2.5, 0.0], "sw_ident": "py", "x": null, "y": {"a": "b"}, "z": true, "timestamp": 1795616330.154261, "type": "worker-online"}),
            "h@x [2026-11-25 14:18:50.154261+00:00] started: clock=1, freq=2.0, loadavg=[1.0, 2.5, 0.0], sw_ident=py, x=None, y={'a': 'b'}, z=True",
        );
        check(
            json!({"hostname": "h@x", "bar": [1, "q"], "clock": 2, "timestamp": 1795616330.0, "type": "my-event"}),
            "h@x [2026-11-25 14:18:50+00:00] my event: bar=[1, 'q'], clock=2",
        );
        check(
            json!({"hostname": "h@x", "uuid": "u1", "name": "n", "args": "(1,)", "kwargs": "{}", "eta": null, "clock": 4, "timestamp": 1795616330.5, "type": "Task-Received"}),
            "h@x [2026-11-25 14:18:50.500000+00:00] task received: n(u1) args=(1,) kwargs={} clock=4, eta=None",
        );
        check(
            json!({"hostname": "h@x", "uuid": "u1", "result": "'x'", "runtime": 0.5, "timestamp": 1795616330.5, "type": "task-succeeded"}),
            "h@x [2026-11-25 14:18:50.500000+00:00] task succeeded: n(u1) args=(1,) kwargs={} result='x', runtime=0.5",
        );
        check(
            json!({"hostname": "h@x", "uuid": "u2", "clock": 6, "timestamp": 1795616330.5, "type": "task-started"}),
            "h@x [2026-11-25 14:18:50.500000+00:00] task started:  clock=6",
        );
        check(
            json!({"hostname": "h@x", "timestamp": 1795616330.5, "type": "worker-offline"}),
            "h@x [2026-11-25 14:18:50.500000+00:00] shutdown ",
        );
    }

    #[test]
    fn only_so_many_tasks_are_remembered() {
        let mut dumper = Dumper::default();
        for number in 0..TASKS + 10 {
            dumper.remember(&number.to_string(), String::new());
        }
        assert_eq!((dumper.tasks.len(), dumper.order.len()), (TASKS, TASKS));
    }
}
