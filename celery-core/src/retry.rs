//! How long to wait before a retry.

use std::time::Duration;

use crate::options::Options;

/// The delay before the next automatic retry of a task that has been retried `retries` times.
///
/// Without a back-off it is the task's `default_retry_delay`. With one it is
/// `min(retry_backoff_max, retry_backoff × 2^retries)` seconds, of which, with `retry_jitter`, a whole number of
/// seconds at random is taken: `random` is asked for a number from zero to the one given, both included.
pub fn delay(options: &Options, retries: u32, random: impl FnOnce(u64) -> u64) -> Duration {
    if options.retry_backoff == 0 {
        return options.default_retry_delay;
    }
    let full = options.retry_backoff.saturating_mul(2u64.saturating_pow(retries));
    let full = full.min(options.retry_backoff_max.as_secs());
    Duration::from_secs(if options.retry_jitter { random(full) } else { full })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_delay_doubles_up_to_its_limit() {
        let options =
            Options::new().retry_backoff_factor(2).retry_backoff_max(30).retry_jitter(false);
        let delays: Vec<_> =
            (0..6).map(|retries| delay(&options, retries, |_| 0).as_secs()).collect();
        assert_eq!(delays, [2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn without_a_backoff_it_is_the_default_delay() {
        assert_eq!(delay(&Options::new(), 7, |_| 0), Duration::from_secs(180));
    }

    proptest! {
        #[test]
        fn jitter_stays_within_the_full_delay(factor in 1u64.., retries: u32, seed: u64, max in 0u64..100_000) {
            let options = Options::new().retry_backoff_factor(factor).retry_backoff_max(max);
            let jittered = delay(&options, retries, |full| if full == 0 { 0 } else { seed % (full + 1) });
            prop_assert!(jittered <= Duration::from_secs(max));
        }
    }
}
