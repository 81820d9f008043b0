//! Dates as they are written on the wire: ISO 8601, as Python prints and reads it.

#[cfg(test)]
mod tests;

use jiff::{
    Timestamp,
    civil::{self, ISOWeekDate},
    tz::{Offset, TimeZone},
};

/// Writes an instant as Python's `isoformat` does: microseconds unless they are zero, and the offset as `+HH:MM`.
///
/// ```
/// use celery_core::date;
/// use jiff::tz::TimeZone;
///
/// let at = "2030-01-02T03:04:05Z".parse().unwrap();
/// assert_eq!(date::format(at, &TimeZone::UTC), "2030-01-02T03:04:05+00:00");
/// ```
pub fn format(at: Timestamp, tz: &TimeZone) -> String {
    let offset = tz.to_offset(at);
    let mut text = format_naive(offset.to_datetime(at));
    let seconds = offset.seconds();
    text.push(if seconds < 0 { '-' } else { '+' });
    let seconds = seconds.unsigned_abs();
    digits(&mut text, seconds / 3600, 2);
    text.push(':');
    digits(&mut text, seconds / 60 % 60, 2);
    if !seconds.is_multiple_of(60) {
        text.push(':');
        digits(&mut text, seconds % 60, 2);
    }
    text
}

/// Writes the last so many digits of the number.
fn digits(text: &mut String, number: u32, count: u32) {
    for place in (0..count).rev() {
        let digit = number / 10_u32.pow(place) % 10;
        text.push(char::from_digit(digit, 10).unwrap_or('0'));
    }
}

/// The instant as Python's `time()` has it: seconds since the Unix epoch, to the microsecond.
///
/// ```
/// use celery_core::date;
///
/// let at = "1970-01-01T00:00:01.5Z".parse().unwrap();
/// assert_eq!(date::unix_seconds(at), 1.5);
/// ```
#[expect(clippy::cast_precision_loss, reason = "microseconds of this century fit into a float")]
pub fn unix_seconds(at: Timestamp) -> f64 {
    at.as_microsecond() as f64 / 1e6
}

/// Writes a date and time without an offset, as Python's `isoformat` does for a naive `datetime`.
pub fn format_naive(at: civil::DateTime) -> String {
    let date = at.date();
    let mut text = match u32::try_from(date.year()) {
        Ok(year @ ..=9999) => {
            let mut text = String::with_capacity(32);
            digits(&mut text, year, 4);
            for part in [date.month(), date.day()] {
                text.push('-');
                digits(&mut text, part.unsigned_abs().into(), 2);
            }
            text
        }
        // Python has no such years.
        _ => date.to_string(),
    };
    text.push('T');
    text.push_str(&format_time(at.time()));
    text
}

pub(crate) fn format_time(at: civil::Time) -> String {
    let mut text = String::with_capacity(16);
    for (number, part) in [at.hour(), at.minute(), at.second()].into_iter().enumerate() {
        if number > 0 {
            text.push(':');
        }
        digits(&mut text, part.unsigned_abs().into(), 2);
    }
    let micros = at.subsec_nanosecond() / 1000;
    if micros != 0 {
        text.push('.');
        digits(&mut text, micros.unsigned_abs(), 6);
    }
    text
}

/// Reads all that `dateutil`'s `isoparse` does, which is what a Python worker reads dates with: dates alone, `Z` or an
/// offset or neither, no seconds, fractions, any separator, the basic form without dashes and colons, weeks and ordinals.
///
/// A date without an offset is in `naive_in`. In the hour that is there twice, the first is meant, as in Python.
///
/// # Errors
///
/// [`BadDate`] quotes the text.
pub fn parse(text: &str, naive_in: &TimeZone) -> Result<Timestamp, BadDate> {
    let (at, offset) = split(text)?;
    let timestamp = match offset {
        Some(offset) => offset.to_timestamp(at),
        None => naive_in.to_ambiguous_timestamp(at).compatible(),
    };
    timestamp.map_err(|_| BadDate(text.to_owned()))
}

/// A text is not a date.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an ISO 8601 date such as 2030-01-02T03:04:05+00:00")]
pub struct BadDate(pub String);

/// The parts of a date: what the clock on the wall showed, and the offset, if one is stated.
pub(crate) fn split(text: &str) -> Result<(civil::DateTime, Option<Offset>), BadDate> {
    read(text).ok_or_else(|| BadDate(text.to_owned()))
}

