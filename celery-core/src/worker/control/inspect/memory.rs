//! How much memory a worker has: now, and at the times when it was asked before.

use std::sync::{Arc, Mutex, PoisonError};

use super::super::{
    command::{Answer, CommandError},
    panel::Panel,
};
use crate::{arguments::Bound, value::Value};

/// What was sampled since it was last shown.
pub(in super::super) type Samples = Arc<Mutex<Vec<String>>>;

/// The resident memory, such as `59.16MB`; null where the system does not tell.
pub(in super::super) async fn memsample(panel: &Panel, _: Bound) -> Answer {
    let Some(now) = resident() else { return Ok(Some(Value::Null)) };
    panel.samples.lock().unwrap_or_else(PoisonError::into_inner).push(now.clone());
    Ok(Some(now.into()))
}

/// What was sampled, at most so many of it, and the memory now.
pub(in super::super) async fn memdump(panel: &Panel, mut given: Bound) -> Answer {
    let most = given.take::<Option<usize>>(0)?.unwrap_or(10).max(1);
    let samples =
        std::mem::take(&mut *panel.samples.lock().unwrap_or_else(PoisonError::into_inner));
    let Some(now) = resident() else {
        return Ok(Some("- rss: (not told by this system).\n".into()));
    };
    let mut text = String::new();
    if !samples.is_empty() {
        text.push_str("- rss (sample):\n");
        let every = (samples.len() / most).max(1);
        for sample in samples.iter().step_by(every).take(most) {
            text.push_str(&format!("-    > {sample},\n"));
        }
    }
    text.push_str(&format!("- rss (end): {now}.\n"));
    Ok(Some(text.into()))
}

/// Refused: it draws the objects of Python's garbage collector.
pub(in super::super) async fn objgraph(_: &Panel, _: Bound) -> Answer {
    Err(CommandError::new(
        "NotImplementedError",
        "this worker is written in Rust, which has no garbage collector whose objects could be drawn; ask for memsample",
    ))
}

fn resident() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(human(kilobytes * 1024))
}

/// A size as Celery prints it: in the largest unit that fits, with five digits.
#[expect(clippy::cast_precision_loss, reason = "five digits of it are shown")]
fn human(bytes: u64) -> String {
    const UNITS: [(f64, &str); 5] = [
        (1_099_511_627_776.0, "TB"),
        (1_073_741_824.0, "GB"),
        (1_048_576.0, "MB"),
        (1024.0, "KB"),
        (1.0, "b"),
    ];
    let bytes = bytes as f64;
    let (size, unit) = UNITS.iter().find(|(size, _)| bytes >= *size).unwrap_or(&UNITS[4]);
    let amount = bytes / size;
    if amount.fract() == 0.0 {
        return format!("{amount:.0}{unit}");
    }
    let whole = format!("{amount:.0}").len().min(4);
    let text = format!("{amount:.*}", 5 - whole);
    let text = text.trim_end_matches('0');
    // Python keeps one digit behind the point.
    if text.ends_with('.') { format!("{text}0{unit}") } else { format!("{text}{unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_printed_as_celery_prints_it() {
        // What `celery.utils.debug.humanbytes` says.
        for (bytes, expected) in [
            (62_033_756, "59.16MB"),
            (62_164_828, "59.285MB"),
            (1_073_710_285, "1024.0MB"),
            (2_147_483_648, "2GB"),
            (1536, "1.5KB"),
            (0, "0b"),
            (1_079_000, "1.029MB"),
        ] {
            assert_eq!(human(bytes), expected, "{bytes}");
        }
    }
}
