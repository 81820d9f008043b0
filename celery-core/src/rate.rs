//! Rates: how often a task may begin.

use std::time::Duration;

/// How often a task may begin: a number of times in a second, a minute or an hour.
///
/// ```
/// use celery_core::rate::Rate;
///
/// let rate = Rate::parse("10/m")?.expect("a limit");
/// assert_eq!(rate.interval().as_secs(), 6);
/// assert_eq!(Rate::parse("0")?, None);
/// assert!(Rate::parse("often").is_err());
/// # Ok::<_, celery_core::rate::BadRate>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    times: f64,
    /// In that many seconds.
    seconds: u64,
}

/// A text that is no rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no rate limit, which is how many tasks may begin in a second, a minute or an hour: `10/s`, `10/m` or `10/h`; `0` is no limit"
)]
pub struct BadRate {
    text: String,
}

impl Rate {
    /// Reads `10/s`, `10/m`, `10/h`, or a number alone, which is that many a second. Zero is no limit.
    ///
    /// # Errors
    /// [`BadRate`] says what a rate looks like.
    pub fn parse(text: &str) -> Result<Option<Self>, BadRate> {
        Self::read(text).map_err(|()| BadRate { text: text.to_owned() })
    }

    /// The time between two beginnings.
    pub fn interval(self) -> Duration {
        Duration::try_from_secs_f64(self.seconds as f64 / self.times).unwrap_or(Duration::MAX)
    }

    /// The same for the compiler, which cannot put a text together.
    pub(crate) const fn read(text: &str) -> Result<Option<Self>, ()> {
        let text = text.trim_ascii().as_bytes();
        let (seconds, digits) = match text {
            [digits @ .., b'/', b's'] => (1, digits),
            [digits @ .., b'/', b'm'] => (60, digits),
            [digits @ .., b'/', b'h'] => (3600, digits),
            // As Celery has it, the slash may stand alone.
            [digits @ .., b'/'] => (1, digits),
            digits => (1, digits),
        };
        match number(digits.trim_ascii()) {
            None => Err(()),
            Some(0.0) => Ok(None),
            Some(times) => Ok(Some(Self { times, seconds })),
        }
    }
}

/// A decimal number without a sign.
const fn number(digits: &[u8]) -> Option<f64> {
    let (mut whole, mut scale, mut after_point, mut seen, mut at) = (0_u64, 1_u64, false, false, 0);
    while at < digits.len() {
        match digits[at] {
            b'.' if !after_point => after_point = true,
            digit @ b'0'..=b'9' => {
                seen = true;
                whole = match whole.checked_mul(10) {
                    Some(tens) => tens.saturating_add((digit - b'0') as u64),
                    None => return None,
                };
                if after_point {
                    scale *= 10;
                }
            }
            _ => return None,
        }
        at += 1;
    }
    if seen { Some(whole as f64 / scale as f64) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_with_what_it_is_counted_by() {
        let interval = |text| Rate::parse(text).unwrap().map(|rate| rate.interval().as_millis());
        assert_eq!(interval("10/s"), Some(100));
        assert_eq!(interval("10/m"), Some(6_000));
        assert_eq!(interval(" 10 /h "), Some(360_000));
        assert_eq!(interval("4"), Some(250));
        assert_eq!(interval("0.5/s"), Some(2_000));
        assert_eq!(interval("0"), None);
        assert_eq!(interval("0.0/m"), None);
        for wrong in
            ["", "/m", "ten/m", "10/d", "10/m/s", "-1", "1e3", ".", "1.2.3", "99999999999999999999"]
        {
            assert!(Rate::parse(wrong).is_err(), "{wrong}");
        }
    }
}
