//! A set whose members expire, and which has a limit: Celery's `LimitedSet`.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

/// A set of texts that forgets: the oldest first when there are too many, and each after its time.
///
/// What has expired goes when something is added. Until then it does no harm, as it is part of the limit.
#[derive(Debug, Default)]
pub(crate) struct ExpiringSet {
    /// When each member expires, by the number of its addition.
    members: BTreeMap<u64, (String, Timestamp)>,
    numbers: HashMap<String, u64>,
    last: u64,
}

impl ExpiringSet {
    /// Adds a member, as the newest, and forgets what has expired by `now` and what is beyond `most`.
    pub(crate) fn insert(&mut self, member: String, until: Timestamp, most: usize, now: Timestamp) {
        self.last += 1;
        if let Some(before) = self.numbers.insert(member.clone(), self.last) {
            self.members.remove(&before);
        }
        self.members.insert(self.last, (member, until));
        while let Some(oldest) = self.members.first_entry() {
            if self.numbers.len() <= most && oldest.get().1 > now {
                break;
            }
            self.numbers.remove(&oldest.remove().0);
        }
    }

    pub(crate) fn contains(&self, member: &str) -> bool {
        self.numbers.contains_key(member)
    }

    /// Whether it is a member that has not expired by `now`.
    pub(crate) fn has(&self, member: &str, now: Timestamp) -> bool {
        let number = self.numbers.get(member);
        number.and_then(|number| self.members.get(number)).is_some_and(|(_, until)| *until > now)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Those that have not expired by `now`, the oldest first.
    pub(crate) fn iter(&self, now: Timestamp) -> impl Iterator<Item = &str> {
        let members = self.members.values();
        members.filter(move |(_, until)| *until > now).map(|(member, _)| member.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn add(set: &mut ExpiringSet, member: &str, second: i64) {
        set.insert(member.to_owned(), at(second + 10), 3, at(second));
    }

    fn members(set: &ExpiringSet, second: i64) -> Vec<&str> {
        set.iter(at(second)).collect()
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let mut set = ExpiringSet::default();
        for (second, member) in (0..).zip(["a", "b", "c", "a", "d"]) {
            add(&mut set, member, second);
        }
        assert_eq!(members(&set, 5), ["c", "a", "d"]);
        assert!(set.contains("a") && !set.contains("b"));
    }

    #[test]
    fn a_member_goes_after_its_time() {
        let mut set = ExpiringSet::default();
        add(&mut set, "a", 0);
        add(&mut set, "b", 5);
        assert_eq!(members(&set, 10), ["b"]);
        add(&mut set, "c", 10);
        assert!(!set.contains("a"));
        add(&mut set, "d", 30);
        assert_eq!(members(&set, 30), ["d"]);
        assert!(!set.is_empty());
    }
}
