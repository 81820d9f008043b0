//! The broker: queues and what binds them, and the way to consumers, subscriptions and the quarantine.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use celery_core::{
    broker::{
        Binding, Broker, BrokerError, Consumer, ExchangeKind, Prefetch, Publication, Quarantined,
        Queue, Scheduled, SharedSets, Subscription,
    },
    config::{Config, ServerUrl},
};
use deadpool_redis::redis::{Pipeline, cmd, pipe};
use tokio::time::Instant;

use crate::{
    address::Addresses,
    books::Books,
    connection::Link,
    consumer::RedisConsumer,
    error::{BadOption, Fault},
    fanout::RedisSubscription,
    gather::Gather,
    keys::Keys,
    options::BrokerOptions,
    publish::{Router, lanes::Lanes, mail::Mail},
    scheduled::scheduled,
    scripts::{BIND, SWEEP_BINDINGS},
};

/// A broker on a Redis server, for one process.
pub struct RedisBroker {
    link: Link,
    options: Arc<BrokerOptions>,
    router: Arc<Router>,
    /// Opened by the first consumer.
    books: Mutex<Option<Arc<Books>>>,
    outbox: Gather<Mail>,
}

impl fmt::Debug for RedisBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBroker").field("server", &self.link.shown()).finish_non_exhaustive()
    }
}

impl RedisBroker {
    fn binding(&self, exchange: &str, member: &str) -> Option<Binding> {
        let (routing_key, queue) = self.options.keys.parts(member)?;
        let own = str::to_owned;
        Some(Binding { queue: own(queue), exchange: own(exchange), routing_key: own(routing_key) })
    }

    /// Reads URLs and options; connects with the first command.
    ///
    /// # Errors
    /// [`BrokerError::Refused`] for an option or a part of a URL that cannot be used.
    pub fn new(urls: &[ServerUrl], config: &Config) -> Result<Self, BrokerError> {
        let addresses = Addresses::broker(urls, config)?;
        let options = BrokerOptions::read(config, &addresses.query, addresses.db)?;
        let link = Link::new(addresses, options.link.clone())?;
        let options = Arc::new(options);
        let router = Arc::new(Router::new(link.clone(), Arc::clone(&options)));
        Ok(Self { link, options, router, books: Mutex::default(), outbox: Gather::default() })
    }

    /// Connects, and shows that the server lets us in, and lets us run scripts, without which nothing is taken from it.
    pub(crate) async fn ping(&self) -> Result<(), BrokerError> {
        Ok(self.link.ask::<()>(cmd("EVAL").arg("return 1").arg(0)).await?)
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    pub(crate) fn options(&self) -> &BrokerOptions {
        &self.options
    }

    pub(crate) fn lanes(&self) -> &Arc<Lanes> {
        self.router.lanes()
    }

    pub(crate) fn router(&self) -> &Router {
        &self.router
    }

    /// Where those who publish meet.
    pub(crate) fn outbox(&self) -> &Gather<Mail> {
        &self.outbox
    }

    fn books(&self) -> Arc<Books> {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        match books.as_ref().filter(|books| !books.are_closed()) {
            Some(books) => Arc::clone(books),
            None => {
                let options = Arc::clone(&self.options);
                let router = Arc::clone(&self.router);
                Arc::clone(books.insert(Books::open(self.link.clone(), options, router)))
            }
        }
    }

    async fn declare_all(&self, queues: &[Queue]) -> Result<(), BrokerError> {
        let mut pipeline = pipe();
        let new: Vec<&Queue> = queues.iter().filter(|queue| !self.router.is_bound(queue)).collect();
        new.iter().for_each(|queue| self.router.bind(queue, &mut pipeline));
        if !new.is_empty() {
            self.link.insist::<()>(&pipeline).await?;
            new.into_iter().for_each(|queue| self.router.remember(queue.clone()));
        }
        Ok(())
    }

    fn bindings(&self, queues: &[Queue]) -> Bindings {
        Bindings::new(self.link.clone(), Arc::clone(&self.options), queues)
    }
}

#[async_trait]
impl Broker for RedisBroker {
    async fn publish(&self, batch: &[Publication]) -> Result<(), BrokerError> {
        self.publish_batch(batch).await
    }

    async fn declare(&self, queue: &Queue) -> Result<(), BrokerError> {
        self.declare_all(std::slice::from_ref(queue)).await
    }

