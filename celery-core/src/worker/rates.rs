//! Rate limits: which of the messages of a task may begin, which are held until they may, and which wait in the broker.
//!
//! A worker holds those few that may begin soon, beside its prefetch. All others it defers in the broker (`schedule`), so
//! that however many of them there are, what is behind them in the queue is served at once, and other workers find them.

mod schedule;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

pub(super) use self::schedule::Permit;
use self::schedule::Schedule;
use crate::{
    config::Config,
    rate::{BadRate, Rate},
    registry::Registry,
};

/// The rate limits of a worker, by task.
#[derive(Debug)]
pub(super) struct Rates {
    tasks: Mutex<BTreeMap<&'static str, Limited>>,
    /// Told of every change that may let a task begin sooner.
    changed: Notify,
    /// Whether any task has ever had a limit.
    any: AtomicBool,
    /// The setting `worker_disable_rate_limits`.
    disabled: bool,
}

#[derive(Debug)]
struct Limited {
    /// As it was written.
    text: String,
    schedule: Schedule,
}

impl Rates {
    /// The limits that tasks and settings set.
    pub(super) fn new(registry: &Registry, config: &Config) -> Self {
        let default = config.task.default_rate_limit.as_deref();
        let limited = registry.iter().filter_map(|task| {
            let text = task.options.rate_limit.or(default)?;
            // Both were checked where they were set.
            let rate = Rate::parse(text).ok().flatten()?;
            let text = text.to_owned();
            Some((task.name, Limited { text, schedule: Schedule::new(rate, Instant::now()) }))
        });
        let tasks: BTreeMap<_, _> = limited.collect();
        Self {
            any: AtomicBool::new(!tasks.is_empty()),
            tasks: Mutex::new(tasks),
            changed: Notify::new(),
            disabled: config.worker.disable_rate_limits,
        }
    }

    /// Whether a message that was received may begin.
    pub(super) fn ask(&self, task: &str, id: &str) -> Permit {
        if self.disabled || !self.any.load(Ordering::Acquire) {
            return Permit::Begin;
        }
        match self.tasks().get_mut(task) {
            Some(limited) => limited.schedule.ask(id, Instant::now()),
            None => Permit::Begin,
        }
    }

    /// Waits until a task of which messages are held may begin one of them, and returns its name.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is used up before [`begin`](Self::begin).
    pub(super) async fn due(&self) -> &'static str {
        loop {
            let changed = self.changed.notified();
            let next = {
                let tasks = self.tasks();
                let held = tasks.iter().filter_map(|(task, of)| Some((of.schedule.due()?, *task)));
                held.min()
            };
            match next {
                Some((due, task)) if due <= Instant::now() => return task,
                Some((due, _)) => tokio::select! {
                    () = sleep_until(due) => {}
                    () = changed => {}
                },
                None => changed.await,
            }
        }
    }

    /// Lets the first of those that are held begin.
    pub(super) fn begin(&self, task: &str) {
        if let Some(limited) = self.tasks().get_mut(task) {
            limited.schedule.begin(Instant::now());
        }
    }

    /// Forgets those that are held: they have been given back.
    pub(super) fn release_all(&self) {
        self.tasks().values_mut().for_each(|limited| limited.schedule.release_all());
    }

    /// Changes the limit of a task; zero takes it away. Returns whether there is one now.
    ///
    /// # Errors
    /// [`BadRate`] when it is no rate.
    pub(super) fn change(&self, task: &'static str, text: &str) -> Result<bool, BadRate> {
        let rate = Rate::parse(text)?;
        let (text, now) = (text.to_owned(), Instant::now());
        self.any.store(true, Ordering::Release);
        let mut tasks = self.tasks();
        match (tasks.get_mut(task), rate) {
            (Some(limited), rate) => {
                limited.schedule.change(rate, now);
                limited.text = text;
            }
            (None, Some(rate)) => {
                _ = tasks.insert(task, Limited { text, schedule: Schedule::new(rate, now) });
            }
            (None, None) => {}
        }
        self.changed.notify_waiters();
        Ok(rate.is_some())
    }

    /// The limit of a task, as it was written.
    pub(super) fn text(&self, task: &str) -> Option<String> {
        let tasks = self.tasks();
        tasks.get(task).filter(|limited| limited.schedule.is_limited()).map(|it| it.text.clone())
    }

    fn tasks(&self) -> MutexGuard<'_, BTreeMap<&'static str, Limited>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
