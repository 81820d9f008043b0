//! The worker: takes messages from queues and runs their tasks.
//!
//! `consumer` takes deliveries and gives them slots; `request` is the life of one delivery, top to bottom: receive,
//! admit, execute, verdict, settle. What is decided is decided by pure functions (`admit`, `verdict`) and carried out in
//! `request` in a fixed order. What happens to a request is told in `moment`, and those that are held are in `requests`.
//! Nothing that a message or a task does stops the worker.

mod admit;
mod builtins;
#[cfg(unix)]
mod child;
#[doc(hidden)]
pub mod command_support;
mod consumer;
mod control;
mod doomed;
mod errbacks;
mod execute;
mod follow;
mod health;
mod gossip;
mod heart;
mod hooks;
mod intake;
mod join;
mod limits;
mod line;
mod mingle;
mod moment;
mod node;
mod outage;
mod panics;
mod patience;
mod pool;
mod rates;
mod recall;
mod refuse;
mod request;
mod requests;
mod revoked;
mod send;
mod settle;
mod slots;
mod state_db;
mod trace;
mod verdict;
#[doc(hidden)]
pub mod verdicts;

use std::{num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

#[cfg(unix)]
pub use self::child::ChildProcess;
pub use self::control::{
    Answer, ArgumentType, Command, CommandError, CommandKind, Panel, Run, commands,
};
pub use self::health::{HealthReport, WorkerHealth, WorkerStage};
#[cfg(not(unix))]
pub use self::pool::ChildProcess;
use self::{
    gossip::Gossip,
    health::Health,
    intake::Intake,
    node::Node,
    pool::{Autoscaler, Pool},
    rates::Rates,
    requests::Requests,
    revoked::Revoked,
    slots::Slots,
    state_db::StateDb,
};
use crate::{app::Celery, broker::Queue, config::WorkerPool, error::Error, signals::Signals};

/// What can be set on a worker. What is left out comes from the settings.
#[derive(Clone, Debug, Default)]
pub struct WorkerOptions {
    /// The node name, as in `-n`: `celery@<host>` by default; `%h` is the host.
    pub hostname: Option<String>,
    /// The queues to consume, as in `-Q`.
    pub queues: Option<Vec<String>>,
    /// Queues of the settings that are not consumed, as in `-X`.
    pub exclude_queues: Vec<String>,
    /// How many tasks run at once, as in `-c`; the `solo` pool has one, whatever this says.
    pub concurrency: Option<usize>,
    /// Between which numbers the number of tasks that run at once follows what there is to do, as in `--autoscale`. It
    /// goes before the concurrency.
    pub autoscale: Option<Autoscale>,
    /// How many messages are held for each task that can run; 0 is any number.
    pub prefetch_multiplier: Option<u32>,
    /// Stops every task that has no limit of its own after that long, as in `--time-limit`.
    pub time_limit: Option<Duration>,
    /// Tells every task that has no limit of its own to stop after that long, as in `--soft-time-limit`.
    pub soft_time_limit: Option<Duration>,
    /// A file that keeps what is revoked over restarts, as in `--statedb`.
    pub state_db: Option<PathBuf>,
    /// Sends events of tasks from the start, as `-E` does.
    pub task_events: Option<bool>,
    /// Whether, and how often, the worker says that it lives.
    pub heartbeat: Heartbeat,
    /// Does not ask the others at the start what they know, as in `--without-mingle`.
    pub without_mingle: bool,
    /// Does not listen to what the others tell of themselves, as in `--without-gossip`.
    pub without_gossip: bool,
}

/// Whether, and how often, a worker says that it lives, by an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heartbeat {
    /// Every so often; Celery's is every two seconds.
    Every(Duration),
    /// Never, as with `--without-heartbeat`.
    Never,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self::Every(Duration::from_secs(2))
    }
}

/// Between which numbers the number of tasks that run at once is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Autoscale {
    /// The most.
    pub max: usize,
    /// The fewest. One place there always is.
    pub min: usize,
}

/// Asks a worker to stop: [`warm`](Self::warm) lets the tasks that run end, [`cold`](Self::cold) does not.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Takes no more messages, hands back those that have not begun, and waits for the tasks that run.
    pub warm: CancellationToken,
    /// Stops waiting, after `worker_soft_shutdown_timeout`: tasks that are acknowledged late are stopped and handed back,
    /// the others are lost.
    pub cold: CancellationToken,
    /// Does not wait for that time either.
    pub now: CancellationToken,
}

