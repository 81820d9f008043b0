//! When the messages of one task may begin: pure.
//!
//! It is Celery's bucket with room for one token: one may begin, and the next one an interval later. The times at which the
//! next ones may begin are given away as messages come. Those for the nearest times are held. Those for later times are
//! deferred until shortly before, and recognised when they come again; all the rest is deferred, in order, to be asked about
//! again, since by then the limit, or who else takes part of them, may be another.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use tokio::time::Instant;

use crate::rate::Rate;

/// What a message may do that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum Permit {
    /// Begin.
    Begin,
    /// Begin when its task may, after those that are held already.
    Hold,
    /// Wait in the broker for that long.
    Defer(Duration),
}

/// How far ahead times are given away, and messages held.
const HORIZON: Duration = Duration::from_secs(60);

/// After how long a message is asked about again for which there was no time left.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// How far apart such messages come back, which bounds the work that they make.
const APART: Duration = Duration::from_millis(5);

/// How much of the time ahead is held: what a broker is late by must not leave a gap.
const HELD: Duration = Duration::from_secs(2);

/// The most messages that are held, and the most times that are given away.
const MOST: usize = 500;

/// How late a message may come back for its time before somebody else must have taken it.
const GRACE: Duration = Duration::from_secs(5);

/// What a timer may be late by that is made up for.
const LATE: Duration = Duration::from_millis(5);

/// The schedule of a task.
#[derive(Debug)]
pub(super) struct Schedule {
    /// The time between two beginnings; `None` is no limit.
    interval: Option<Duration>,
    /// When the next one may begin.
    next: Instant,
    /// How many are held.
    held: usize,
    /// The times given away to messages that are deferred, by their ids.
    times: HashMap<String, Instant>,
    /// The same in order.
    order: BTreeSet<(Instant, String)>,
    /// When the last of those comes back that got no time.
    tail: Instant,
}

impl Schedule {
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        Self {
            interval: Some(rate.interval()),
            next: now,
            held: 0,
            times: HashMap::new(),
            order: BTreeSet::new(),
            tail: now,
        }
    }

    pub(super) fn is_limited(&self) -> bool {
        self.interval.is_some()
    }

    /// Decides about a message that was received.
    pub(super) fn ask(&mut self, id: &str, now: Instant) -> Permit {
        let Some(interval) = self.interval else { return Permit::Begin };
        self.forget_late(now);
        let expected = self.forget(id);
        if self.held == 0 && now >= self.next {
            self.advance(interval, now);
            return Permit::Begin;
        }
        let room = room(interval);
        let own = after(self.next.max(now), interval, self.held);
        let soon = after(now, interval, room);
        let awaited = self.order.iter().take_while(|(time, _)| *time <= soon).count();
        let fits = if expected { self.held < 2 * room + 2 } else { self.held + awaited < room };
        if fits && own <= now + HORIZON {
            self.held += 1;
            return Permit::Hold;
        }
        // The first time that nobody has.
        let last = self.order.last().map_or(own, |(last, _)| own.max(after(*last, interval, 1)));
        if last <= now + HORIZON && self.times.len() < MOST {
            self.times.insert(id.to_owned(), last);
            self.order.insert((last, id.to_owned()));
            let early = (soon - now) / 2;
            return Permit::Defer(last.saturating_duration_since(now + early.min(HELD)));
        }
        self.tail = (self.tail + APART.min(interval / 4)).max(now + ASK_AGAIN);
        Permit::Defer(self.tail - now)
    }

    /// When the first of those that are held may begin.
    pub(super) fn due(&self) -> Option<Instant> {
        (self.held > 0).then_some(self.next)
    }

    /// The first of those that are held begins.
    pub(super) fn begin(&mut self, now: Instant) {
        self.held = self.held.saturating_sub(1);
        match self.interval {
            Some(interval) => self.advance(interval, now),
            None => self.next = now,
        }
    }

    /// Those that are held are given back.
    pub(super) fn release_all(&mut self) {
        self.held = 0;
    }

    /// Begins anew with another limit. What is held stays, and what is deferred is asked about again when it comes.
    pub(super) fn change(&mut self, rate: Option<Rate>, now: Instant) {
        self.interval = rate.map(Rate::interval);
        self.next = match self.interval {
            // What has begun before keeps its distance, but no greater one than the new limit asks for.
            Some(interval) => self.next.min(after(now, interval, 1)),
            None => now,
        };
        self.times.clear();
        self.order.clear();
        self.tail = now;
    }

    fn advance(&mut self, interval: Duration, now: Instant) {
        let from = if now < self.next + LATE.min(interval) { self.next } else { now };
        self.next = after(from, interval, 1);
    }

    /// Gives back the time of that message. Says whether it had one.
    fn forget(&mut self, id: &str) -> bool {
        let Some((id, time)) = self.times.remove_entry(id) else { return false };
        self.order.remove(&(time, id))
    }

    /// Gives back the times of messages that went elsewhere.
    fn forget_late(&mut self, now: Instant) {
        while let Some((time, _)) = self.order.first()
            && *time + GRACE < now
            && let Some((_, id)) = self.order.pop_first()
        {
            self.times.remove(&id);
        }
    }
}

