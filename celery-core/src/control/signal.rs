//! The signals that a task may be terminated with, by name and by number.

use crate::value::Value;

/// What Celery sends unless something else is asked for.
pub(crate) const TERM: i32 = 15;

/// No signal has that name or number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no signal is called {0}; give a name such as `SIGKILL` or `TERM`, or a number such as 9")]
pub(crate) struct UnknownSignal(String);

/// The number of a signal that is given as `"SIGKILL"`, `"KILL"` or `9`; of none, that of SIGTERM.
///
/// # Errors
/// [`UnknownSignal`] when there is no such signal on this system.
pub(crate) fn number(signal: &Value) -> Result<i32, UnknownSignal> {
    let found = match signal {
        Value::Null => Some(TERM),
        Value::Number(number) => {
            number.as_i64().and_then(|number| i32::try_from(number).ok()).filter(is_signal)
        }
        Value::String(name) if name.is_empty() => Some(TERM),
        Value::String(name) => by_name(name),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    found.ok_or_else(|| UnknownSignal(format!("`{}`", shown(signal))))
}

fn shown(signal: &Value) -> String {
    signal.as_str().map_or_else(|| signal.to_string(), str::to_owned)
}

fn by_name(name: &str) -> Option<i32> {
    let name = name.trim().to_ascii_uppercase();
    if let Ok(number) = name.parse() {
        return Some(number).filter(is_signal);
    }
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    SIGNALS.iter().find(|(of, _)| *of == name).map(|(_, number)| *number)
}

fn is_signal(number: &i32) -> bool {
    SIGNALS.iter().any(|(_, of)| of == number)
}

#[cfg(unix)]
const SIGNALS: &[(&str, i32)] = {
    use rustix::process::Signal;
    &[
        ("HUP", Signal::HUP.as_raw()),
        ("INT", Signal::INT.as_raw()),
        ("QUIT", Signal::QUIT.as_raw()),
        ("ILL", Signal::ILL.as_raw()),
        ("TRAP", Signal::TRAP.as_raw()),
        ("ABRT", Signal::ABORT.as_raw()),
        ("BUS", Signal::BUS.as_raw()),
        ("FPE", Signal::FPE.as_raw()),
        ("KILL", Signal::KILL.as_raw()),
        ("USR1", Signal::USR1.as_raw()),
        ("SEGV", Signal::SEGV.as_raw()),
        ("USR2", Signal::USR2.as_raw()),
        ("PIPE", Signal::PIPE.as_raw()),
        ("ALRM", Signal::ALARM.as_raw()),
        ("TERM", Signal::TERM.as_raw()),
        ("CHLD", Signal::CHILD.as_raw()),
        ("CONT", Signal::CONT.as_raw()),
        ("STOP", Signal::STOP.as_raw()),
        ("TSTP", Signal::TSTP.as_raw()),
        ("TTIN", Signal::TTIN.as_raw()),
        ("TTOU", Signal::TTOU.as_raw()),
        ("URG", Signal::URG.as_raw()),
        ("XCPU", Signal::XCPU.as_raw()),
        ("XFSZ", Signal::XFSZ.as_raw()),
        ("VTALRM", Signal::VTALARM.as_raw()),
        ("PROF", Signal::PROF.as_raw()),
        ("WINCH", Signal::WINCH.as_raw()),
        ("IO", Signal::IO.as_raw()),
        ("SYS", Signal::SYS.as_raw()),
    ]
};

/// Those of C, which is all that there is elsewhere; and KILL, since no process of such a system takes it for another.
#[cfg(not(unix))]
const SIGNALS: &[(&str, i32)] =
    &[("INT", 2), ("ILL", 4), ("FPE", 8), ("KILL", 9), ("SEGV", 11), ("TERM", 15), ("ABRT", 22)];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_signal_has_a_name_and_a_number() {
        for (signal, expected) in [
            (json!("SIGKILL"), 9),
            (json!("KILL"), 9),
            (json!("kill"), 9),
            (json!("9"), 9),
            (json!(9), 9),
            (json!("SIGINT"), 2),
            (json!(null), 15),
            (json!(""), 15),
        ] {
            assert_eq!(number(&signal), Ok(expected), "{signal}");
        }
    }

    #[test]
    fn a_signal_that_is_none_is_named() {
        for (signal, named) in [
            (json!("SIGFOO"), "`SIGFOO`"),
            (json!(0), "`0`"),
            (json!(-9), "`-9`"),
            (json!("4711"), "`4711`"),
            (json!(["TERM"]), r#"`["TERM"]`"#),
            (json!(true), "`true`"),
        ] {
            let error = number(&signal).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