impl Shutdown {
    /// Waits until it is asked for, in whatever way.
    async fn stopping(&self) {
        tokio::select! {
            () = self.warm.cancelled() => {}
            () = self.cold.cancelled() => {}
            () = self.now.cancelled() => {}
        }
    }
}

/// A worker that is ready to run.
#[derive(Debug)]
#[must_use = "a worker does nothing until it is run"]
pub struct Worker {
    node: Arc<Node>,
    queues: Vec<Queue>,
    heartbeat: Heartbeat,
    without_mingle: bool,
    state_db: Option<PathBuf>,
}

impl Worker {
    /// A worker of the app.
    ///
    /// # Errors
    /// [`Error::Registry`] when the tasks of the program contradict each other, or take a `#[state]` that the app does not
    /// have; [`Error::Call`] when a queue is unknown, or none is left to consume, or the system has no child processes
    /// for a pool or a task that needs them.
    pub fn new(app: &Celery, options: WorkerOptions) -> Result<Self, Error> {
        app.registry()?.check_state(app.state_map())?;
        let config = &app.config().worker;
        pool::check(config.pool, app.registry()?).map_err(Error::Call)?;
        let queues = choose_queues(app, options.queues, &options.exclude_queues)?;
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let concurrency = match config.pool {
            WorkerPool::Solo => 1,
            WorkerPool::Async | WorkerPool::Prefork => {
                options.concurrency.or(config.concurrency).unwrap_or_else(cores).max(1)
            }
        };
        let concurrency = options.autoscale.map_or(concurrency, |range| range.min.max(1));
        let autoscaler =
            options.autoscale.map(|range| autoscaler(range, config.pool)).transpose()?;
        let multiplier = options.prefetch_multiplier.unwrap_or(config.prefetch_multiplier);
        let most = options.autoscale.map_or(concurrency, |range| range.max.max(1));
        let held = u32::try_from(most).unwrap_or(u32::MAX).saturating_mul(multiplier);
        let hostname = Celery::node_name(options.hostname.as_deref());
        // Without a list all groups pass, those of tasks among them.
        let groups = match options.task_events.unwrap_or(config.send_task_events) {
            true => None,
            false => Some("worker"),
        };
        let events = app.events().dispatcher(hostname.as_str()).groups(groups);
        let cold = CancellationToken::new();
        let node = Node {
            app: app.clone(),
            pool: Pool::new(config, &hostname, concurrency, cold.clone()),
            hostname: hostname.into(),
            began: Instant::now(),
            time_limit: options.time_limit.or(app.config().task.time_limit),
            soft_time_limit: options.soft_time_limit.or(app.config().task.soft_time_limit),
            slots: Slots::new(concurrency),
            autoscaler,
            prefetch_multiplier: multiplier,
            limits: Default::default(),
            intake: Intake::new(queues.clone(), NonZeroU32::new(held)),
            requests: Requests::new(app.registry()?.iter().map(|task| task.name)),
            revoked: Revoked::new(app.revokes()),
            health: Health::default(),
            rates: Rates::new(app.registry()?, app.config()),
            gossip: (!options.without_gossip && has_neighbours(app)).then(Gossip::default),
            events,
            cold,
            alone: CancellationToken::new(),
        };
        let WorkerOptions { heartbeat, without_mingle, .. } = options;
        let state_db = options.state_db.or_else(|| app.config().worker.state_db.clone());
        Ok(Self { node: Arc::new(node), queues, heartbeat, without_mingle, state_db })
    }

    /// The node name.
    pub fn hostname(&self) -> &str {
        &self.node.hostname
    }

    /// The queues that it consumes when it starts.
    pub fn queues(&self) -> &[Queue] {
        &self.queues
    }

    /// Between which numbers that is chosen, where it is.
    pub fn autoscale(&self) -> Option<Autoscale> {
        self.node.autoscaler.as_ref().map(Autoscaler::range)
    }

    /// How many tasks it runs at once.
    pub fn concurrency(&self) -> usize {
        self.node.slots.count()
    }

    /// Whether it sends events of tasks.
    pub fn sends_task_events(&self) -> bool {
        self.node.events.sends("task")
    }

