//! Takes messages from queues: fetches what is there, and waits without polling when there is nothing.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use celery_core::{
    broker::{BrokerError, Consumer, Contact, Delivery, Prefetch, Queue},
    clock,
    date::unix_seconds,
};
use deadpool_redis::redis::{PushKind, aio::MultiplexedConnection, cmd, pipe};
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};
use uuid::Uuid;

use crate::{
    books::{Books, Held, Out, Slots},
    broker::Bindings,
    entry,
    error::{Fault, FaultKind},
    options::QueueOrder,
    scripts::FETCH,
};

/// How many messages are fetched at once where the prefetch allows more.
const AT_ONCE: usize = 500;

/// For how long a consumer of a queue that is not empty lets room gather, rather than fetch one by one.
const GATHERS_FOR: Duration = Duration::from_millis(1);

/// Takes deliveries from Redis queues.
pub(crate) struct RedisConsumer {
    books: Arc<Books>,
    bindings: Bindings,
    /// The queues, the one to serve first in front.
    queues: Vec<Queue>,
    prefetch: Prefetch,
    slots: Arc<Slots>,
    connection: MultiplexedConnection,
    changes: Arc<Changes>,
    contact: Contact,
    /// How many messages the last fetch asked for.
    asked: usize,
    /// Whether the last fetch brought all that there was room for, so that there is likely more.
    more: bool,
    /// Until when room gathers before the next fetch. It holds over calls of `next` that were dropped.
    gathers_until: Option<Instant>,
    /// A fetch that is under way. It goes on when `next` is dropped, and the following `next` takes what it brought.
    fetch: Option<JoinHandle<Result<Batch, Fault>>>,
    /// Whether the fetch that is under way looks at other queues than it should by now.
    is_stale: bool,
}

/// What the server pushes to a consumer's connection.
#[derive(Debug, Default)]
struct Changes {
    happened: Notify,
    lost: AtomicBool,
}

/// Deliveries of one fetch. Those that nobody takes are handed back the last one first, which leaves them in order.
struct Batch(Vec<Delivery>);

impl Drop for Batch {
    fn drop(&mut self) {
        while self.0.pop().is_some() {}
    }
}

impl fmt::Debug for RedisConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queues: Vec<&str> = self.queues.iter().map(|queue| queue.name.as_str()).collect();
        f.debug_struct("RedisConsumer").field("queues", &queues).finish_non_exhaustive()
    }
}

impl RedisConsumer {
    /// Connects, and asks the server to tell of changes.
    pub(crate) async fn start(
        books: Arc<Books>,
        bindings: Bindings,
        queues: &[Queue],
        prefetch: Prefetch,
    ) -> Result<Self, BrokerError> {
        let changes: Arc<Changes> = Arc::default();
        let told = Arc::clone(&changes);
        let mut connection = books
            .link
            .dedicated(move |push| match push.kind {
                PushKind::Invalidate => told.happened.notify_one(),
                PushKind::Disconnection => {
                    told.lost.store(true, Ordering::Release);
                    told.happened.notify_one();
                }
                _ => {}
            })
            .await?;
        let track = cmd("CLIENT").arg("TRACKING").arg("ON").arg("NOLOOP").to_owned();
        track.query_async::<()>(&mut connection).await.map_err(|error| {
            let fault = books.link.fault(&error);
            if fault.kind() == FaultKind::Connection {
                return BrokerError::from(fault);
            }
            let why = format!(
                "the server does not tell of changes (CLIENT TRACKING, Redis 6 or later): {error}"
            );
            Fault::refused(books.link.shown(), why).into()
        })?;
        let queues = in_order(&books, queues.to_vec());
        let contact = Contact::new(check_interval(&books));
        Ok(Self {
            books,
            bindings,
            queues,
            prefetch,
            slots: Arc::default(),
            connection,
            changes,
            contact,
            asked: 0,
            more: false,
            gathers_until: None,
            fetch: None,
            is_stale: false,
        })
    }

