//! Queues and exchanges, as values: where messages go, and how they get there.

#[cfg(test)]
mod tests;

use std::time::Duration;

/// An exchange, by name and kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Exchange {
    /// The name; empty for the anonymous exchange.
    pub name: String,
    /// How it picks queues.
    pub kind: ExchangeKind,
}

impl Exchange {
    /// The exchange without a name, which puts a message straight into the queue that the routing key names.
    pub fn anonymous() -> Self {
        Self { name: String::new(), kind: ExchangeKind::Direct }
    }

    /// A direct exchange: queues whose routing key is the message's.
    pub fn direct(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: ExchangeKind::Direct }
    }

    /// A topic exchange: queues whose pattern matches the message's routing key.
    pub fn topic(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: ExchangeKind::Topic }
    }

    /// A fanout exchange: everyone who listens.
    pub fn fanout(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: ExchangeKind::Fanout }
    }
}

/// How an exchange picks queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExchangeKind {
    /// By equal routing keys.
    Direct,
    /// By a pattern of words, `*` for one and `#` for any number.
    Topic,
    /// Everyone who listens, at this moment.
    Fanout,
}

impl ExchangeKind {
    /// Whether a queue that is bound with this key, or pattern, gets what is published with this routing key.
    ///
    /// ```
    /// use celery_core::broker::ExchangeKind;
    ///
    /// assert!(ExchangeKind::Direct.routes("celery", "celery"));
    /// assert!(ExchangeKind::Topic.routes("stock.*", "stock.usd"));
    /// assert!(!ExchangeKind::Topic.routes("stock.*", "stock.usd.nyse"));
    /// assert!(ExchangeKind::Topic.routes("stock.#", "stock.usd.nyse"));
    /// ```
    pub fn routes(self, binding: &str, routing_key: &str) -> bool {
        match self {
            Self::Direct => binding == routing_key,
            Self::Topic => {
                let pattern: Vec<_> = binding.split('.').collect();
                let words: Vec<_> = routing_key.split('.').collect();
                words_match(&pattern, &words)
            }
            Self::Fanout => true,
        }
    }
}

/// Matches word by word, from the left, keeping the set of places in the pattern that a match may have come to: no
/// pattern takes longer than its length times the key's.
fn words_match(pattern: &[&str], words: &[&str]) -> bool {
    // `reached[at]` says that the words so far match the first `at` words of the pattern.
    let mut reached = vec![false; pattern.len() + 1];
    reached[0] = true;
    pass_hashes(pattern, &mut reached);
    for word in words {
        let mut next = vec![false; pattern.len() + 1];
        for (at, expected) in pattern.iter().enumerate().filter(|(at, _)| reached[*at]) {
            match *expected {
                "#" => next[at] = true,
                "*" => next[at + 1] = true,
                exact => next[at + 1] |= exact == *word,
            }
        }
        pass_hashes(pattern, &mut next);
        reached = next;
    }
    reached[pattern.len()]
}

/// `#` also stands for no word.
fn pass_hashes(pattern: &[&str], reached: &mut [bool]) {
    for (at, expected) in pattern.iter().enumerate() {
        if *expected == "#" && reached[at] {
            reached[at + 1] = true;
        }
    }
}

/// A queue and how it is bound.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Queue {
    /// The name.
    pub name: String,
    /// The exchange that it is bound to.
    pub exchange: Exchange,
    /// The key, or for a topic exchange the pattern, that it is bound with.
    pub routing_key: String,
    /// After how long without a consumer the server may delete it; `None` keeps it.
    pub expires: Option<Duration>,
}

impl Queue {
    /// A queue that is bound to a direct exchange of its own name by its own name, as Celery makes them.
    pub fn named(name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            exchange: Exchange::direct(name.clone()),
            routing_key: name.clone(),
            name,
            expires: None,
        }
    }
}

/// That a queue gets what is published to an exchange.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Binding {
    /// The name of the queue.
    pub queue: String,
    /// The name of the exchange.
    pub exchange: String,
    /// The key, or for a topic exchange the pattern, that it is bound with.
    pub routing_key: String,
}
