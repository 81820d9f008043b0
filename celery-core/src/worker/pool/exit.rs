//! How a child process ended, in the words of Celery.

use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

/// `signal 9 (SIGKILL)`, or `exitcode 3`.
pub(super) fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(number), _) => match signal_name(number) {
            Some(name) => format!("signal {number} ({name})"),
            None => format!("signal {number}"),
        },
        (None, code) => format!("exitcode {}", code.unwrap_or_default()),
    }
}

/// The name of the signals that end processes. Others have none in Celery's messages, either.
fn signal_name(number: i32) -> Option<&'static str> {
    use rustix::process::Signal;
    let names = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::USR1, "SIGUSR1"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::USR2, "SIGUSR2"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::TERM, "SIGTERM"),
        (Signal::XCPU, "SIGXCPU"),
        (Signal::XFSZ, "SIGXFSZ"),
        (Signal::SYS, "SIGSYS"),
    ];
    names.into_iter().find(|(signal, _)| signal.as_raw() == number).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_in_celerys_words() {
        let check = |raw, expected| assert_eq!(describe(ExitStatus::from_raw(raw)), expected);
        check(9, "signal 9 (SIGKILL)");
        check(6 | 0x80, "signal 6 (SIGABRT)");
        check(3 << 8, "exitcode 3");
        check(0, "exitcode 0");
        check(34, "signal 34");
    }
}
