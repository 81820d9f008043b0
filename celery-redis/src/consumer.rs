//! Takes messages from queues: fetches what is there, and waits without polling when there is nothing.

use std::{
    fmt, mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use celery_core::broker::{BrokerError, Consumer, Contact, Delivery, Prefetch, Queue};
use deadpool_redis::redis::{PushKind, aio::MultiplexedConnection, cmd};
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};

use crate::{
    books::Books,
    broker::Bindings,
    error::{Fault, FaultKind},
    fetch::{Batch, Fetch, Sources},
    held::Slots,
    options::QueueOrder,
    scripts,
};

/// How many messages are fetched at once where the prefetch allows more.
const AT_ONCE: usize = 500;

/// For how long a consumer of a queue that is not empty lets room gather, rather than fetch one by one.
const GATHERS_FOR: Duration = Duration::from_millis(1);

/// How long it is waited for a server that is away when a consumer is closed.
const CLOSING: Duration = Duration::from_secs(5);

/// Takes deliveries from Redis queues.
pub(crate) struct RedisConsumer {
    books: Arc<Books>,
    bindings: Bindings,
    /// The queues, the one to serve first in front.
    queues: Vec<Queue>,
    prefetch: Prefetch,
    slots: Arc<Slots>,
    sources: Arc<Sources>,
    connection: MultiplexedConnection,
    changes: Arc<Changes>,
    contact: Contact,
    /// How many messages the last fetch asked for.
    asked: usize,
    /// Whether the last fetch brought all that there was room for, so that there is likely more.
    more: bool,
    /// When the last fetch left nothing in the queues, of which the server tells when that changes.
    emptied_at: Option<Instant>,
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
        // What is known to the server need not be sent. It may forget, and is told again then.
        let loaded = scripts::load(&mut connection).await;
        loaded.map_err(|error| books.link.fault(&error))?;
        let queues = in_order(&books, queues.to_vec());
        let sources = Arc::new(Sources::new(&books, &queues));
        // What others have left is looked for at once.
        books.wake.notify_one();
        let contact = Contact::new(check_interval(&books));
        Ok(Self {
            books,
            bindings,
            queues,
            prefetch,
            slots: Arc::default(),
            sources,
            connection,
            changes,
            contact,
            asked: 0,
            more: false,
            emptied_at: None,
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

    /// For how many messages a fetch is worth its while where more is known to wait: one for several costs the server
    /// little more than one for one.
    fn enough(&self) -> usize {
        let half = self.prefetch.map_or(u32::MAX, |window| window.get().div_ceil(2));
        usize::try_from(half).unwrap_or(AT_ONCE).min(AT_ONCE)
    }

    /// Waits while there is less room than is enough and more is known to wait. A message that arrives alone is never
    /// held up.
    async fn gather(&mut self) {
        if !self.more {
            return;
        }
        let until = *self.gathers_until.get_or_insert_with(|| Instant::now() + GATHERS_FOR);
        while self.room() < self.enough() && Instant::now() < until {
            // What ended it is looked at in any case.
            let _ = timeout_at(until, self.slots.freed.notified()).await;
        }
        self.gathers_until = None;
    }

    /// Starts a fetch that does not depend on who waits for it.
    fn start_fetch(&mut self, room: usize) {
        self.asked = room;
        self.is_stale = false;
        self.emptied_at = None;
        let (books, slots) = (Arc::clone(&self.books), Arc::clone(&self.slots));
        let (sources, connection) = (Arc::clone(&self.sources), self.connection.clone());
        let fetch = Fetch { books, slots, sources, connection };
        self.fetch = Some(tokio::spawn(fetch.run(room)));
    }

    /// After a hit, the queue that was served last moves behind the others.
    fn rotate(&mut self, last: &str) {
        if self.books.options.order == QueueOrder::RoundRobin
            && self.queues.len() > 1
            && let Some(at) = self.queues.iter().position(|queue| queue.name == last)
        {
            let served = self.queues.remove(at);
            self.queues.push(served);
            self.sources = Arc::new(Sources::new(&self.books, &self.queues));
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
        // After a while without news the next look also shows whether the server still answers.
        let _ = timeout(limit, happened).await;
    }

    /// Waits for news of queues that were emptied then, also over calls of `next` that were dropped. After a while without
    /// any the next fetch also shows whether the server still answers.
    async fn wait_for_news(&mut self, emptied_at: Instant) {
        let until = emptied_at + check_interval(&self.books);
        let _ = timeout_at(until, self.changes.happened.notified()).await;
        self.emptied_at = None;
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
                if let Some(emptied_at) = self.emptied_at {
                    self.wait_for_news(emptied_at).await;
                    continue;
                }
                self.gather().await;
                self.start_fetch(self.room());
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
            let deliveries = mem::take(&mut batch.0);
            self.more = deliveries.len() == self.asked;
            if !self.more && !self.is_stale {
                self.emptied_at = Some(Instant::now());
            }
            if let Some(last) = deliveries.last().map(|last| last.queue.clone()) {
                self.rotate(&last);
                // The next one is under way while these are run.
                let room = self.room();
                if self.more && room >= self.enough() {
                    self.start_fetch(room);
                }
                return Ok(deliveries);
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
        self.queues = in_order(&self.books, mem::take(&mut self.queues));
        self.sources = Arc::new(Sources::new(&self.books, &self.queues));
        self.is_stale = true;
        self.emptied_at = None;
    }

    fn contact(&self) -> Contact {
        self.contact.clone()
    }

    async fn close(mut self: Box<Self>) -> Result<(), BrokerError> {
        if let Some(fetch) = self.fetch.take() {
            let stop = fetch.abort_handle();
            match timeout(CLOSING, fetch).await {
                Ok(Ok(Ok(batch))) => drop(batch),
                Ok(Ok(Err(fault))) => tracing::debug!("the last fetch failed: {fault}"),
                Ok(Err(stopped)) => tracing::debug!("the last fetch was stopped: {stopped}"),
                // What it brings is put back by whoever lives.
                Err(_) => stop.abort(),
            }
        }
        if timeout(CLOSING, self.books.flush()).await.is_err() {
            tracing::debug!(
                "the server does not answer: what is to be put back waits until it does"
            );
        }
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
