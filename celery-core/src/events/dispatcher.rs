//! Sends events, in the background and many at a time.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Fields, group_of,
    outbox::{Outbox, Route},
    wire::{Sender, Told, routing_key},
};
use crate::{
    app::Celery,
    broker::{Broker, Publication},
    clock,
    error::Error,
};

/// How long events are gathered. It is not noticed by who looks on, and makes one message of many.
const GATHERING: Duration = Duration::from_millis(10);

/// The most events in one list.
const LIST: usize = 250;

/// The most events that are sent at once.
const ROUND: usize = 4000;

/// How long the last events may take when there is no more time.
const FAREWELL: Duration = Duration::from_secs(2);

/// Sends events under one node name: Celery's `EventDispatcher`.
///
/// [`send`](Self::send) only puts an event among those that wait, which takes about a microsecond. Whoever runs
/// [`run`](Self::run) sends them, events of tasks as lists. While the broker is away up to 16 MiB of them are kept; then
/// the oldest go, and the log says how many.
///
/// It has a list of groups. Events of a group that is not on it are not even made; an empty list lets every group pass.
///
/// ```
/// use celery_core::app::Celery;
/// use tokio_util::sync::CancellationToken;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), celery_core::error::Error> {
/// let app = Celery::builder("mysite").broker("memory://").build()?;
/// let events = app.events().dispatcher("importer@here");
/// let stop = CancellationToken::new();
/// let sending = tokio::spawn({
///     let (events, stop) = (events.clone(), stop.clone());
///     async move { events.run(stop).await }
/// });
/// events.send("import-begun", |event| {
///     event.add("files", 1200);
/// });
/// stop.cancel();
/// sending.await.expect("sending does not panic");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct EventDispatcher {
    inner: Arc<Inner>,
}

struct Inner {
    app: Celery,
    hostname: String,
    groups: RwLock<BTreeSet<String>>,
    /// What `groups` says of tasks, which is asked most.
    sends_tasks: AtomicBool,
    outbox: Mutex<Outbox>,
    filled: Notify,
    /// Whether the last attempt to send failed.
    cut_off: AtomicBool,
}

