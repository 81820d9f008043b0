//! What is known of the batches that are out.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::{books::Books, held::Fetched};

/// After how long what is still out is moved into kombu's books.
const ADOPTED_AFTER: Duration = Duration::from_secs(1);

/// The batches of our own registry.
#[derive(Debug, Default)]
pub(super) struct Batches {
    out: HashMap<u64, Batch>,
    /// Those that have not been adopted, in the order in which that is due.
    young: VecDeque<(Instant, u64)>,
}

#[derive(Debug)]
struct Batch {
    from: Arc<Fetched>,
    states: Vec<State>,
    /// How many are in the batch, as the server has it.
    out: usize,
    /// How many are in kombu's books.
    adopted: usize,
}

/// Where a message is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    /// In its batch.
    Out,
    /// In kombu's books, by its tag.
    Adopted(String),
    /// Nowhere any more.
    Done,
    /// With another process.
    Taken,
}

impl Batches {
    pub(super) fn insert(&mut self, from: Arc<Fetched>, messages: usize) {
        let number = from.number;
        let states = vec![State::Out; messages];
        self.out.insert(number, Batch { from, states, out: messages, adopted: 0 });
        self.young.push_back((Instant::now() + ADOPTED_AFTER, number));
    }

    pub(super) fn state(&self, number: u64, index: u32) -> &State {
        let state = self.out.get(&number).and_then(|batch| batch.states.get(index as usize));
        // A batch is forgotten when nothing of it is out.
        state.unwrap_or(&State::Done)
    }

    /// These places, from 1, as ranges; without any when it is all that is left of the batch.
    pub(super) fn ranges(&self, number: u64, mut indexes: Vec<u32>) -> Vec<(u32, u32)> {
        if self.out.get(&number).is_none_or(|batch| batch.out <= indexes.len()) {
            return Vec::new();
        }
        indexes.sort_unstable();
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for place in indexes.into_iter().map(|index| index + 1) {
            match ranges.last_mut() {
                Some((_, to)) if *to + 1 == place => *to = place,
                _ => ranges.push((place, place)),
            }
        }
        ranges
    }

    /// A message is nowhere any more.
    pub(super) fn done(&mut self, books: &Books, number: u64, index: u32) {
        self.change(books, number, index, State::Done);
    }

    /// A message is with another process, which has all that is left of its batch.
    pub(super) fn taken(&mut self, books: &Books, number: u64, index: u32) {
        if matches!(self.state(number, index), State::Out) {
            self.all_taken(books, number);
        }
        // Who had it has been told.
        self.change(books, number, index, State::Done);
    }

    /// What is left of a batch is with another process.
    pub(super) fn all_taken(&mut self, books: &Books, number: u64) {
        let Some(batch) = self.out.get_mut(&number) else { return };
        for state in batch.states.iter_mut().filter(|state| **state == State::Out) {
            *state = State::Taken;
        }
        batch.out = 0;
        books.batches().remove(&number);
    }

    /// A message is in kombu's books from now on.
    pub(super) fn adopted(&mut self, books: &Books, number: u64, index: u32, tag: String) {
        self.change(books, number, index, State::Adopted(tag));
    }

    fn change(&mut self, books: &Books, number: u64, index: u32, to: State) {
        let Some(batch) = self.out.get_mut(&number) else { return };
        let Some(state) = batch.states.get_mut(index as usize) else { return };
        match state {
            State::Out => batch.out -= 1,
            State::Adopted(tag) => {
                batch.adopted -= 1;
                books.held().remove(tag);
            }
            State::Taken | State::Done => {}
        }
        if matches!(to, State::Adopted(_)) {
            batch.adopted += 1;
        }
        *state = to;
        if batch.out == 0 {
            books.batches().remove(&number);
            if batch.states.iter().all(|state| *state == State::Done) {
                self.out.remove(&number);
            }
        }
    }

    pub(super) fn next_adoption(&self) -> Option<Instant> {
        self.young.front().map(|(at, _)| *at)
    }

    /// The batches with messages that are to be adopted now, and the places of those, from 0.
    pub(super) fn take_old(&mut self) -> Vec<(Arc<Fetched>, Vec<u32>)> {
        let now = Instant::now();
        let mut due = Vec::new();
        while let Some((_, number)) = self.young.front().copied().filter(|(at, _)| *at <= now) {
            self.young.pop_front();
            let Some(batch) = self.out.get(&number).filter(|batch| batch.out > 0) else { continue };
            let out = (0..).zip(&batch.states).filter(|(_, state)| **state == State::Out);
            due.push((Arc::clone(&batch.from), out.map(|(index, _)| index).collect()));
        }
        due
    }

    /// Has a batch looked at again.
    pub(super) fn adopt_later(&mut self, number: u64) {
        self.young.push_back((Instant::now() + ADOPTED_AFTER, number));
    }
}
