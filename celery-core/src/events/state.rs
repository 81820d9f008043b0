//! What the events heard so far say of a fleet: its workers and their tasks.

mod bounded;
mod task;
#[cfg(test)]
mod tests;
mod worker;

use std::{
    cmp::Ordering,
    collections::{BTreeSet, HashSet, VecDeque},
    fmt,
    sync::Arc,
};

use bounded::Bounded;
pub use {task::Task, worker::Worker};

use super::Event;

/// How many entries the order of tasks has for each task: about as many as a task has events.
const EVENTS_OF_A_TASK: usize = 4;

/// A fleet as its events tell of it: Celery's `State`, by Celery's rules.
///
/// Events may come in any order. What a task's event says is merged by how far the task had come then: a `task-received`
/// that comes after `task-succeeded` adds the name and the arguments, and the task has succeeded all the same.
///
/// Only so many workers and tasks are kept; of more, the oldest are forgotten.
///
/// ```
/// use celery_core::events::{Event, State};
/// use serde_json::json;
///
/// let mut state = State::new();
/// for event in [
///     json!({ "type": "task-succeeded", "uuid": "a", "hostname": "w1@h", "timestamp": 2.0, "local_received": 2.0, "clock": 3, "result": "4" }),
///     json!({ "type": "task-received", "uuid": "a", "hostname": "w1@h", "timestamp": 1.0, "local_received": 3.0, "clock": 2, "name": "proj.add" }),
/// ] {
///     state.event(&Event::from_value(event).unwrap());
/// }
/// let task = state.task("a").unwrap();
/// assert_eq!((task.state(), task.name(), task.result()), ("SUCCESS", Some("proj.add"), Some("4")));
/// ```
pub struct State {
    workers: Bounded<Worker>,
    tasks: Bounded<Task>,
    order: VecDeque<Entry>,
    max_entries: usize,
    names: BTreeSet<String>,
    /// Tasks whose parent is not known, by its id.
    orphans: Bounded<HashSet<(Arc<str>, u64)>>,
    event_count: u64,
    task_count: u64,
    numbers: u64,
    on_node_join: Option<NodeCallback>,
    on_node_leave: Option<NodeCallback>,
}

type NodeCallback = Box<dyn FnMut(&Worker) + Send>;

/// An event of a task, in the order of clocks.
#[derive(Debug)]
struct Entry {
    clock: u64,
    timestamp: f64,
    origin: Arc<str>,
    task: Arc<str>,
    /// Which of the tasks of that id, one after the other.
    number: u64,
}

impl Default for State {
    fn default() -> Self {
        Self::with_limits(5000, 10_000)
    }
}

impl State {
    /// An empty one, which keeps 5,000 workers and 10,000 tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty one, which keeps so many workers and tasks.
    pub fn with_limits(max_workers: usize, max_tasks: usize) -> Self {
        Self {
            workers: Bounded::new(max_workers),
            tasks: Bounded::new(max_tasks),
            order: VecDeque::new(),
            max_entries: max_tasks.saturating_mul(EVENTS_OF_A_TASK),
            names: BTreeSet::new(),
            orphans: Bounded::new(max_tasks),
            event_count: 0,
            task_count: 0,
            numbers: 0,
            on_node_join: None,
            on_node_leave: None,
        }
    }

    /// Calls the function with a worker that was not known, and with one that says that it has just come.
    pub fn on_node_join(mut self, callback: impl FnMut(&Worker) + Send + 'static) -> Self {
        self.on_node_join = Some(Box::new(callback));
        self
    }

    /// Calls the function with a worker that says that it goes.
    pub fn on_node_leave(mut self, callback: impl FnMut(&Worker) + Send + 'static) -> Self {
        self.on_node_leave = Some(Box::new(callback));
        self
    }

    /// Takes in an event, as an [`EventReceiver`](super::EventReceiver) heard it. One that lacks a field that it needs,
    /// or is of another group, is only counted.
    pub fn event(&mut self, event: &Event) {
        self.event_count += 1;
        match event.group() {
            "worker" => _ = self.worker_event(event),
            "task" => _ = self.task_event(event),
            _ => {}
        }
    }

    /// The workers that are known, those that were heard of first at the beginning.
    pub fn workers(&self) -> impl Iterator<Item = &Worker> {
        self.workers.iter()
    }

    /// The worker of that node name.
    pub fn worker(&self, hostname: &str) -> Option<&Worker> {
        self.workers.get(hostname)
    }

    /// The workers that seem to live.
    pub fn alive_workers(&self) -> impl Iterator<Item = &Worker> {
        self.workers().filter(|worker| worker.is_alive())
    }

