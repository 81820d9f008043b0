//! Asking the workers what they do.

use serde_json::json;

use super::{
    ActiveQueue, Broadcast, ClockReading, Hello, KnownTask, ScheduledTask, Stats, TaskInfo,
};
use crate::{
    app::Celery,
    value::{Map, Value},
};
use std::collections::BTreeMap;

/// Asks the workers what they do: Celery's `app.control.inspect()`.
///
/// ```no_run
/// # async fn example(app: celery_core::app::Celery) -> Result<(), celery_core::error::Error> {
/// for (node, tasks) in app.control().inspect().active().answers().await? {
///     for task in tasks.unwrap_or_default() {
///         println!("{node} runs {}[{}]", task.name, task.id);
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Inspect {
    app: Celery,
}

impl Inspect {
    pub(super) fn new(app: &Celery) -> Self {
        Self { app: app.clone() }
    }

    fn ask<T>(&self, command: &str) -> Broadcast<T> {
        Broadcast::new(&self.app, command, Map::new())
    }

    /// Whether they are there. A worker answers `pong`.
    pub fn ping(&self) -> Broadcast<String> {
        self.ask("ping")
    }

    /// The tasks that run. With the argument `safe`, their own arguments come as text.
    pub fn active(&self) -> Broadcast<Vec<TaskInfo>> {
        self.ask("active")
    }

    /// The tasks that wait within the worker.
    pub fn reserved(&self) -> Broadcast<Vec<TaskInfo>> {
        self.ask("reserved")
    }

    /// The tasks that wait until they are due. A Rust worker tells of those that wait in the broker, in its queues.
    pub fn scheduled(&self) -> Broadcast<Vec<ScheduledTask>> {
        self.ask("scheduled")
    }

    /// The ids of the tasks that are revoked.
    pub fn revoked(&self) -> Broadcast<Vec<String>> {
        self.ask("revoked")
    }

    /// The names of the tasks that are registered, each with those of these attributes that it has.
    pub fn registered<I>(&self, attributes: I) -> Broadcast<Vec<String>>
    where
        I: IntoIterator<Item: Into<String>>,
    {
        let attributes: Vec<String> = attributes.into_iter().map(Into::into).collect();
        self.ask("registered").argument("taskinfoitems", attributes)
    }

    /// What workers have done, and what they use.
    pub fn stats(&self) -> Broadcast<Stats> {
        self.ask("stats")
    }

    /// The queues that are consumed.
    pub fn active_queues(&self) -> Broadcast<Vec<ActiveQueue>> {
        self.ask("active_queues")
    }

    /// What the tasks of these ids are doing, by id.
    pub fn query_task<I>(&self, ids: I) -> Broadcast<BTreeMap<String, KnownTask>>
    where
        I: IntoIterator<Item: Into<String>>,
    {
        let ids: Vec<String> = ids.into_iter().map(Into::into).collect();
        self.ask("query_task").argument("ids", ids)
    }

    /// The settings, without those that have their default; secrets are hidden.
    pub fn conf(&self) -> Broadcast<Map> {
        self.ask("conf").argument("with_defaults", false)
    }

    /// All settings; secrets are hidden.
    pub fn conf_with_defaults(&self) -> Broadcast<Map> {
        self.ask("conf").argument("with_defaults", true)
    }

    /// What to put into a bug report.
    pub fn report(&self) -> Broadcast<String> {
        self.ask("report")
    }

    /// The logical clocks.
    pub fn clock(&self) -> Broadcast<ClockReading> {
        self.ask("clock")
    }

    /// What a worker of that node name asks when it starts: which tasks are revoked, and the logical clock.
    pub fn hello(&self, from_node: &str, revoked: &[String]) -> Broadcast<Option<Hello>> {
        self.ask("hello").argument("from_node", from_node).argument("revoked", json!(revoked))
    }

    /// How much memory the workers have, such as `59.16MB`.
    pub fn memsample(&self) -> Broadcast<Option<String>> {
        self.ask("memsample")
    }

    /// That many of the samples taken so far.
    pub fn memdump(&self, samples: usize) -> Broadcast<String> {
        self.ask("memdump").argument("samples", samples)
    }

    /// Has Python workers draw that many objects of a type and what refers to them, into a file that they name.
    pub fn objgraph(&self, of_type: &str, n: usize, max_depth: usize) -> Broadcast<Value> {
        let ask = self.ask("objgraph").argument("num", n).argument("max_depth", max_depth);
        ask.argument("type", of_type)
    }
}
