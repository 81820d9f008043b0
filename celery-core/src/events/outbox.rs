//! Events that wait to be sent: so many bytes of them, and then the oldest go.

use std::collections::VecDeque;

use super::wire::Told;

/// How many bytes of events are kept while the broker is away: some 50,000 events of tasks.
pub(super) const LIMIT: usize = 16 * 1024 * 1024;

/// About what an event takes besides its text.
const BESIDES: usize = 64;

/// Where an event goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// With others of its group into a list.
    Task,
    /// Alone, with this routing key.
    Alone(String),
}

/// Events that wait, in the order of their clocks.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<(Route, Told)>,
    bytes: usize,
    dropped: u64,
}

impl Outbox {
    /// Adds an event, and says whether it is the first that waits.
    pub(super) fn push(&mut self, route: Route, event: Told) -> bool {
        self.bytes += event.text.len() + BESIDES;
        self.waiting.push_back((route, event));
        while self.bytes > LIMIT
            && let Some((_, oldest)) = self.waiting.pop_front()
        {
            self.bytes -= oldest.text.len() + BESIDES;
            self.dropped += 1;
        }
        self.waiting.len() == 1
    }

    /// Takes up to so many of the oldest.
    pub(super) fn take(&mut self, most: usize) -> Vec<(Route, Told)> {
        let count = self.waiting.len().min(most);
        let taken: Vec<_> = self.waiting.drain(..count).collect();
        self.bytes -= taken.iter().map(|(_, event)| event.text.len() + BESIDES).sum::<usize>();
        taken
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many were dropped since this was last asked.
    pub(super) fn dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(clock: u64, length: usize) -> Told {
        Told { clock, text: "x".repeat(length) }
    }

    #[test]
    fn when_it_is_full_the_oldest_events_go_and_are_counted() {
        let mut outbox = Outbox::default();
        let quarter = LIMIT / 4 - BESIDES;
        assert!(outbox.push(Route::Task, event(1, quarter)));
        for clock in 2..=6 {
            assert!(!outbox.push(Route::Task, event(clock, quarter)));
        }
        assert_eq!(outbox.dropped(), 2);
        let clocks: Vec<_> = outbox.take(3).iter().map(|(_, event)| event.clock).collect();
        assert_eq!(clocks, [3, 4, 5]);
        assert!(!outbox.is_empty());
        assert_eq!(outbox.take(9).len(), 1);
        assert_eq!((outbox.bytes, outbox.dropped()), (0, 0));
    }
}
