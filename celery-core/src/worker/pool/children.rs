//! The child processes of a worker: started, lent to one task at a time, and replaced.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore, mpsc},
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    ChildRules, Start, exit,
    keeper::{Job, Keeper},
    pipe::Identity,
    spawner::Spawner,
};

/// The children of a worker.
#[derive(Debug)]
pub(in crate::worker) struct Children {
    hostname: String,
    rules: ChildRules,
    start: Start,
    spawner: OnceLock<Spawner>,
    /// So many start at once: more would only wait for each other, each against its time limit.
    starting: Semaphore,
    books: Mutex<Books>,
    /// Something came back, or failed to start.
    changed: Notify,
    keepers: TaskTracker,
    jobs: AtomicU64,
    /// Cancelled when the worker stops at once: what runs is stopped.
    cold: CancellationToken,
    /// Cancelled when the worker has run its last task: each child ends.
    closing: CancellationToken,
    /// Cancelled when the worker is gone: so are its children.
    gone: CancellationToken,
    /// Told when no child can be started.
    failed: CancellationToken,
}

#[derive(Debug)]
struct Books {
    /// How many there are to be at most.
    size: usize,
    /// By number: those that start, wait, or run.
    living: BTreeMap<u64, Living>,
    /// Those that wait. The one that waits shortest is lent first.
    idle: Vec<Handle>,
    /// How many were started.
    started: u64,
    /// Those of an earlier one are not lent again.
    generation: u64,
    /// How often in a row a child could not be started.
    failures: u32,
    /// Why none can be started.
    failure: Option<String>,
}

#[derive(Debug)]
struct Living {
    index: usize,
    /// Once it is ready.
    pid: Option<u32>,
    jobs: u64,
}

/// A child that can be given a job.
#[derive(Debug)]
pub(super) struct Handle {
    generation: u64,
    pid: u32,
    jobs: mpsc::Sender<Job>,
}

/// After so many failures in a row nobody tries again.
const PATIENCE: u32 = 3;

/// A child that ends sooner and has done nothing did not really start.
const SOON: Duration = Duration::from_secs(1);

impl Children {
    pub(super) fn new(
        hostname: &str,
        size: usize,
        rules: ChildRules,
        start: Start,
        cold: CancellationToken,
    ) -> Arc<Self> {
        let books = Books {
            size,
            living: BTreeMap::new(),
            idle: Vec::new(),
            started: 0,
            generation: 0,
            failures: 0,
            failure: None,
        };
        Arc::new(Self {
            hostname: hostname.to_owned(),
            rules,
            start,
            spawner: OnceLock::new(),
            starting: Semaphore::new(2 * thread::available_parallelism().map_or(1, usize::from)),
            books: Mutex::new(books),
            changed: Notify::new(),
            keepers: TaskTracker::new(),
            jobs: AtomicU64::new(0),
            cold,
            closing: CancellationToken::new(),
            gone: CancellationToken::new(),
            failed: CancellationToken::new(),
        })
    }

    /// Starts those that are to be there from the beginning.
    pub(super) fn open(self: &Arc<Self>) {
        self.fill(&mut self.books());
    }