    fn room(&self) -> usize {
        match self.prefetch {
            None => AT_ONCE,
            Some(most) => {
                let most = usize::try_from(most.get()).unwrap_or(usize::MAX);
                most.saturating_sub(self.slots.out()).min(AT_ONCE)
            }
        }
    }

    /// Waits while less than half of the window is free and more is known to wait: one fetch for several messages
    /// costs the server little more than one for one. A message that arrives alone is never held up.
    async fn gather(&mut self) {
        let Some(window) = self.prefetch.filter(|_| self.more) else { return };
        let enough = usize::try_from(window.get().div_ceil(2)).unwrap_or(AT_ONCE).min(AT_ONCE);
        let until = *self.gathers_until.get_or_insert_with(|| Instant::now() + GATHERS_FOR);
        while self.room() < enough && Instant::now() < until {
            // What ended it is looked at in any case.
            let _ = timeout_at(until, self.slots.freed.notified()).await;
        }
        self.gathers_until = None;
    }

    /// Starts a fetch that does not depend on who waits for it.
    fn start_fetch(&self, room: usize) -> JoinHandle<Result<Batch, Fault>> {
        let (books, slots) = (Arc::clone(&self.books), Arc::clone(&self.slots));
        let (queues, connection) = (self.queues.clone(), self.connection.clone());
        tokio::spawn(fetch(books, slots, queues, connection, room))
    }

    /// After a hit, the queue that was served last moves behind the others.
    fn rotate(&mut self, last: &str) {
        if self.books.options.order == QueueOrder::RoundRobin
            && let Some(at) = self.queues.iter().position(|queue| queue.name == last)
        {
            let served = self.queues.remove(at);
            self.queues.push(served);
        }
    }

    /// Asks the server whether it is there, since nothing is fetched.
    async fn prove(&mut self) -> Result<(), Fault> {
        if self.contact.age() < self.contact.every() {
            return Ok(());
        }
        let answer = cmd("PING").query_async::<()>(&mut self.connection).await;
        answer.map_err(|error| self.books.link.fault(&error))?;
        self.contact.note();
        Ok(())
    }

    async fn pause(&self, freed: bool) {
        let limit = check_interval(&self.books);
        let happened = async {
            if freed {
                self.slots.freed.notified().await;
            } else {
                self.changes.happened.notified().await;
            }
        };
        // After a while without news the next fetch also shows whether the server still answers.
        let _ = timeout(limit, happened).await;
    }
}

#[async_trait]
impl Consumer for RedisConsumer {
    async fn next(&mut self) -> Result<Vec<Delivery>, BrokerError> {
        loop {
            self.bindings.keep().await?;
            if self.fetch.is_none() {
                if self.changes.lost.load(Ordering::Acquire) {
                    return Err(Fault::connection(
                        self.books.link.shown(),
                        "the server closed the connection",
                    )
                    .into());
                }
                let is_full = self.room() == 0;
                if is_full || self.queues.is_empty() {
                    self.prove().await?;
                    self.pause(is_full).await;
                    continue;
                }
                self.gather().await;
                let room = self.room();
                self.asked = room;
                self.is_stale = false;
                self.fetch = Some(self.start_fetch(room));
            }
            let Some(fetch) = &mut self.fetch else { continue };
            let fetched = fetch.await;
            self.fetch = None;
            let mut batch = match fetched {
                Ok(Ok(batch)) => {
                    self.contact.note();
                    batch
                }
                Ok(Err(fault)) => {
                    if fault.is_connection() {
                        self.changes.lost.store(true, Ordering::Release);
                    }
                    // What its reply would have brought is in the server's books under our name.
                    self.books.wake.notify_one();
                    return Err(fault.into());
                }
                Err(stopped) => return Err(BrokerError::other(stopped)),
            };
            let deliveries = std::mem::take(&mut batch.0);
            self.more = deliveries.len() == self.asked;
            match deliveries.last().map(|last| last.queue.clone()) {
                Some(last) => {
                    self.rotate(&last);
                    return Ok(deliveries);
                }
                None if self.is_stale => {}
                None => self.pause(false).await,
            }
        }
    }

