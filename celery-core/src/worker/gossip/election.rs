//! Elections, as Celery holds them: pure.

use std::collections::{HashMap, VecDeque};

use crate::{events::Event, value::Value};

/// How many elections are remembered. Those of which nothing more is heard make room for others.
const MOST: usize = 1000;

/// The elections that are going on.
#[derive(Debug, Default)]
pub(super) struct Elections {
    /// By id, those who stand.
    candidates: HashMap<String, Vec<Candidate>>,
    /// Those in which this worker takes part: how many have heard of candidates.
    heard: HashMap<String, usize>,
    /// The ids, the oldest first.
    order: VecDeque<String>,
}

/// A worker that stands for election.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    /// Its logical clock: the lowest wins.
    pub(super) clock: u64,
    /// Its node name and process: among equal clocks, the first wins.
    pub(super) name: String,
    /// What kind of action it is.
    pub(super) topic: String,
    /// What is to be done.
    pub(super) action: Value,
}

impl Candidate {
    /// The id of the election and the candidate, of its event.
    pub(super) fn of(event: &Event) -> Option<(String, Self)> {
        let pid = event.number("pid")?;
        let candidate = Self {
            clock: event.clock()?,
            name: format!("{}.{pid:.0}", event.hostname()?),
            topic: event.text("topic")?.to_owned(),
            action: event.get("action")?.clone(),
        };
        Some((event.text("id")?.to_owned(), candidate))
    }
}

impl Elections {
    /// Takes part in an election.
    pub(super) fn open(&mut self, id: &str) {
        self.remember(id);
        self.heard.insert(id.to_owned(), 0);
    }

    /// Notes a candidate, who may come before this worker takes part.
    pub(super) fn stand(&mut self, id: String, candidate: Candidate) {
        self.remember(&id);
        self.candidates.entry(id).or_default().push(candidate);
    }

    /// Notes that a worker has heard of a candidate. When as many have as live besides this one, it is decided.
    pub(super) fn acknowledge(&mut self, id: &str, living: usize) -> Option<Candidate> {
        let heard = self.heard.get_mut(id)?;
        *heard += 1;
        let standing = self.candidates.get(id).map_or(0, Vec::len);
        // Nobody is elected alone while there are others, who are about to stand.
        if *heard < living || standing < living.saturating_add(1).min(2) {
            return None;
        }
        let candidates = self.candidates.remove(id)?;
        self.heard.remove(id);
        self.order.retain(|known| known != id);
        candidates.into_iter().min_by(|a, b| (a.clock, &a.name).cmp(&(b.clock, &b.name)))
    }

    fn remember(&mut self, id: &str) {
        if self.order.iter().any(|known| known == id) {
            return;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.candidates.remove(&oldest);
            self.heard.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn candidate(clock: u64, name: &str) -> Candidate {
        Candidate { clock, name: name.to_owned(), topic: "task".to_owned(), action: Value::Null }
    }

    #[test]
    fn the_lowest_clock_wins_and_then_the_first_name_when_all_have_heard() {
        let mut elections = Elections::default();
        // Before this worker was asked itself.
        elections.stand("e".to_owned(), candidate(8, "w1.1"));
        elections.open("e");
        elections.stand("e".to_owned(), candidate(7, "w3.1"));
        elections.stand("e".to_owned(), candidate(7, "w2.1"));
        assert_eq!(elections.acknowledge("e", 3), None);
        assert_eq!(elections.acknowledge("other", 1), None);
        assert_eq!(elections.acknowledge("e", 3), None);
        assert_eq!(elections.acknowledge("e", 3), Some(candidate(7, "w2.1")));
        assert_eq!(elections.acknowledge("e", 3), None, "it is over");
    }

    #[test]
    fn elections_are_not_remembered_without_end() {
        let mut elections = Elections::default();
        for number in 0..MOST + 10 {
            elections.stand(number.to_string(), candidate(1, "w"));
        }
        assert_eq!((elections.candidates.len(), elections.order.len()), (MOST, MOST));
    }

    #[test]
    fn a_candidate_is_read_from_its_event() {
        let event = json!({ "type": "worker-elect", "hostname": "w1@h", "pid": 7, "clock": 3, "id": "e", "topic": "task", "action": null, "cver": 1 });
        let event = Event::from_value(event).unwrap();
        assert_eq!(Candidate::of(&event), Some(("e".to_owned(), candidate(3, "w1@h.7"))));
        let without = Event::from_value(json!({ "type": "worker-elect", "id": "e" })).unwrap();
        assert_eq!(Candidate::of(&without), None);
    }
}