impl EventDispatcher {
    /// One that lets every group pass.
    pub(crate) fn new(app: &Celery, hostname: impl Into<String>) -> Self {
        let inner = Inner {
            app: app.clone(),
            hostname: hostname.into(),
            groups: RwLock::default(),
            sends_tasks: AtomicBool::new(true),
            outbox: Mutex::default(),
            filled: Notify::new(),
            cut_off: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Lets only these groups pass, such as `worker`. None at all lets every group pass.
    pub fn groups<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.change_groups(|groups| *groups = names.into_iter().map(str::to_owned).collect());
        self
    }

    /// Lets a group pass. `false` says that nothing changed, since it did already.
    pub fn enable(&self, group: &str) -> bool {
        self.change_groups(|groups| !groups.is_empty() && groups.insert(group.to_owned()))
    }

    /// Lets a group pass no longer. `false` says that nothing changed, since the group was not on the list: where there
    /// is no list, no group can be taken off it, and all pass as before. That is how Celery has it.
    pub fn disable(&self, group: &str) -> bool {
        self.change_groups(|groups| groups.remove(group))
    }

    /// Whether events of that group pass.
    pub fn sends(&self, group: &str) -> bool {
        if group == TASK {
            return self.inner.sends_tasks.load(Ordering::Relaxed);
        }
        passes(&self.inner.groups.read().unwrap_or_else(PoisonError::into_inner), group)
    }

    /// Whether the broker was away when events were last sent.
    pub fn is_cut_off(&self) -> bool {
        self.inner.cut_off.load(Ordering::Relaxed)
    }

    /// Tells an event. `fields` is asked only when events of its group pass.
    pub fn send(&self, kind: &str, fields: impl FnOnce(&mut Fields)) {
        let group = group_of(kind);
        if !self.sends(group) {
            return;
        }
        let mut written = Fields::new();
        fields(&mut written);
        let text = written.end(clock::now().as_microsecond(), kind);
        let route = if group == TASK { Route::Task } else { Route::Alone(routing_key(kind)) };
        let mut outbox = self.outbox();
        // Under the lock, so that they are sent in the order of their clocks.
        let clock = self.inner.app.clock().forward();
        let is_first = outbox.push(route, Told { clock, text });
        drop(outbox);
        if is_first {
            self.inner.filled.notify_one();
        }
    }

    /// Sends what is told until it is asked to stop, and then what is left. It outlasts an outage of the broker.
    ///
    /// # Cancel safety
    /// When it is dropped, what it was about to send is lost. What waits is sent by the next call.
    pub async fn run(&self, stop: CancellationToken) {
        let mut left = Vec::new();
        while left.is_empty() && !stop.is_cancelled() {
            tokio::select! {
                () = self.inner.filled.notified() => {}
                () = stop.cancelled() => break,
            }
            tokio::select! {
                () = sleep(GATHERING) => {}
                () = stop.cancelled() => break,
            }
            while left.is_empty() && !self.outbox().is_empty() {
                left = self.insist(self.take(), &stop).await;
            }
        }
        self.say_farewell(left).await;
    }

    /// Publishes, again and again until the broker has it. What is returned is what is left because it is to stop.
    async fn insist(&self, batch: Vec<Publication>, stop: &CancellationToken) -> Vec<Publication> {
        let mut pause = Duration::from_secs(1);
        while let Err(error) = self.publish(&batch).await {
            if !self.inner.cut_off.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "events cannot be sent; they are kept, and tried again"
                );
            }
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(Duration::from_secs(30)),
                () = stop.cancelled() => return batch,
            }
        }
        if self.inner.cut_off.swap(false, Ordering::Relaxed) {
            tracing::info!("events are sent again");
        }
        let dropped = self.outbox().dropped();
        if dropped > 0 {
            tracing::warn!(dropped, "there were more events than can be kept; the oldest are lost");
        }
        Vec::new()
    }

    /// Sends what is left, once, and not for long.
    async fn say_farewell(&self, begun: Vec<Publication>) {
        let sending = async {
            if !begun.is_empty() {
                self.publish(&begun).await?;
            }
            while !self.outbox().is_empty() {
                self.publish(&self.take()).await?;
            }
            Ok::<(), Error>(())
        };
        match timeout(FAREWELL, sending).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the last events could not be sent"
            ),
            Err(_) => tracing::warn!("the last events could not be sent in time"),
        }
    }

    async fn publish(&self, batch: &[Publication]) -> Result<(), Error> {
        let broker: &dyn Broker = self.inner.app.publisher().await?.as_ref();
        Ok(broker.publish(batch).await?)
    }

    /// Takes the oldest events, as messages: tasks' as lists, the others alone.
    fn take(&self) -> Vec<Publication> {
        let events = self.outbox().take(ROUND);
        let Inner { app, hostname, .. } = &*self.inner;
        let sender = Sender::of_this_process(&app.config().event, hostname);
        let mut written = Vec::new();
        let mut list = Vec::new();
        for (route, event) in events {
            match route {
                Route::Task => list.push(event),
                Route::Alone(routing_key) => {
                    written.extend(sender.list(TASK_MULTI, &list));
                    list.clear();
                    written.push(sender.single(&routing_key, &event));
                }
            }
            if list.len() == LIST {
                written.extend(sender.list(TASK_MULTI, &list));
                list.clear();
            }
        }
        written.extend(sender.list(TASK_MULTI, &list));
        let sound = written.into_iter().filter_map(|publication| {
            let complain = |error: &Error| {
                let error: &dyn std::error::Error = error;
                tracing::error!(error, "an event cannot be written");
            };
            publication.inspect_err(complain).ok()
        });
        sound.collect()
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.inner.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change_groups<T>(&self, change: impl FnOnce(&mut BTreeSet<String>) -> T) -> T {
        let mut groups = self.inner.groups.write().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut groups);
        self.inner.sends_tasks.store(passes(&groups, TASK), Ordering::Relaxed);
        changed
    }
}

/// The group whose events go into lists.
const TASK: &str = "task";

/// The routing key of these lists.
const TASK_MULTI: &str = "task.multi";

fn passes(groups: &BTreeSet<String>, group: &str) -> bool {
    groups.is_empty() || groups.contains(group)
}

impl fmt::Debug for EventDispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { hostname, groups, .. } = &*self.inner;
        f.debug_struct("EventDispatcher")
            .field("hostname", hostname)
            .field("groups", groups)
            .finish_non_exhaustive()
    }
}