/// How many messages are held at most.
fn room(interval: Duration) -> usize {
    let fit = HELD.as_nanos() / interval.as_nanos().max(1);
    usize::try_from(fit).unwrap_or(MOST).clamp(1, MOST)
}

/// That many intervals later. What cannot be told is as good as never.
fn after(from: Instant, interval: Duration, times: usize) -> Instant {
    const AGES: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    let times = u32::try_from(times).unwrap_or(u32::MAX);
    from + interval.saturating_mul(times).min(AGES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn schedule(rate: &str) -> (Schedule, Instant) {
        let now = Instant::now();
        (Schedule::new(Rate::parse(rate).unwrap().unwrap(), now), now)
    }

    #[test]
    fn one_begins_the_next_is_held_and_the_others_come_back_for_their_times() {
        let (mut schedule, now) = schedule("10/m");
        assert_eq!(schedule.ask("a", now), Permit::Begin);
        assert_eq!(schedule.ask("b", now), Permit::Hold);
        assert_eq!(schedule.due(), Some(now + 6 * SECOND));
        // Shortly before it is their turn.
        assert_eq!(schedule.ask("c", now), Permit::Defer(10 * SECOND));
        assert_eq!(schedule.ask("d", now), Permit::Defer(16 * SECOND));
        schedule.begin(now + 6 * SECOND);
        assert_eq!(schedule.ask("c", now + 10 * SECOND), Permit::Hold);
        assert_eq!(schedule.due(), Some(now + 12 * SECOND));
        // One that comes in between does not push in.
        schedule.begin(now + 12 * SECOND);
        assert_eq!(schedule.ask("e", now + 13 * SECOND), Permit::Defer(9 * SECOND));
        assert_eq!(schedule.ask("d", now + 16 * SECOND), Permit::Hold);
    }

    #[test]
    fn what_is_beyond_the_horizon_is_asked_about_again_in_order_and_not_all_at_once() {
        let (mut schedule, now) = schedule("1/m");
        let permits: Vec<_> = (0..2_000).map(|id| schedule.ask(&id.to_string(), now)).collect();
        assert_eq!(permits[..2], [Permit::Begin, Permit::Hold]);
        for (index, permit) in (0..).zip(&permits[2..]) {
            assert_eq!(*permit, Permit::Defer(30 * SECOND + index * APART));
        }
        assert_eq!(schedule.times.len(), 0);
    }

    #[test]
    fn what_is_remembered_is_bounded_however_many_come() {
        let (mut schedule, now) = schedule("1000/s");
        let held = (0..20_000).filter(|id| schedule.ask(&id.to_string(), now) == Permit::Hold);
        assert_eq!(held.count(), MOST);
        assert_eq!(schedule.times.len(), MOST);
        assert_eq!(schedule.times.len(), schedule.order.len());
    }

    #[test]
    fn a_time_that_another_worker_took_away_is_not_lost_for_ever() {
        let (mut schedule, now) = schedule("10/m");
        for id in ["a", "b", "c"] {
            schedule.ask(id, now);
        }
        schedule.begin(now + 6 * SECOND);
        // `c` went elsewhere, and somebody else may begin in its place.
        assert_eq!(schedule.ask("x", now + 12 * SECOND), Permit::Begin);
        assert_eq!(schedule.ask("y", now + 18 * SECOND), Permit::Begin);
        assert_eq!(schedule.times.len(), 0);
    }

    #[test]
    fn a_new_limit_holds_at_once() {
        let (mut schedule, now) = schedule("1/h");
        assert_eq!(schedule.ask("a", now), Permit::Begin);
        assert_eq!(schedule.ask("b", now), Permit::Defer(30 * SECOND));
        schedule.change(Rate::parse("10/m").unwrap(), now);
        assert_eq!(schedule.ask("b", now), Permit::Hold);
        assert_eq!(schedule.due(), Some(now + 6 * SECOND));
        schedule.change(None, now);
        assert_eq!(schedule.due(), Some(now));
        schedule.begin(now);
        assert_eq!(schedule.ask("c", now), Permit::Begin);
    }

    #[test]
    fn what_a_timer_is_late_by_is_made_up_for() {
        let (mut schedule, now) = schedule("100/s");
        let late = Duration::from_millis(2);
        assert_eq!(schedule.ask("a", now), Permit::Begin);
        assert_eq!(schedule.ask("b", now), Permit::Hold);
        schedule.begin(now + SECOND / 100 + late);
        assert_eq!(schedule.ask("c", now + SECOND / 100 + late), Permit::Hold);
        assert_eq!(schedule.due(), Some(now + SECOND / 50));
        schedule.begin(now + SECOND);
        assert_eq!(schedule.next, now + SECOND + SECOND / 100);
    }
}
