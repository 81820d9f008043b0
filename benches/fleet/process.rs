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

/// What the threads of the process have used, to the nanosecond where the kernel counts so.
pub(crate) fn cpu_of_threads(id: u32) -> Outcome<Duration> {
    let mut all = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{id}/task"))? {
        let counted = fs::read_to_string(thread?.path().join("schedstat"))?;
        let nanoseconds = counted.split_whitespace().next().ok_or("an empty line")?.parse()?;
        all += Duration::from_nanos(nanoseconds);
    }
    Ok(all)
}

/// What the process has of the memory, in MiB.
pub(crate) fn memory(id: u32) -> Outcome<f64> {
    mebibytes(id, "Rss:")
}

/// What the process and those that it has started have of the memory, in MiB. What they share is counted once.
pub(crate) fn memory_of_all(id: u32) -> Outcome<f64> {
    let mut all = mebibytes(id, "Pss:")?;
    let children = format!("/proc/{id}/task/{id}/children");
    for child in fs::read_to_string(children)?.split_whitespace() {
        all += memory_of_all(child.parse()?)?;
    }
    Ok(all)
}

fn mebibytes(id: u32, what: &str) -> Outcome<f64> {
    let lines = fs::read_to_string(format!("/proc/{id}/smaps_rollup"))?;
    let line = lines.lines().find_map(|line| line.strip_prefix(what)).ok_or("no such line")?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes / 1024.0)
}