    /// The tasks that are known, those that were heard of first at the beginning.
    pub fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks.iter()
    }

    /// The task of that id.
    pub fn task(&self, uuid: &str) -> Option<&Task> {
        self.tasks.get(uuid)
    }

    /// The tasks by the time of their last events, by the logical clock: the latest first.
    pub fn tasks_by_time(&self) -> impl Iterator<Item = &Task> {
        let mut seen = HashSet::new();
        self.order.iter().rev().filter_map(move |entry| {
            let task = self.numbered(&entry.task, entry.number)?;
            seen.insert(&entry.task).then_some(task)
        })
    }

    /// The tasks of that name, the latest first.
    pub fn tasks_by_type(&self, name: &str) -> impl Iterator<Item = &Task> {
        self.tasks_by_time().filter(move |task| task.name() == Some(name))
    }

    /// The tasks of that worker, the latest first.
    pub fn tasks_by_worker(&self, hostname: &str) -> impl Iterator<Item = &Task> {
        self.tasks_by_time().filter(move |task| task.worker() == Some(hostname))
    }

    /// The tasks that the task has called, as far as they are known.
    pub fn children(&self, uuid: &str) -> impl Iterator<Item = &Task> {
        let children = self.tasks.get(uuid).into_iter().flat_map(|task| &task.children);
        children.filter_map(|(child, number)| self.numbered(child, *number))
    }

    /// The names of all tasks that were ever heard of, sorted.
    pub fn task_types(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// How many events there were.
    pub fn event_count(&self) -> u64 {
        self.event_count
    }

    /// How many tasks were received.
    pub fn task_count(&self) -> u64 {
        self.task_count
    }

    /// Forgets all workers, and the tasks that are done. With `in_progress`, the others too.
    pub fn clear(&mut self, in_progress: InProgress) {
        self.workers.clear();
        self.clear_tasks(in_progress);
        (self.event_count, self.task_count) = (0, 0);
    }

    /// Forgets the tasks that are done. With `in_progress`, the others too.
    pub fn clear_tasks(&mut self, in_progress: InProgress) {
        match in_progress {
            InProgress::Keep => self.tasks.retain(|task| !task.is_ready()),
            InProgress::Forget => self.tasks.clear(),
        }
        self.order.clear();
    }

    /// The task of that id, unless it was forgotten meanwhile and is another one now.
    fn numbered(&self, uuid: &str, number: u64) -> Option<&Task> {
        self.tasks.get(uuid).filter(|task| task.number == number)
    }

    fn worker_event(&mut self, event: &Event) -> Option<()> {
        let (hostname, subject) = (event.hostname()?, event.subject());
        let (timestamp, received) = (event.timestamp()?, event.number("local_received")?);
        let leaves = subject == "offline";
        if leaves {
            let mut worker = self.workers.remove(hostname).unwrap_or_else(|| Worker::new(hostname));
            worker.event(subject, timestamp, received, Some(&event.fields));
            if let Some(leave) = &mut self.on_node_leave {
                leave(&worker);
            }
            return Some(());
        }
        let is_new = self.workers.get(hostname).is_none();
        let worker = self.workers.get_or_insert(hostname, || Worker::new(hostname));
        worker.event(subject, timestamp, received, Some(&event.fields));
        if (is_new || subject == "online")
            && let Some(join) = &mut self.on_node_join
        {
            join(worker);
        }
        Some(())
    }

    fn task_event(&mut self, event: &Event) -> Option<()> {
        let (uuid, hostname) = (event.text("uuid")?, event.hostname()?);
        let (timestamp, received) = (event.timestamp()?, event.number("local_received")?);
        let clock = event.get("clock")?.as_u64().unwrap_or_default();
        let subject = event.subject();
        let numbers = &mut self.numbers;
        let by_client = subject == "sent";
        let task = self.tasks.get_or_insert(uuid, || {
            *numbers += 1;
            Task::new(uuid, *numbers)
        });
        let origin = if by_client {
            task.client = Some(hostname.to_owned());
            Arc::from(hostname)
        } else {
            task.worker = Some(hostname.to_owned());
            let worker = self.workers.get_or_insert(hostname, || Worker::new(hostname));
            // The other way round, as Celery does: the worker lived when it told of the task.
            worker.event("", received, timestamp, None);
            Arc::from(worker.id())
        };
        let (task_uuid, number) = (Arc::clone(&task.uuid), task.number);
        task.event(subject, event);
        if let Some(name) = task.name()
            && !self.names.contains(name)
        {
            self.names.insert(name.to_owned());
        }
        let parent = task.parent_id().map(str::to_owned);
        self.enter(Entry { clock, timestamp, origin, task: Arc::clone(&task_uuid), number });
        self.task_count += u64::from(subject == "received");
        if let Some(parent) = parent {
            let siblings = match self.tasks.touch(&parent) {
                Some(parent) => &mut parent.children,
                None => self.orphans.get_or_insert(&parent, HashSet::new),
            };
            siblings.insert((task_uuid, number));
        }
        if let Some(children) = self.orphans.remove(uuid)
            && let Some(task) = self.tasks.get_mut(uuid)
        {
            task.children.extend(children);
        }
        Some(())
    }

    /// Puts an event of a task into the order. Most are later than the one before.
    fn enter(&mut self, entry: Entry) {
        if self.order.len() + 1 > self.max_entries {
            self.order.pop_front();
        }
        let at = match self.order.back() {
            Some(last) if !last.is_before(&entry) => {
                self.order.partition_point(|other| !entry.is_before(other))
            }
            _ => self.order.len(),
        };
        self.order.insert(at, entry);
    }
}

/// What becomes of the tasks that are not done when the others are forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InProgress {
    /// They are kept.
    Keep,
    /// They are forgotten, too.
    Forget,
}

impl Entry {
    /// By the logical clock, or where one has none by the time. Events of one reading are in the order of their origins.
    fn is_before(&self, other: &Self) -> bool {
        if self.clock == 0 || other.clock == 0 {
            return self.timestamp < other.timestamp;
        }
        match self.clock.cmp(&other.clock) {
            Ordering::Equal => self.origin < other.origin,
            order => order.is_lt(),
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("events", &self.event_count)
            .field("tasks", &self.task_count)
            .finish_non_exhaustive()
    }
}