    async fn delete(&self, queue: &Queue) -> Result<(), BrokerError> {
        self.router.known().remove(&queue.name);
        let mut pipeline = pipe();
        unbind(&self.options.keys, queue, &mut pipeline);
        pipeline.cmd("DEL").arg(self.options.keys.lists(&queue.name).collect::<Vec<_>>()).ignore();
        Ok(self.link.insist(&pipeline).await?)
    }

    async fn consume(
        &self,
        queues: &[Queue],
        prefetch: Prefetch,
    ) -> Result<Box<dyn Consumer>, BrokerError> {
        if let Some(queue) = queues.iter().find(|queue| queue.exchange.kind == ExchangeKind::Fanout)
        {
            let name = &queue.name;
            let why = format!(
                "queue `{name}` is bound to a fanout exchange, which keeps nothing; subscribe to it, or bind it to a direct exchange"
            );
            return Err(BadOption(why).into());
        }
        self.declare_all(queues).await?;
        Ok(Box::new(
            RedisConsumer::start(self.books(), self.bindings(queues), queues, prefetch).await?,
        ))
    }

    async fn subscribe(&self, queue: &Queue) -> Result<Box<dyn Subscription>, BrokerError> {
        let mut pipeline = pipe();
        self.router.bind(queue, &mut pipeline);
        self.link.insist::<()>(&pipeline).await?;
        let bindings = self.bindings(std::slice::from_ref(queue));
        let keys = &self.options.keys;
        let pattern = keys.channel_pattern(&queue.exchange, &queue.routing_key);
        Ok(Box::new(
            RedisSubscription::start(
                self.link.clone(),
                keys.clone(),
                bindings,
                queue.clone(),
                pattern,
            )
            .await?,
        ))
    }

    async fn queue_len(&self, queue: &str) -> Result<u64, BrokerError> {
        let mut pipeline = pipe();
        for list in self.options.keys.lists(queue) {
            pipeline.cmd("LLEN").arg(list);
        }
        let lengths: Vec<u64> = self.link.insist(&pipeline).await?;
        Ok(lengths.iter().sum())
    }

    async fn purge(&self, queue: &str) -> Result<u64, BrokerError> {
        let mut pipeline = pipe();
        pipeline.atomic();
        for list in self.options.keys.lists(queue) {
            // The server frees the list beside its work, so that a long one stops nobody.
            pipeline.cmd("LLEN").arg(&list).cmd("UNLINK").arg(&list).ignore();
        }
        let lengths: Vec<u64> = self.link.ask_all(&pipeline).await?;
        Ok(lengths.iter().sum())
    }

    async fn scheduled(
        &self,
        queues: &[String],
        limit: usize,
    ) -> Result<Vec<Scheduled>, BrokerError> {
        scheduled(&self.link, &self.options, queues, limit).await
    }

