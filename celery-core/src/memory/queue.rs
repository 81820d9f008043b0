//! One queue: what waits, by priority, and what is deferred.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;

use crate::message::Message;

/// The priorities that have a list of their own, as kombu's Redis transport has them. The first is served first.
const STEPS: [i64; 4] = [0, 3, 6, 9];

#[derive(Debug, Default)]
pub(super) struct MemoryQueue {
    /// One list for each step; the front is served first.
    waiting: [VecDeque<Message>; STEPS.len()],
    /// By the time when they are due, and for one time in the order in which they were deferred.
    deferred: BTreeMap<(Timestamp, u64), Message>,
    deferrals: u64,
}

impl MemoryQueue {
    pub(super) fn push_back(&mut self, message: Message) {
        self.waiting[step(&message)].push_back(message);
    }

    pub(super) fn push_front(&mut self, message: Message) {
        self.waiting[step(&message)].push_front(message);
    }

    pub(super) fn defer(&mut self, message: Message, due: Timestamp) {
        self.deferrals += 1;
        self.deferred.insert((due, self.deferrals), message);
    }

    /// Moves what is due to the front, the most overdue first.
    pub(super) fn wake_deferred(&mut self, now: Timestamp) {
        if self.next_due().is_none_or(|due| due > now) {
            return;
        }
        let not_due = self.deferred.split_off(&(now, u64::MAX));
        let due = std::mem::replace(&mut self.deferred, not_due);
        for message in due.into_values().rev() {
            self.push_front(message);
        }
    }

    /// When the first of the deferred messages is due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.deferred.first_key_value().map(|((due, _), _)| *due)
    }

    /// When the last of the deferred messages is due.
    pub(super) fn last_due(&self) -> Option<Timestamp> {
        self.deferred.last_key_value().map(|((due, _), _)| *due)
    }

    /// What is deferred, and until when, the soonest first.
    pub(super) fn deferred(&self) -> impl Iterator<Item = (Timestamp, &Message)> {
        self.deferred.iter().map(|((due, _), message)| (*due, message))
    }

    /// Takes the next message of this step.
    pub(super) fn pop(&mut self, step: usize) -> Option<Message> {
        self.waiting[step].pop_front()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.iter().map(VecDeque::len).sum()
    }

    /// Drops what waits.
    pub(super) fn clear(&mut self) {
        self.waiting = Default::default();
    }
}

/// The indices of the steps, in the order in which they are served.
pub(super) fn steps() -> std::ops::Range<usize> {
    0..STEPS.len()
}

/// The index of the largest step that is not above the message's priority, which is held between 0 and 9.
fn step(message: &Message) -> usize {
    let priority = message.properties.priority.unwrap_or_default();
    STEPS.iter().rposition(|step| *step <= priority).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_belongs_to_the_step_below_it() {
        let of = |priority| {
            let mut message = Message::default();
            message.properties.priority = priority;
            STEPS[step(&message)]
        };
        let priorities =
            [None, Some(-5), Some(0), Some(2), Some(3), Some(5), Some(8), Some(9), Some(255)];
        assert_eq!(priorities.map(of), [0, 0, 0, 0, 3, 3, 6, 9, 9]);
    }

    #[test]
    fn what_is_due_comes_to_the_front_in_the_order_of_its_times() {
        let named = |name: &'static str| Message { body: name.into(), ..Message::default() };
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut queue = MemoryQueue::default();
        queue.push_back(named("waits"));
        queue.defer(named("third"), at(20));
        queue.defer(named("first"), at(10));
        queue.defer(named("second"), at(10));
        queue.defer(named("not yet"), at(21));
        assert_eq!(queue.len(), 1);
        queue.wake_deferred(at(20));
        let bodies: Vec<_> =
            std::iter::from_fn(|| queue.pop(0)).map(|message| message.body).collect();
        assert_eq!(bodies, ["first", "second", "third", "waits"]);
        assert_eq!(queue.next_due(), Some(at(21)));
    }
}
