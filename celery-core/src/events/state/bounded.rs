//! So many values by name, of which the one that was used longest ago goes when there is one too many.

use std::collections::{BTreeMap, HashMap};

#[derive(Debug)]
pub(super) struct Bounded<V> {
    limit: usize,
    places: HashMap<String, u64>,
    /// In the order of their last use.
    values: BTreeMap<u64, (String, V)>,
    used: u64,
}

impl<V> Bounded<V> {
    /// An empty one. A limit of 0 is none.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, places: HashMap::new(), values: BTreeMap::new(), used: 0 }
    }

    /// A value. Looking at it is no use of it.
    pub(super) fn get(&self, name: &str) -> Option<&V> {
        self.values.get(self.places.get(name)?).map(|(_, value)| value)
    }

    /// As [`get`](Self::get), to be changed.
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut V> {
        self.values.get_mut(self.places.get(name)?).map(|(_, value)| value)
    }

    /// The value, or else the one that is made here.
    pub(super) fn get_or_insert(&mut self, name: &str, make: impl FnOnce() -> V) -> &mut V {
        let place = match self.places.get(name) {
            Some(place) => *place,
            None => {
                if self.limit > 0 && self.values.len() >= self.limit {
                    self.drop_oldest();
                }
                self.used += 1;
                self.places.insert(name.to_owned(), self.used);
                self.used
            }
        };
        &mut self.values.entry(place).or_insert_with(|| (name.to_owned(), make())).1
    }

    /// Uses the value, so that it becomes the youngest.
    pub(super) fn touch(&mut self, name: &str) -> Option<&mut V> {
        let place = self.places.get_mut(name)?;
        let entry = self.values.remove(place)?;
        self.used += 1;
        *place = self.used;
        Some(&mut self.values.entry(self.used).or_insert(entry).1)
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<V> {
        let place = self.places.remove(name)?;
        self.values.remove(&place).map(|(_, value)| value)
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&V) -> bool) {
        self.values.retain(|_, (name, value)| {
            let kept = keep(value);
            if !kept {
                self.places.remove(name);
            }
            kept
        });
    }

    pub(super) fn clear(&mut self) {
        self.places.clear();
        self.values.clear();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &V> {
        self.values.values().map(|(_, value)| value)
    }

    fn drop_oldest(&mut self) {
        if let Some((_, (name, _))) = self.values.pop_first() {
            self.places.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_that_was_used_longest_ago_goes() {
        let mut bounded = Bounded::new(2);
        bounded.get_or_insert("a", || 1);
        bounded.get_or_insert("b", || 2);
        assert_eq!(bounded.touch("a"), Some(&mut 1));
        bounded.get_or_insert("c", || 3);
        assert_eq!(bounded.get("b"), None);
        assert_eq!(bounded.iter().copied().collect::<Vec<_>>(), [1, 3]);
        bounded.retain(|value| *value != 3);
        assert_eq!((bounded.remove("a"), bounded.remove("c")), (Some(1), None));
        assert_eq!(bounded.places.len(), 0);
    }
}