    async fn bindings(&self) -> Result<Vec<Binding>, BrokerError> {
        let keys = &self.options.keys;
        let (mut exchanges, mut cursor) = (BTreeSet::new(), 0_u64);
        loop {
            let mut scan = cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(keys.bindings_pattern()).arg("COUNT").arg(1000);
            let (next, found): (u64, Vec<String>) = self.link.ask(&scan).await?;
            exchanges.extend(found.iter().filter_map(|key| keys.exchange(key)).map(str::to_owned));
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        if exchanges.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = pipe();
        for exchange in &exchanges {
            pipeline.cmd("SMEMBERS").arg(keys.bindings(exchange));
        }
        let members: Vec<Vec<String>> = self.link.ask_all(&pipeline).await?;
        let bindings = exchanges.iter().zip(&members).flat_map(|(exchange, members)| {
            members.iter().filter_map(|member| self.binding(exchange, member))
        });
        Ok(bindings.collect::<BTreeSet<_>>().into_iter().collect())
    }

    async fn bound(&self, exchange: &str) -> Result<Vec<Binding>, BrokerError> {
        let mut members = cmd("SMEMBERS");
        members.arg(self.options.keys.bindings(exchange));
        let members: BTreeSet<String> = self.link.ask(&members).await?;
        Ok(members.iter().filter_map(|member| self.binding(exchange, member)).collect())
    }

    async fn quarantined(&self, queue: &str) -> Result<Vec<Quarantined>, BrokerError> {
        self.list_quarantined(queue).await
    }

    async fn requeue_quarantined(&self, queue: &str, ids: &[String]) -> Result<u64, BrokerError> {
        self.requeue(queue, ids).await
    }

    async fn drop_quarantined(&self, queue: &str, ids: &[String]) -> Result<u64, BrokerError> {
        self.discard(queue, ids).await
    }

    fn shared_sets(&self) -> Option<&dyn SharedSets> {
        Some(self)
    }

    async fn flush(&self) {
        let books = self.books.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(books) = books {
            books.flush().await;
        }
    }

    async fn close(&self) -> Result<(), BrokerError> {
        let books = self.books.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(books) = books
            && books.close().await
        {
            // Nothing is left for others to look after.
            self.link
                .ask::<()>(cmd("ZREM").arg(self.options.keys.processes()).arg(&books.process))
                .await?;
        }
        self.link.close().await;
        Ok(())
    }
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// For how long kombu keeps the bindings of a queue that expires.
fn binding_ttl(expires: Duration) -> Duration {
    (expires * 2).max(Duration::from_secs(3600))
}

pub(crate) fn bind(keys: &Keys, queue: &Queue, pipeline: &mut Pipeline) {
    let (exchange, member) = (&queue.exchange.name, keys.binding(queue));
    match queue.expires {
        Some(expires) => {
            let mut command = BIND.command(&[keys.bindings(exchange), keys.binding_deadlines()]);
            command.arg(member).arg(exchange).arg(millis(binding_ttl(expires)));
            pipeline.add_command(command).ignore();
        }
        None => {
            pipeline.cmd("SADD").arg(keys.bindings(exchange)).arg(&member).ignore();
            pipeline.cmd("SADD").arg(keys.permanent_bindings(exchange)).arg(&member).ignore();
        }
    }
}

pub(crate) fn unbind(keys: &Keys, queue: &Queue, pipeline: &mut Pipeline) {
    let (exchange, member) = (&queue.exchange.name, keys.binding(queue));
    pipeline.cmd("SREM").arg(keys.bindings(exchange)).arg(&member).ignore();
    pipeline.cmd("SREM").arg(keys.permanent_bindings(exchange)).arg(&member).ignore();
}

/// Keeps the bindings of queues that expire, while somebody listens to them.
pub(crate) struct Bindings {
    link: Link,
    options: Arc<BrokerOptions>,
    queues: Vec<Queue>,
    refresh_at: Instant,
    sweep_at: Instant,
}

impl Bindings {
    /// How often the bindings of others are looked at.
    const SWEEP_EVERY: Duration = Duration::from_secs(60);

    fn new(link: Link, options: Arc<BrokerOptions>, queues: &[Queue]) -> Self {
        let queues: Vec<Queue> =
            queues.iter().filter(|queue| queue.expires.is_some()).cloned().collect();
        let now = Instant::now();
        let mut this =
            Self { link, options, queues, refresh_at: now, sweep_at: now + Self::SWEEP_EVERY };
        this.refresh_at = now + this.refresh_every();
        this
    }

    /// Keeps those of these queues from now on.
    pub(crate) fn set_queues(&mut self, queues: &[Queue]) {
        let next = Self::new(self.link.clone(), Arc::clone(&self.options), queues);
        *self = Self { sweep_at: self.sweep_at, ..next };
    }

    fn refresh_every(&self) -> Duration {
        let ttls = self.queues.iter().filter_map(|queue| queue.expires).map(binding_ttl);
        ttls.min().unwrap_or(Duration::from_secs(3600)) / 3
    }

    /// Does what is due: our own bindings first, so that a sweep never takes them.
    ///
    /// # Cancel safety
    /// Cancel safe: both may be done twice.
    pub(crate) async fn keep(&mut self) -> Result<(), Fault> {
        let now = Instant::now();
        if self.queues.is_empty() || now < self.refresh_at.min(self.sweep_at) {
            return Ok(());
        }
        let keys = &self.options.keys;
        let mut pipeline = pipe();
        if now >= self.refresh_at {
            self.queues.iter().for_each(|queue| bind(keys, queue, &mut pipeline));
        }
        if now >= self.sweep_at {
            let mut command = SWEEP_BINDINGS.command(&[keys.binding_deadlines()]);
            command.arg(keys.bindings("")).arg(keys.permanent_bindings("")).arg(100);
            pipeline.add_command(command).ignore();
        }
        self.link.ask_all::<()>(&pipeline).await?;
        if now >= self.refresh_at {
            self.refresh_at = now + self.refresh_every();
        }
        if now >= self.sweep_at {
            self.sweep_at = now + Self::SWEEP_EVERY;
        }
        Ok(())
    }
}
