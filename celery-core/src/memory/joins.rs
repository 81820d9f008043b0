//! The joins of the result backend of `memory://`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{MemoryBackend, lock};
use crate::{
    backend::{BackendError, Callback, Counted, Joined, Joins, NewJoin, Part, Tally, Unfinished},
    clock, ids,
    tree::ResultTree,
};

/// For how long it is known of a join that it is done: parts that come again meanwhile are not counted.
const DONE_KEPT: jiff::SignedDuration = jiff::SignedDuration::from_secs(7200);

/// The joins of one backend, by the ids of their groups.
#[derive(Debug, Default)]
pub(super) struct Books {
    joins: HashMap<String, Entry>,
    /// When they expire, so that sweeping looks at those alone.
    expiries: BTreeSet<(Timestamp, String)>,
}

#[derive(Debug)]
struct Entry {
    /// What is counted; of one that is done nothing.
    join: Option<Join>,
    expires: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Join {
    size: Option<u64>,
    more: u64,
    header: Option<ResultTree>,
    nests: bool,
    since: Timestamp,
    /// By their places, and those without one behind them, each with the number of its arrival.
    counted: BTreeMap<(bool, i64, usize), Counted>,
    known: HashSet<(String, Option<i64>)>,
    callback: Option<Callback>,
    claim: Option<Claim>,
}

#[derive(Debug)]
struct Claim {
    token: String,
    until: Timestamp,
}

#[async_trait]
impl Joins for MemoryBackend {
    async fn begin(&self, joins: &[NewJoin]) -> Result<(), BackendError> {
        let expires = after(self.chord_lifetime);
        let mut results = lock(&self.results);
        for new in joins {
            let join = results.joins.open(&new.group_id, expires);
            join.size = Some(new.size);
            join.header = Some(new.header.clone());
            join.nests = new.nests;
        }
        Ok(())
    }

    async fn expect_more(&self, group_id: &str) -> Result<(), BackendError> {
        lock(&self.results).joins.open(group_id, after(self.chord_lifetime)).more += 1;
        Ok(())
    }

    async fn count(&self, part: Part<'_>) -> Result<Option<Joined>, BackendError> {
        let stored = self.expiry(&part.meta.state);
        let expires = after(self.chord_lifetime);
        let mut results = lock(&self.results);
        if part.stores {
            results.store(part.meta, stored);
        }
        if results.joins.is_done(part.group_id) {
            return Ok(None);
        }
        let join = results.joins.open(part.group_id, expires);
        join.count(&part);
        // Once it is complete it stays what it was, so that whoever sends it sends the same.
        if join.claim.is_none() {
            join.callback = Some(part.callback.clone());
        }
        Ok(join.claim(part.group_id, after(Some(self.claim))))
    }

    async fn finish(&self, joined: &Joined) -> Result<bool, BackendError> {
        let mut results = lock(&self.results);
        let now = clock::now();
        let is_ours = results.joins.get(&joined.group_id).is_some_and(|join| {
            let claim = join.claim.as_ref();
            claim.is_none_or(|claim| claim.token == joined.token || claim.until <= now)
        });
        if is_ours {
            let done = Entry { join: None, expires: now.checked_add(DONE_KEPT).ok() };
            results.joins.put(&joined.group_id, done);
        }
        Ok(is_ours)
    }

    async fn overdue(&self) -> Result<Vec<Joined>, BackendError> {
        let until = after(Some(self.claim));
        let mut results = lock(&self.results);
        results.joins.sweep();
        let open = results.joins.joins.iter_mut();
        let open = open.filter_map(|(id, entry)| Some((id, entry.join.as_mut()?)));
        Ok(open.filter_map(|(id, join)| join.claim(id, until)).collect())
    }

    async fn look(&self, group_id: &str) -> Result<Option<Unfinished>, BackendError> {
        let results = lock(&self.results);
        Ok(results.joins.get(group_id).map(|join| Unfinished {
            tally: join.tally(group_id),
            counted: join.counted.values().cloned().collect(),
            header: join.header.clone(),
            callback: join.callback.clone(),
        }))
    }