    fn set_prefetch(&mut self, prefetch: Prefetch) {
        self.prefetch = prefetch;
    }

    fn set_queues(&mut self, queues: &[Queue]) {
        self.bindings.set_queues(queues);
        // Those that stay keep their turn.
        self.queues.retain(|queue| queues.contains(queue));
        for queue in queues {
            if !self.queues.contains(queue) {
                self.queues.push(queue.clone());
            }
        }
        self.queues = in_order(&self.books, std::mem::take(&mut self.queues));
        self.is_stale = true;
    }

    fn contact(&self) -> Contact {
        self.contact.clone()
    }

    async fn close(mut self: Box<Self>) -> Result<(), BrokerError> {
        if let Some(fetch) = self.fetch.take() {
            match fetch.await {
                Ok(Ok(batch)) => drop(batch),
                Ok(Err(fault)) => tracing::debug!("the last fetch failed: {fault}"),
                Err(stopped) => tracing::debug!("the last fetch was stopped: {stopped}"),
            }
        }
        self.books.flush().await;
        Ok(())
    }
}

/// In what time the server is asked for something.
fn check_interval(books: &Books) -> Duration {
    books.link.options().health_check_interval.max(Duration::from_millis(100))
}

/// The order in which queues are first served.
fn in_order(books: &Books, mut queues: Vec<Queue>) -> Vec<Queue> {
    if books.options.order == QueueOrder::Sorted {
        queues.sort_by(|a, b| a.name.cmp(&b.name));
    }
    queues
}

async fn fetch(
    books: Arc<Books>,
    slots: Arc<Slots>,
    queues: Vec<Queue>,
    mut connection: MultiplexedConnection,
    room: usize,
) -> Result<Batch, Fault> {
    let keys = &books.options.keys;
    let lists: Vec<Vec<String>> =
        queues.iter().map(|queue| keys.lists(&queue.name).collect()).collect();
    let mut script = FETCH.prepare_invoke();
    script.key(books.keys()).key(keys.processes());
    for step in 0..keys.steps.len() {
        for lists in &lists {
            script.key(&lists[step]);
        }
    }
    let turns = if books.options.order == QueueOrder::RoundRobin { "turns" } else { "drain" };
    script
        .arg(room)
        .arg(format!("{:.6}", unix_seconds(clock::now())))
        .arg(turns)
        .arg(&books.process);
    script.arg(format!("malformed-{}", Uuid::new_v4()));
    for queue in &queues {
        script.arg(&queue.name);
    }
    // Until the tags are in our own books, nobody may take them for lost.
    let _under_way = books.fetching.read().await;
    let items: Vec<(usize, String, Bytes)> =
        script.invoke_async(&mut connection).await.map_err(|error| books.link.fault(&error))?;
    let mut expiring = HashMap::new();
    let deliveries = items.into_iter().filter_map(|(number, tag, item)| {
        let queue = queues.get(number)?;
        if let Some(expires) = queue.expires {
            expiring.insert(number, expires);
        }
        let (item, message) = entry::message(&item);
        let priority =
            message.as_ref().map_or(0, |message| message.properties.priority.unwrap_or(0));
        let out = Out { tag, queue: queue.name.clone(), item, priority, _slot: slots.take() };
        Some(Delivery::new(message, &queue.name, Box::new(Held::new(&books, out))))
    });
    let batch = Batch(deliveries.collect());
    if !expiring.is_empty() {
        // The queue is in use: what is left in it lives on.
        let mut pipeline = pipe();
        for (number, expires) in expiring {
            let expires = u64::try_from(expires.as_millis()).unwrap_or(u64::MAX);
            for list in &lists[number] {
                pipeline.cmd("PEXPIRE").arg(list).arg(expires).ignore();
            }
        }
        if let Err(error) = pipeline.query_async::<()>(&mut connection).await {
            tracing::debug!("could not renew the expiry of a queue: {error}");
        }
    }
    Ok(batch)
}
