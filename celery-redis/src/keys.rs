//! The names of keys and channels, exactly kombu's, and a few of our own.
//!
//! Ours start with `celery-` and stand beside kombu's: `celery-pending.<process>` (the batches that a process has taken,
//! and what is done with in each), `celery-pending.<process>.<batch>` (the messages of one), `celery-held.<process>` (the
//! tags that it holds in kombu's books), `celery-taken.<process>` (for a day, the tags and batches that were taken over while
//! it was silent), `celery-processes` (when each was last heard of), `celery-next-due` (which process wakes for what is due
//! next), `celery-quarantine.<queue>`, `celery-set.<name>` (what the fleet remembers together), `celery-published.<lane>`
//! (for an hour, the number of the last pipeline that a publisher pushed, by which it knows whether one was carried out whose answer was
//! lost) and `celery-once.<name>` (that a message was published under that name).

use celery_core::broker::{Exchange, ExchangeKind, Queue};

/// Makes the names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Keys {
    /// What stands in front of every key and channel.
    pub(crate) prefix: String,
    /// What stands between a queue and its priority, and between the parts of a binding.
    pub(crate) sep: String,
    /// The priorities that have a list of their own, ascending.
    pub(crate) steps: Vec<i64>,
    pub(crate) unacked: String,
    pub(crate) unacked_index: String,
    /// What stands in front of a fanout channel, after the prefix.
    pub(crate) fanout_prefix: String,
    /// Whether routing keys take part in the names of channels.
    pub(crate) fanout_patterns: bool,
}

impl Keys {
    /// The list of a queue for a message of this priority.
    pub(crate) fn list(&self, queue: &str, priority: i64) -> String {
        let priority = priority.clamp(0, 9);
        let step = self.steps.iter().rev().find(|step| **step <= priority);
        // kombu's `steps[bisect(steps, n) - 1]`: below the first step Python wraps around to the last.
        self.step(queue, step.or(self.steps.last()).copied().unwrap_or(0))
    }

    /// The lists of a queue, the one served first in front.
    pub(crate) fn lists<'a>(&'a self, queue: &'a str) -> impl Iterator<Item = String> + 'a {
        self.steps.iter().map(move |step| self.step(queue, *step))
    }

    fn step(&self, queue: &str, step: i64) -> String {
        match step {
            0 => format!("{}{queue}", self.prefix),
            step => format!("{}{queue}{}{step}", self.prefix, self.sep),
        }
    }

    pub(crate) fn unacked(&self) -> String {
        format!("{}{}", self.prefix, self.unacked)
    }

    pub(crate) fn unacked_index(&self) -> String {
        format!("{}{}", self.prefix, self.unacked_index)
    }

    pub(crate) fn held(&self, process: &str) -> String {
        format!("{}celery-held.{process}", self.prefix)
    }

    /// Who wakes for the next message that is due.
    pub(crate) fn next_due(&self) -> String {
        format!("{}celery-next-due", self.prefix)
    }

    /// The batches that a process has taken.
    pub(crate) fn pending(&self, process: &str) -> String {
        format!("{}celery-pending.{process}", self.prefix)
    }

    /// The messages of one of them.
    pub(crate) fn batch(&self, process: &str, batch: &str) -> String {
        format!("{}celery-pending.{process}.{batch}", self.prefix)
    }

    pub(crate) fn processes(&self) -> String {
        format!("{}celery-processes", self.prefix)
    }

    /// The tags that others took over from a process which was silent.
    pub(crate) fn taken(&self, process: &str) -> String {
        format!("{}celery-taken.{process}", self.prefix)
    }

    /// What the keys begin with that have the numbers of the last pipelines of publishers.
    pub(crate) fn published(&self) -> String {
        format!("{}celery-published.", self.prefix)
    }

    /// What is there when a message was published under that name.
    pub(crate) fn once(&self, name: &str) -> String {
        format!("{}celery-once.{name}", self.prefix)
    }