    async fn unfinished(&self) -> Result<Vec<Tally>, BackendError> {
        let mut results = lock(&self.results);
        results.joins.sweep();
        let open = results.joins.joins.iter();
        let mut tallies: Vec<_> =
            open.filter_map(|(id, entry)| Some(entry.join.as_ref()?.tally(id))).collect();
        tallies.sort_by(|a, b| (a.since, &a.group_id).cmp(&(b.since, &b.group_id)));
        Ok(tallies)
    }
}

/// When it is over; a time that ends after the last day that can be told is for ever.
fn after(time: Option<std::time::Duration>) -> Option<Timestamp> {
    time.and_then(|time| clock::now().checked_add(time).ok())
}

impl Books {
    /// The join that is not done.
    fn get(&self, id: &str) -> Option<&Join> {
        let entry = self.joins.get(id)?;
        let expired = entry.expires.is_some_and(|at| at <= clock::now());
        entry.join.as_ref().filter(|_| !expired)
    }

    fn is_done(&self, id: &str) -> bool {
        let now = clock::now();
        let entry = self.joins.get(id);
        entry.is_some_and(|it| it.join.is_none() && it.expires.is_none_or(|at| at > now))
    }

    /// The join, begun anew where it is done, which expires then.
    fn open(&mut self, id: &str, expires: Option<Timestamp>) -> &mut Join {
        self.sweep();
        let join = self.joins.get_mut(id).and_then(|entry| entry.join.take());
        let new = || Join { since: clock::now(), ..Join::default() };
        let entry = Entry { join: None, expires };
        self.put(id, entry).join.insert(join.unwrap_or_else(new))
    }

    fn put(&mut self, id: &str, entry: Entry) -> &mut Entry {
        if let Some(Entry { expires: Some(at), .. }) = self.joins.remove(id) {
            self.expiries.remove(&(at, id.to_owned()));
        }
        if let Some(at) = entry.expires {
            self.expiries.insert((at, id.to_owned()));
        }
        self.joins.entry(id.to_owned()).or_insert(entry)
    }

    /// Drops what has expired.
    fn sweep(&mut self) {
        let now = clock::now();
        while self.expiries.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, id)) = self.expiries.pop_first() {
                self.joins.remove(&id);
            }
        }
    }
}

impl Join {
    fn count(&mut self, part: &Part<'_>) {
        let meta = part.meta;
        if !self.known.insert((meta.task_id.clone(), part.index)) {
            return;
        }
        let place = (part.index.is_none(), part.index.unwrap_or_default(), self.counted.len());
        let counted = Counted {
            task_id: meta.task_id.clone(),
            state: meta.state.clone(),
            result: meta.result.clone(),
        };
        self.counted.insert(place, counted);
    }

    fn is_complete(&self) -> bool {
        self.size.is_some_and(|size| size + self.more == self.counted.len() as u64)
    }

    /// Claims it until then, where it is complete and nobody else has it.
    fn claim(&mut self, id: &str, until: Option<Timestamp>) -> Option<Joined> {
        let now = clock::now();
        if !self.is_complete() || self.claim.as_ref().is_some_and(|claim| claim.until > now) {
            return None;
        }
        let callback = self.callback.clone()?;
        let token = ids::text();
        self.claim = Some(Claim { token: token.clone(), until: until.unwrap_or(Timestamp::MAX) });
        Some(Joined {
            group_id: id.to_owned(),
            token,
            parts: self.counted.values().cloned().collect(),
            header: self.header.clone().filter(|_| self.nests),
            callback,
        })
    }

    fn tally(&self, id: &str) -> Tally {
        Tally {
            group_id: id.to_owned(),
            size: self.size.map(|size| size + self.more),
            counted: self.counted.len() as u64,
            since: Some(self.since),
            claimed: self.claim.as_ref().is_some_and(|claim| claim.until > clock::now()),
        }
    }
}
