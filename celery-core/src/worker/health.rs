//! How a worker does: whether its loop turns, and whether the broker answered it lately.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{Worker, node::Node};
use crate::{broker::Contact, error::Error, exception::with_sources};

/// How often the loop shows that it turns.
const TURNS_EVERY: Duration = Duration::from_secs(1);

/// A loop that has not turned for that long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(10);

/// How much later than it should an answer of the broker may come.
const GRACE: Duration = Duration::from_secs(2);

/// Asks how a worker does, from beside it.
#[derive(Clone, Debug)]
pub struct WorkerHealth {
    node: Arc<Node>,
}

/// How far a worker has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkerStage {
    /// It has not consumed yet.
    Starting,
    /// It consumes.
    Consuming,
    /// It has lost the broker, and looks for it.
    Disconnected,
    /// It takes no more messages.
    Stopping,
}

impl WorkerStage {
    /// A word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Consuming => "consuming",
            Self::Disconnected => "disconnected",
            Self::Stopping => "stopping",
        }
    }
}

/// How a worker does at one time.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HealthReport {
    /// How far it has come.
    pub stage: WorkerStage,
    /// Why it is not live: its loop is stuck. A supervisor should restart it.
    pub not_live: Option<String>,
    /// Why it is not ready: it does not consume, or does not know whether it does.
    pub not_ready: Option<String>,
    /// How long ago the broker last answered the consumer.
    pub last_fetch: Option<Duration>,
    /// How many tasks run.
    pub active: usize,
    /// How many messages wait for a slot.
    pub reserved: usize,
}

/// What the loop of a worker tells of itself.
#[derive(Debug)]
pub(super) struct Health {
    /// Whether anybody asks. Else nothing is noted, and nothing wakes an idle worker.
    watched: AtomicBool,
    stage: watch::Sender<WorkerStage>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    turned: Instant,
    contact: Option<Contact>,
    /// What it failed with last.
    error: Option<String>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            watched: AtomicBool::new(false),
            stage: watch::Sender::new(WorkerStage::Starting),
            state: Mutex::new(State { turned: Instant::now(), contact: None, error: None }),
        }
    }
}

impl Health {
    pub(super) fn consumes(&self, contact: Contact) {
        *self.state() = State { contact: Some(contact), error: None, turned: Instant::now() };
        self.stage.send_replace(WorkerStage::Consuming);
    }

    pub(super) fn failed(&self, error: &Error) {
        self.state().error = Some(with_sources(error));
        self.stage.send_if_modified(|stage| {
            let lost = *stage == WorkerStage::Consuming;
            if lost {
                *stage = WorkerStage::Disconnected;
            }
            lost
        });
    }

    pub(super) fn stops(&self) {
        self.stage.send_replace(WorkerStage::Stopping);
    }

    /// Carries out the loop's work, and notes that it turns, if somebody asks for that.
    pub(super) async fn while_watched<T>(&self, work: impl Future<Output = T>) -> T {
        if !self.watched.load(Ordering::Relaxed) {
            return work.await;
        }
        let mut work = pin!(work);
        let mut turns = interval(TURNS_EVERY);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = turns.tick() => self.state().turned = Instant::now(),
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worker {
    /// Asks how it does while it runs.
    pub fn health(&self) -> WorkerHealth {
        self.node.health.watched.store(true, Ordering::Relaxed);
        WorkerHealth { node: Arc::clone(&self.node) }
    }
}

impl WorkerHealth {
    /// How it does now.
    pub fn report(&self) -> HealthReport {
        let stage = *self.node.health.stage.borrow();
        let state = self.node.health.state();
        let turned = state.turned.elapsed();
        let last_fetch = state.contact.as_ref().map(Contact::age);
        let not_live = (turned > STUCK_AFTER)
            .then(|| format!("the loop has not turned for {:.1} seconds", turned.as_secs_f64()));
        let because = |what: &str| match &state.error {
            Some(error) => format!("{what}: {error}"),
            None => what.to_owned(),
        };
        let not_ready = match (stage, &state.contact) {
            _ if not_live.is_some() => not_live.clone(),
            (WorkerStage::Stopping, _) => Some("it takes no more messages".to_owned()),
            (WorkerStage::Disconnected, _) => Some(because("it has lost the broker")),
            (WorkerStage::Starting, _) | (WorkerStage::Consuming, None) => {
                Some(because("it does not consume yet"))
            }
            (WorkerStage::Consuming, Some(contact)) => {
                let (age, limit) =
                    (contact.age(), contact.every().saturating_mul(2).saturating_add(GRACE));
                (age > limit).then(|| {
                    format!("the broker has not answered for {:.1} seconds", age.as_secs_f64())
                })
            }
        };
        let (held, active) = (self.node.requests.count(), self.node.requests.active());
        let reserved = held.saturating_sub(active);
        HealthReport { stage, not_live, not_ready, last_fetch, active, reserved }
    }

    /// Each stage that it comes to, from now on; the one that it is in comes first.
    pub fn stages(&self) -> watch::Receiver<WorkerStage> {
        let mut stages = self.node.health.stage.subscribe();
        stages.mark_changed();
        stages
    }

    /// The node name.
    pub fn hostname(&self) -> &str {
        &self.node.hostname
    }

    /// What runs and what waits for a slot, one line each.
    pub fn held(&self) -> Vec<String> {
        let held = self.node.requests.all();
        held.iter()
            .map(|held| format!("{}[{}]: {:?}", held.message.task, held.message.id, held.stage()))
            .collect()
    }
}