    pub(crate) fn quarantine(&self, queue: &str) -> String {
        format!("{}celery-quarantine.{queue}", self.prefix)
    }

    /// The shared set of that name.
    pub(crate) fn set(&self, name: &str) -> String {
        format!("{}celery-set.{name}", self.prefix)
    }

    pub(crate) fn bindings(&self, exchange: &str) -> String {
        format!("{}_kombu.binding.{exchange}", self.prefix)
    }

    /// The pattern of `SCAN` for the bindings of all exchanges.
    pub(crate) fn bindings_pattern(&self) -> String {
        let mut pattern = String::new();
        for char in self.bindings("").chars() {
            if "*?[]\\^-".contains(char) {
                pattern.push('\\');
            }
            pattern.push(char);
        }
        pattern + "*"
    }

    /// The exchange whose bindings are in the key.
    pub(crate) fn exchange<'a>(&self, key: &'a str) -> Option<&'a str> {
        key.strip_prefix(&self.bindings(""))
    }

    pub(crate) fn permanent_bindings(&self, exchange: &str) -> String {
        format!("{}_kombu.binding_permanent.{exchange}", self.prefix)
    }

    pub(crate) fn binding_deadlines(&self) -> String {
        format!("{}_kombu.binding_deadlines", self.prefix)
    }

    /// The member that binds the queue to its exchange.
    pub(crate) fn binding(&self, queue: &Queue) -> String {
        let pattern = match queue.exchange.kind {
            ExchangeKind::Topic => topic_regex(&queue.routing_key),
            ExchangeKind::Direct | ExchangeKind::Fanout => String::new(),
        };
        [queue.routing_key.as_str(), &pattern, &queue.name].join(&self.sep)
    }

    /// The queue of a binding that a message with this routing key reaches, if it does.
    pub(crate) fn bound<'a>(
        &self,
        binding: &'a str,
        kind: ExchangeKind,
        routing_key: &str,
    ) -> Option<&'a str> {
        let (key, queue) = self.parts(binding)?;
        let reached = match kind {
            ExchangeKind::Topic => topic_matches(key, routing_key),
            ExchangeKind::Direct | ExchangeKind::Fanout => key == routing_key,
        };
        reached.then_some(queue)
    }

    /// The routing key and the queue of a binding, if it is one.
    pub(crate) fn parts<'a>(&self, binding: &'a str) -> Option<(&'a str, &'a str)> {
        let mut parts = binding.split(self.sep.as_str());
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(key), Some(_), Some(queue), None) => Some((key, queue)),
            _ => None,
        }
    }

    /// Where a fanout message is published.
    pub(crate) fn channel(&self, exchange: &str, routing_key: &str) -> String {
        let Self { prefix, fanout_prefix, .. } = self;
        if routing_key.is_empty() || !self.fanout_patterns {
            format!("{prefix}{fanout_prefix}{exchange}")
        } else {
            format!("{prefix}{fanout_prefix}{exchange}/{routing_key}")
        }
    }

    /// The pattern of channels that a fanout queue listens to.
    pub(crate) fn channel_pattern(&self, exchange: &Exchange, routing_key: &str) -> String {
        self.channel(&exchange.name, &routing_key.replace('#', "*"))
    }
}

/// A topic as the regular expression that kombu writes into bindings.
fn topic_regex(topic: &str) -> String {
    let words = topic.split('.').map(|word| match word {
        "*" => "[^\\.]+".to_owned(),
        "#" => ".*?".to_owned(),
        word => escape(word),
    });
    format!("^{}$", words.collect::<Vec<_>>().join("\\."))
}

/// Escapes as kombu does: all but letters, digits and the wildcards.
fn escape(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "#*".contains(c);
    word.chars().flat_map(|c| (!plain(c)).then_some('\\').into_iter().chain([c])).collect()
}