fn read(text: &str) -> Option<(civil::DateTime, Option<Offset>)> {
    let mut reader = Reader { rest: text };
    let date = reader.date()?;
    if reader.rest.is_empty() {
        return Some((date.to_datetime(civil::Time::midnight()), None));
    }
    // The separator is any one character, even a digit.
    reader.rest = reader.rest.get(1..)?;
    let (date, time) = match reader.time()? {
        Clock::Time(time) => (date, time),
        Clock::EndOfDay => (date.tomorrow().ok()?, civil::Time::midnight()),
    };
    let offset = reader.offset()?;
    reader.rest.is_empty().then(|| (date.to_datetime(time), offset))
}

enum Clock {
    Time(civil::Time),
    /// `24:00`.
    EndOfDay,
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    /// Exactly `count` digits.
    fn digits(&mut self, count: usize) -> Option<i32> {
        let digits =
            self.rest.get(..count).filter(|it| it.bytes().all(|it| it.is_ascii_digit()))?;
        self.rest = &self.rest[count..];
        digits.parse().ok()
    }

    fn two(&mut self) -> Option<i8> {
        self.digits(2).and_then(|it| i8::try_from(it).ok())
    }

    fn skip(&mut self, separator: &str) -> bool {
        let rest = self.rest.strip_prefix(separator);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// How many digits come next.
    fn run(&self) -> usize {
        self.rest.bytes().take_while(u8::is_ascii_digit).count()
    }

    fn date(&mut self) -> Option<civil::Date> {
        let year = i16::try_from(self.digits(4)?).ok().filter(|it| *it > 0)?;
        if self.rest.is_empty() {
            return civil::Date::new(year, 1, 1).ok();
        }
        let dashed = self.skip("-");
        if self.skip("W") {
            let week = self.two()?;
            let has_day = if dashed { self.skip("-") } else { self.run() > 0 };
            let day = if has_day { i8::try_from(self.digits(1)?).ok()? } else { 1 };
            let weekday = civil::Weekday::from_monday_one_offset(day).ok()?;
            return ISOWeekDate::new(year, week, weekday).ok().map(ISOWeekDate::date);
        }
        if self.run() == 3 {
            let day = i16::try_from(self.digits(3)?).ok()?;
            return civil::Date::new(year, 1, 1).ok()?.with().day_of_year(day).build().ok();
        }
        let month = self.two()?;
        if dashed && self.rest.is_empty() {
            return civil::Date::new(year, month, 1).ok();
        }
        if dashed && !self.skip("-") {
            return None;
        }
        civil::Date::new(year, month, self.two()?).ok()
    }

    fn time(&mut self) -> Option<Clock> {
        let hour = self.two()?;
        let coloned = self.rest.starts_with(':');
        let more = |it: &mut Self| if coloned { it.skip(":") } else { it.run() > 0 };
        let minute = if more(self) { self.two()? } else { 0 };
        let (mut second, mut nanos) = (0, 0);
        if more(self) {
            second = self.two()?;
            if self.skip(".") || self.skip(",") {
                let count = self.run();
                // Python knows microseconds and drops what is finer.
                nanos = self.rest.get(..count.clamp(1, 6))?.parse::<i32>().ok()?
                    * 10_i32.pow(9 - count.min(6) as u32);
                self.rest = &self.rest[count..];
            }
        }
        if hour == 24 {
            return (minute == 0 && second == 0 && nanos == 0).then_some(Clock::EndOfDay);
        }
        civil::Time::new(hour, minute, second, nanos).ok().map(Clock::Time)
    }

    /// The offset, or none at the end of the text.
    fn offset(&mut self) -> Option<Option<Offset>> {
        if self.rest.is_empty() {
            return Some(None);
        }
        if self.skip("Z") || self.skip("z") {
            return Some(Some(Offset::UTC));
        }
        let sign = if self.skip("+") {
            1
        } else if self.skip("-") {
            -1
        } else {
            return None;
        };
        let hours = self.digits(2).filter(|it| *it < 24)?;
        let coloned = self.skip(":");
        let minutes =
            if coloned || self.run() > 0 { self.digits(2).filter(|it| *it < 60)? } else { 0 };
        // Python prints these for the offsets of the time before zones.
        let more = if coloned { self.skip(":") } else { self.run() > 0 };
        let seconds = if more { self.digits(2).filter(|it| *it < 60)? } else { 0 };
        Offset::from_seconds(sign * (hours * 3600 + minutes * 60 + seconds)).ok().map(Some)
    }
}
