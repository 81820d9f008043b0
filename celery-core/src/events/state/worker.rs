//! A worker, as its events tell of it.

use std::collections::VecDeque;

use crate::{
    clock, date,
    value::{Map, Value},
};

/// How many heartbeats are kept.
const HEARTBEATS: usize = 4;

/// Within how many times its frequency a worker must be heard again.
const WINDOW: f64 = 2.0;

/// The frequency of a worker that says none.
const FREQUENCY: f64 = 60.0;

/// How far a clock may be from ours, in seconds, before it is worth a warning.
const DRIFT: f64 = 16.0;

/// A worker.
#[derive(Clone, Debug)]
pub struct Worker {
    hostname: String,
    /// When it was heard, as Unix times, sorted.
    heartbeats: VecDeque<f64>,
    fields: Map,
    drifts: bool,
}

impl Worker {
    pub(super) fn new(hostname: &str) -> Self {
        let heartbeats = VecDeque::with_capacity(HEARTBEATS);
        Self { hostname: hostname.to_owned(), heartbeats, fields: Map::new(), drifts: false }
    }

    /// The node name.
    pub fn hostname(&self) -> &str {
        &self.hostname
    }

    /// What its last events said under that name, such as `active`, `processed`, `loadavg`, `sw_ident`.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.fields.get(field)
    }

    /// The id of its process.
    pub fn pid(&self) -> Option<u64> {
        self.get("pid")?.as_u64()
    }

    /// How many tasks it ran when it last said so.
    pub fn active(&self) -> Option<u64> {
        self.get("active")?.as_u64()
    }

    /// How many tasks it has begun.
    pub fn processed(&self) -> Option<u64> {
        self.get("processed")?.as_u64()
    }

    /// How often it says that it lives: every so many seconds.
    pub fn freq(&self) -> f64 {
        self.get("freq").and_then(Value::as_f64).unwrap_or(FREQUENCY)
    }

    /// When it was heard, as Unix times, the last one at the end: the last four at most.
    pub fn heartbeats(&self) -> impl Iterator<Item = f64> {
        self.heartbeats.iter().copied()
    }

    /// The Unix time until which it is taken to live, unless it is heard again.
    pub fn heartbeat_expires(&self) -> Option<f64> {
        self.heartbeats.back().map(|last| last + self.freq() * WINDOW)
    }

    /// Whether it seems to live.
    pub fn is_alive(&self) -> bool {
        let now = date::unix_seconds(clock::now());
        self.heartbeat_expires().is_some_and(|expires| now < expires)
    }

    /// `<hostname>.<pid>`, with Python's `None` for a process that is not known.
    pub(super) fn id(&self) -> String {
        match self.pid() {
            Some(pid) => format!("{}.{pid}", self.hostname),
            None => format!("{}.None", self.hostname),
        }
    }

    pub(super) fn event(
        &mut self,
        subject: &str,
        timestamp: f64,
        received: f64,
        fields: Option<&Map>,
    ) {
        for (name, value) in fields.into_iter().flatten() {
            self.fields.insert(name.clone(), value.clone());
        }
        if subject == "offline" {
            self.heartbeats.clear();
            return;
        }
        if timestamp == 0.0 || received == 0.0 {
            return;
        }
        let drift = (received.trunc() - timestamp.trunc()).abs();
        if drift > DRIFT && !self.drifts {
            self.drifts = true;
            tracing::warn!(
                worker = self.hostname,
                drift,
                "the clock of a worker is far from ours: one of them is wrong"
            );
        }
        if self.heartbeats.len() == HEARTBEATS {
            self.heartbeats.pop_front();
        }
        let at = self.heartbeats.partition_point(|heard| *heard <= received);
        self.heartbeats.insert(at, received);
    }
}
