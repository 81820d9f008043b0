//! What a process uses, as `/proc` has it.

use std::{fs, time::Duration};

use crate::Outcome;

/// A tick of `utime` and `stime`: user space sees hundredths of a second, whatever the kernel counts.
const TICK: Duration = Duration::from_millis(10);

/// What the process and those that it has started have used of the processors.
pub(crate) fn cpu_of_all(id: u32) -> Outcome<Duration> {
    let mut all = cpu(id)?;
    let children = format!("/proc/{id}/task/{id}/children");
    for child in fs::read_to_string(children)?.split_whitespace() {
        all += cpu_of_all(child.parse()?)?;
    }
    Ok(all)
}

/// What the process has used of the processors.
pub(crate) fn cpu(id: u32) -> Outcome<Duration> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name, in parentheses, may have anything in it.
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // Fields 14 and 15 of proc(5), of which the first two are before the parenthesis.
    let ticks = |at: usize| -> Outcome<u32> { Ok(fields.get(at).ok_or("a short line")?.parse()?) };
    Ok(TICK * (ticks(11)? + ticks(12)?))
}