    /// Takes a child, and waits until there is one.
    ///
    /// # Errors
    /// When none can be started any more, and why.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn take(self: &Arc<Self>) -> Result<Handle, String> {
        let mut asked = false;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut books = self.books();
                if let Some(reason) = &books.failure {
                    return Err(reason.clone());
                }
                while let Some(handle) = books.idle.pop() {
                    if !handle.jobs.is_closed() {
                        return Ok(handle);
                    }
                }
                // One for each who waits, and another one when that has failed.
                let is_coming = asked && books.living.values().any(|child| child.pid.is_none());
                if books.living.len() < books.size && !is_coming {
                    self.start_one(&mut books);
                    asked = true;
                }
            }
            changed.await;
        }
    }

    /// Gives a child back, or lets it go when there are too many, or it is to be replaced.
    pub(super) fn give_back(&self, handle: Handle) {
        let mut books = self.books();
        let is_wanted = handle.generation == books.generation
            && books.living.len() <= books.size
            && !self.closing.is_cancelled()
            && !handle.jobs.is_closed();
        if is_wanted {
            books.idle.push(handle);
            drop(books);
            self.changed.notify_waiters();
        }
    }

    /// Sets how many there may be. Those that are too many go when they are idle.
    pub(super) fn resize(self: &Arc<Self>, size: usize) {
        let mut books = self.books();
        books.size = size;
        let surplus = books.living.len().saturating_sub(size).min(books.idle.len());
        // The one that waits longest first.
        books.idle.drain(..surplus);
        self.fill(&mut books);
        drop(books);
        self.changed.notify_waiters();
    }

    /// Replaces all of them, each when its task is done.
    pub(super) fn restart(&self) {
        let mut books = self.books();
        books.generation += 1;
        books.idle.clear();
    }

    /// Ends all of them, and waits until they have ended.
    pub(super) async fn close(&self) {
        {
            let mut books = self.books();
            self.closing.cancel();
            books.idle.clear();
        }
        self.keepers.close();
        self.keepers.wait().await;
    }

    /// The ids of those that are ready.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.books().living.values().filter_map(|child| child.pid).collect()
    }

    /// How many jobs each of those that live was given.
    pub(super) fn written(&self) -> Vec<u64> {
        self.books().living.values().map(|child| child.jobs).collect()
    }

    /// Why none can be started, when that is so.
    pub(super) fn failure(&self) -> Option<String> {
        self.books().failure.clone()
    }

    /// Cancelled when none can be started.
    pub(super) fn failed(&self) -> &CancellationToken {
        &self.failed
    }

    pub(super) fn rules(&self) -> &ChildRules {
        &self.rules
    }

    pub(super) fn cold(&self) -> &CancellationToken {
        &self.cold
    }

    pub(super) fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    pub(super) fn gone(&self) -> &CancellationToken {
        &self.gone
    }

    /// Waits until what runs is to be stopped.
    pub(super) async fn stopped(&self) {
        tokio::select! {
            () = self.gone.cancelled() => {}
            () = self.cold.cancelled() => {}
        }
    }

    pub(super) fn spawner(&self) -> Result<&Spawner, String> {
        if let Some(spawner) = self.spawner.get() {
            return Ok(spawner);
        }
        let spawner = Spawner::new().map_err(|error| format!("no thread for it: {error}"))?;
        Ok(self.spawner.get_or_init(|| spawner))
    }

    /// Counts a job, and returns its number.
    pub(super) fn count_job(&self, child: u64) -> u64 {
        let mut books = self.books();
        books.failures = 0;
        if let Some(child) = books.living.get_mut(&child) {
            child.jobs += 1;
        }
        self.jobs.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes that a child is told to end, so that another one may start.
    pub(super) fn leaves(self: &Arc<Self>, number: u64) {
        let mut books = self.books();
        books.living.remove(&number);
        self.fill(&mut books);
        drop(books);
        self.changed.notify_waiters();
    }

    fn fill(self: &Arc<Self>, books: &mut Books) {
        while self.start == Start::AtOnce
            && books.living.len() < books.size
            && self.may_start(books)
        {
            self.start_one(books);
        }
    }

    /// Whether there is still something to start a child for.
    fn may_start(&self, books: &Books) -> bool {
        books.failure.is_none()
            && !self.closing.is_cancelled()
            && !self.cold.is_cancelled()
            && !self.gone.is_cancelled()
    }

    /// Waits until there is not.
    async fn ending(&self) {
        tokio::select! {
            () = self.stopped() => {}
            () = self.closing.cancelled() => {}
            () = self.failed.cancelled() => {}
        }
    }

    fn start_one(self: &Arc<Self>, books: &mut Books) {
        if !self.may_start(books) {
            return;
        }
        books.started += 1;
        let number = books.started;
        let taken: Vec<_> = books.living.values().map(|child| child.index).collect();
        let index = (0..).find(|index| !taken.contains(index)).unwrap_or_default();
        books.living.insert(number, Living { index, pid: None, jobs: 0 });
        let identity = Identity { hostname: self.hostname.clone(), number, index };
        let life = Arc::clone(self).live(identity, books.generation, books.failures);
        self.keepers.spawn(life);
    }

    /// The life of a child, from its start to its end.
    async fn live(self: Arc<Self>, identity: Identity, generation: u64, failures: u32) {
        let (number, name) = (identity.number, identity.name());
        let permit = tokio::select! {
            biased;
            () = self.ending() => return self.leaves(number),
            permit = self.starting.acquire() => permit,
        };
        let started = Keeper::start(Arc::clone(&self), identity).await;
        drop(permit);
        let reason = match started {
            Ok(keeper) => {
                let (jobs, taken) = mpsc::channel(1);
                let (pid, began) = (keeper.pid(), Instant::now());
                tracing::debug!("{name} is ready, pid:{pid}");
                if let Some(child) = self.books().living.get_mut(&number) {
                    child.pid = Some(pid);
                }
                self.give_back(Handle { generation, pid, jobs });
                match self.prove(keeper.keep(taken)).await {
                    ControlFlow::Continue(()) => None,
                    ControlFlow::Break(status) => {
                        let status = exit::describe(status);
                        tracing::error!("Process '{name}' pid:{pid} exited with '{status}'");
                        let done = self.books().living.get(&number).map_or(0, |child| child.jobs);
                        let was_up = done > 0 || began.elapsed() >= SOON;
                        (!was_up).then(|| format!("it ended as soon as it was ready ({status})"))
                    }
                }
            }
            Err(reason) => Some(reason),
        };
        if let Some(reason) = reason {
            self.failed_to_start(&name, &reason, failures).await;
        }
        self.leaves(number);
    }

    /// Follows the life of a child that is ready. When it lasts, children can be started.
    async fn prove<T>(&self, life: impl Future<Output = T>) -> T {
        tokio::pin!(life);
        tokio::select! {
            biased;
            ended = &mut life => return ended,
            () = sleep(SOON) => self.books().failures = 0,
        }
        life.await
    }

    /// Waits before the next one is started, longer each time; gives up when none has been started.
    async fn failed_to_start(&self, name: &str, reason: &str, known: u32) {
        let failures = {
            let mut books = self.books();
            if !self.may_start(&books) {
                tracing::debug!("child process {name} was not started: {reason}");
                return;
            }
            tracing::error!("child process {name} could not be started: {reason}");
            // Those that were started side by side fail as one; and what failed before another one has lasted is not
            // in this row.
            let row = if books.failures < known { 1 } else { known + 1 };
            books.failures = books.failures.max(row);
            let is_alone = books.living.values().all(|child| child.pid.is_none());
            if books.failures >= PATIENCE && is_alone {
                books.failure = Some(format!("no child process can be started: {reason}"));
                self.failed.cancel();
            }
            books.failures
        };
        let pause = Duration::from_millis(500) * 2_u32.pow(failures.min(7) - 1);
        tokio::select! {
            () = sleep(pause) => {}
            () = self.ending() => {}
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handle {
    /// The id of the process.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Gives it a job; gives that back when the child is dead.
    pub(super) fn give(&self, job: Job) -> Result<(), Job> {
        self.jobs.try_send(job).map_err(mpsc::error::TrySendError::into_inner)
    }
}