    /// Runs until it is asked to stop and has stopped. A lost connection is made anew.
    ///
    /// # Errors
    /// When no child process of the pool can be started, or the broker cannot be reached at the start and the settings do not let it try again, or cannot be
    /// reached again after `broker_connection_max_retries`; [`Error::Call`] when `worker_state_db` cannot be used.
    ///
    /// # Cancel safety
    /// Dropping the future is a cold shutdown: messages that are not done with go back to their queues.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Error> {
        #[cfg(unix)]
        if ChildProcess::is_child() {
            return match ChildProcess::claim_for(self.hostname()) {
                Some(child) => child.serve(&self.node.app).await,
                // Another worker of this program is the one whose child this is.
                None => {
                    ChildProcess::ended().await;
                    Ok(())
                }
            };
        }
        panics::install_hook();
        let _state_db =
            self.state_db.clone().map(|path| StateDb::open(path, &self.node)).transpose()?;
        let node = Arc::clone(&self.node);
        // Boxed, so that whoever runs a worker does not carry all of it about.
        node.health.while_watched(Box::pin(self.live(&shutdown))).await
    }

    /// All that it does, from its first words to its last.
    async fn live(self, shutdown: &Shutdown) -> Result<(), Error> {
        let (app, hostname) = (self.node.app.clone(), self.node.hostname.clone());
        let names: Vec<_> = self.queues.iter().map(|queue| queue.name.as_str()).collect();
        let tell = |signal, tell: &dyn Fn(&dyn Signals)| app.listeners().tell(signal, tell);
        tell("celeryd_init", &|signals| signals.celeryd_init(&app, &hostname));
        tell("celeryd_after_setup", &|signals| signals.celeryd_after_setup(&hostname, &names));
        tell("worker_init", &|signals| signals.worker_init(&hostname));
        let _children = self.node.pool.open(self.concurrency(), shutdown.warm.clone());
        let background = CancellationToken::new();
        let _stop_background = background.clone().drop_guard();
        if !self.without_mingle && has_neighbours(&self.node.app) {
            tokio::select! {
                () = mingle::sync(&self.node) => {}
                () = shutdown.warm.cancelled() => {}
                () = shutdown.cold.cancelled() => {}
            }
        }
        let control = self.node.app.config().worker.enable_remote_control.then(|| {
            tokio::spawn(control::serve(self.node.clone(), shutdown.clone(), background.clone()))
        });
        let events =
            tokio::spawn(heart::start(self.node.clone(), self.heartbeat, background.clone()));
        let gossip = self
            .node
            .gossip
            .is_some()
            .then(|| tokio::spawn(gossip::listen(self.node.clone(), background.clone())));
        tokio::spawn(Arc::clone(&self.node).keep_scaling(background.clone()));
        tokio::spawn(join::keep_looking(Arc::clone(&self.node), background.clone()));
        let ended = consumer::run(&self.node, shutdown).await;
        self.node.pool.close().await;
        background.cancel();
        // Its last words are few, and a broker that is away must not hold up the end.
        _ = tokio::time::timeout(Duration::from_secs(4), events).await;
        for listener in [control, gossip].into_iter().flatten() {
            // It removes its binding. A broker that is away must not hold up the end.
            _ = tokio::time::timeout(Duration::from_secs(2), listener).await;
        }
        tell("worker_shutdown", &|signals| signals.worker_shutdown(&hostname));
        ended.and_then(|()| self.node.pool.failure().map_or(Ok(()), |why| Err(Error::Call(why))))
    }
}

fn autoscaler(range: Autoscale, pool: WorkerPool) -> Result<Autoscaler, Error> {
    let refused = |why: String| Err(Error::Call(why));
    match range {
        _ if pool == WorkerPool::Solo => {
            refused("the pool `solo` runs one task at a time: there is nothing to scale".into())
        }
        Autoscale { max, min } if max == 0 || max < min || max > pool::MOST => refused(format!(
            "the pool cannot be scaled between {min} and {max}: the greater number comes first, and is from 1 to {}",
            pool::MOST
        )),
        range => Autoscaler::new(range).map_err(Error::Call),
    }
}

/// Whether there may be workers elsewhere: a broker in this process has none. Celery asks on the same transports.
fn has_neighbours(app: &Celery) -> bool {
    let scheme = app.broker_urls().first().map_or("", |url| url.scheme());
    ["redis", "sentinel", "amqp", "pyamqp"].iter().any(|known| scheme.starts_with(known))
}

fn choose_queues(
    app: &Celery,
    named: Option<Vec<String>>,
    excluded: &[String],
) -> Result<Vec<Queue>, Error> {
    let mut queues = match named {
        Some(names) => {
            let find = |name: &String| {
                app.queues().get_or_create(name).map_err(|e| Error::Call(e.to_string()))
            };
            names.iter().map(find).collect::<Result<Vec<_>, _>>()?
        }
        None => app.queues().iter().cloned().collect(),
    };
    queues.retain(|queue| !excluded.contains(&queue.name));
    if queues.is_empty() {
        return Err(Error::Call(
            "no queue is left to consume; name one with `-Q`, or exclude fewer with `-X`".into(),
        ));
    }
    Ok(queues)
}