/// Whether kombu's regular expression for the topic matches: `*` is one word, `#` is any text, also none.
fn topic_matches(topic: &str, key: &str) -> bool {
    fn matches(mut words: std::str::Split<'_, char>, key: &str) -> bool {
        let Some(word) = words.next() else { return false };
        let last = words.clone().next().is_none();
        let goes_on = |rest: &str| match (last, rest.strip_prefix('.')) {
            (true, _) => rest.is_empty(),
            (false, Some(rest)) => matches(words.clone(), rest),
            (false, None) => false,
        };
        match word {
            "*" => {
                let end = key.find('.').unwrap_or(key.len());
                end > 0 && goes_on(&key[end..])
            }
            "#" => {
                (0..=key.len()).filter(|at| key.is_char_boundary(*at)).any(|at| goes_on(&key[at..]))
            }
            word => key.strip_prefix(word).is_some_and(goes_on),
        }
    }
    matches(topic.split('.'), key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys {
            prefix: String::new(),
            sep: "\u{6}\u{16}".to_owned(),
            steps: vec![0, 3, 6, 9],
            unacked: "unacked".to_owned(),
            unacked_index: "unacked_index".to_owned(),
            fanout_prefix: "/0.".to_owned(),
            fanout_patterns: true,
        }
    }

    #[test]
    fn a_priority_goes_to_the_step_below_it() {
        let steps = [0, 1, 2, 3, 5, 6, 8, 9, 12, -4].map(|priority| keys().list("q", priority));
        let key = |step| format!("q\u{6}\u{16}{step}");
        let q = || "q".to_owned();
        assert_eq!(steps, [q(), q(), q(), key(3), key(3), key(6), key(6), key(9), key(9), q()]);
    }

    #[test]
    fn a_topic_is_bound_as_kombu_binds_it() {
        let queue = |topic: &str| Queue {
            exchange: Exchange::topic("tx"),
            routing_key: topic.to_owned(),
            ..Queue::named("q1")
        };
        assert_eq!(keys().binding(&queue("a.*")), "a.*\u{6}\u{16}^a\\.[^\\.]+$\u{6}\u{16}q1");
        assert_eq!(keys().binding(&queue("a.#")), "a.#\u{6}\u{16}^a\\..*?$\u{6}\u{16}q1");
    }

    #[test]
    fn a_topic_matches_what_kombus_expression_matches() {
        for (topic, key, expected) in [
            ("a.*", "a.b", true),
            ("a.*", "a", false),
            ("a.*", "a.b.c", false),
            ("a.#", "a.b.c", true),
            ("a.#", "a.", true),
            ("a.#", "a", false),
            ("#", "", true),
            ("#.c", "a.b.c", true),
            ("b.c", "b.c", true),
            ("b.c", "bxc", false),
        ] {
            assert_eq!(topic_matches(topic, key), expected, "{topic} and {key}");
        }
    }

    #[test]
    fn a_binding_that_is_none_of_kombus_is_passed_over() {
        assert_eq!(keys().bound("celery", ExchangeKind::Direct, "celery"), None);
        assert_eq!(keys().bound("k\u{6}\u{16}\u{6}\u{16}q", ExchangeKind::Direct, "k"), Some("q"));
    }

    #[test]
    fn the_bindings_of_all_exchanges_are_found_also_behind_a_prefix_with_wildcards() {
        let keys = Keys { prefix: "{a}*[1]:".to_owned(), ..keys() };
        assert_eq!(keys.bindings_pattern(), r"{a}\*\[1\]:_kombu.binding.*");
        assert_eq!(keys.exchange("{a}*[1]:_kombu.binding.mail"), Some("mail"));
        assert_eq!(keys.exchange("{a}*[1]:_kombu.binding_permanent.mail"), None);
    }

    #[test]
    fn a_channel_has_the_routing_key_when_there_is_one() {
        assert_eq!(keys().channel("celery.pidbox", ""), "/0.celery.pidbox");
        assert_eq!(
            keys().channel_pattern(&Exchange::fanout("celeryev"), "worker.#"),
            "/0.celeryev/worker.*"
        );
    }
}
