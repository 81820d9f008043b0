//! One fetch: messages leave their queues for the books in one script, and become deliveries.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use celery_core::{
    broker::{Delivery, Queue},
    clock,
    date::unix_seconds,
};
use deadpool_redis::redis::{FromRedisValue, RedisResult, Value, aio::MultiplexedConnection, pipe};
use uuid::Uuid;

use crate::{
    books::Books,
    entry,
    error::Fault,
    held::{Fetched, Held, Place, Slots},
    options::{QueueOrder, Registry},
    scripts::{self, FETCH, TAKE},
};

/// The queues of a consumer in the order in which they are to be served, and their lists.
#[derive(Debug)]
pub(crate) struct Sources {
    queues: Vec<Queue>,
    /// For each priority step, those of all queues.
    lists: Vec<String>,
}

impl Sources {
    pub(crate) fn new(books: &Books, queues: &[Queue]) -> Self {
        let keys = &books.options.keys;
        let of: Vec<Vec<String>> =
            queues.iter().map(|queue| keys.lists(&queue.name).collect()).collect();
        let steps = 0..keys.steps.len();
        let lists = steps.flat_map(|step| of.iter().map(move |lists| lists[step].clone()));
        Self { queues: queues.to_vec(), lists: lists.collect() }
    }
}

/// Deliveries of one fetch. Those that nobody takes are handed back the last one first, which leaves them in order.
#[derive(Debug, Default)]
pub(crate) struct Batch(pub(crate) Vec<Delivery>);

impl Drop for Batch {
    fn drop(&mut self) {
        while self.0.pop().is_some() {}
    }
}

/// Who fetches, and over which connection.
pub(crate) struct Fetch {
    pub(crate) books: Arc<Books>,
    pub(crate) slots: Arc<Slots>,
    pub(crate) sources: Arc<Sources>,
    pub(crate) connection: MultiplexedConnection,
}

impl Fetch {
    /// Takes at most so many messages.
    pub(crate) async fn run(self, room: usize) -> Result<Batch, Fault> {
        match self.books.options.registry {
            Registry::Pending => self.take(room).await,
            Registry::Unacked => self.record(room).await,
        }
    }

    fn turns(&self) -> &'static str {
        if self.books.options.order == QueueOrder::RoundRobin { "turns" } else { "drain" }
    }

    /// Into batches of our own.
    async fn take(mut self, room: usize) -> Result<Batch, Fault> {
        let (keys, process) = (&self.books.options.keys, &self.books.process);
        let numbers = Numbers::new(&self.books, self.sources.queues.len());
        let mut command = TAKE.call_with(
            [&keys.pending(process), &keys.processes()].into_iter().chain(&self.sources.lists),
        );
        command.arg(room).arg(self.turns()).arg(process).arg(numbers.first);
        command.arg(keys.batch(process, ""));
        for queue in &self.sources.queues {
            let expires = queue.expires.map_or(0, |time| time.as_millis());
            command.arg(&queue.name).arg(u64::try_from(expires).unwrap_or(u64::MAX));
        }
        let reply = scripts::run(&mut self.connection, &command).await.and_then(parts);
        let parts = reply.map_err(|error| self.books.link.fault(&error))?;
        Ok(Batch(self.deliveries(parts, numbers)))
    }

    fn deliveries(&self, parts: Vec<(usize, Vec<Bytes>)>, mut numbers: Numbers) -> Vec<Delivery> {
        let total = parts.iter().map(|(_, items)| items.len()).sum();
        let mut deliveries = Vec::with_capacity(total);
        let mut batches: HashMap<usize, (Arc<Fetched>, u32)> = HashMap::new();
        for (number, items) in &parts {
            let Some(queue) = self.sources.queues.get(*number) else { continue };
            let batch = batches
                .entry(*number)
                .or_insert_with(|| (self.fetched(&queue.name, numbers.keep(*number)), 0));
            batch.1 += u32::try_from(items.len()).unwrap_or(u32::MAX);
        }
        for (from, messages) in batches.values_mut() {
            self.books.fetched(from, *messages as usize);
            *messages = 0;
        }
        for (number, items) in parts {
            let Some((from, next)) = batches.get_mut(&number) else { continue };
            for item in items {
                let (item, message) = entry::message(&item);
                let held = Held::new(from, Place::Batch(*next), item);
                *next += 1;
                deliveries.push(Delivery::new(message, &from.queue, Box::new(held)));
            }
        }
        deliveries
    }

    fn fetched(&self, queue: &str, number: u64) -> Arc<Fetched> {
        let (books, slots) = (Arc::clone(&self.books), Arc::clone(&self.slots));
        let silences = self.books.heard.silences();
        Arc::new(Fetched { books, slots, queue: queue.to_owned(), number, silences })
    }

    /// Into kombu's books.
    async fn record(mut self, room: usize) -> Result<Batch, Fault> {
        let (keys, queues) = (&self.books.options.keys, &self.sources.queues);
        let all = self.books.keys();
        let processes = keys.processes();
        let mut command =
            FETCH.call_with(all.iter().chain([&processes]).chain(&self.sources.lists));
        command
            .arg(room)
            .arg(format!("{:.6}", unix_seconds(clock::now())))
            .arg(self.turns())
            .arg(&self.books.process)
            .arg(format!("malformed-{}", Uuid::new_v4()));
        for queue in queues {
            command.arg(&queue.name);
        }
        // Until the tags are in our own books, nobody may take them for lost.
        let _under_way = self.books.fetching.read().await;
        let reply: RedisResult<Vec<(usize, String, Bytes)>> =
            scripts::run(&mut self.connection, &command).await;
        let items = reply.map_err(|error| self.books.link.fault(&error))?.into_iter();
        let mut batches: HashMap<usize, Arc<Fetched>> = HashMap::new();
        let deliveries = items.filter_map(|(number, tag, item)| {
            let queue = queues.get(number)?;
            let from = batches.entry(number).or_insert_with(|| self.fetched(&queue.name, 0));
            let (item, message) = entry::message(&item);
            self.books.held().insert(&tag);
            let held = Held::new(from, Place::Tag(tag), item);
            Some(Delivery::new(message, &queue.name, Box::new(held)))
        });
        let batch = Batch(deliveries.collect());
        // The queue is in use: what is left in it lives on.
        let mut pipeline = pipe();
        for (number, queue) in queues.iter().enumerate().filter(|(at, _)| batches.contains_key(at))
        {
            let Some(expires) = queue.expires else { continue };
            let expires = u64::try_from(expires.as_millis()).unwrap_or(u64::MAX);
            for list in self.sources.lists.iter().skip(number).step_by(queues.len()) {
                pipeline.cmd("PEXPIRE").arg(list).arg(expires).ignore();
            }
        }
        if !pipeline.is_empty()
            && let Err(error) = pipeline.query_async::<()>(&mut self.connection).await
        {
            tracing::debug!("could not renew the expiry of a queue: {error}");
        }
        Ok(batch)
    }
}

/// The numbers of batches that are being fetched: nobody takes them for lost meanwhile.
struct Numbers {
    books: Arc<Books>,
    first: u64,
    end: u64,
    kept: Vec<u64>,
}

impl Numbers {
    fn new(books: &Arc<Books>, queues: usize) -> Self {
        let queues = queues as u64;
        let first = books.number(queues);
        books.batches().extend(first..first + queues);
        Self { books: Arc::clone(books), first, end: first + queues, kept: Vec::new() }
    }

    /// The number of the batch of that queue, which is out from now on.
    fn keep(&mut self, queue: usize) -> u64 {
        let number = self.first + queue as u64;
        self.kept.push(number);
        number
    }
}

impl Drop for Numbers {
    fn drop(&mut self) {
        let mut batches = self.books.batches();
        for number in (self.first..self.end).filter(|number| !self.kept.contains(number)) {
            batches.remove(&number);
        }
    }
}

/// Reads numbers of queues, each with items.
fn parts(reply: Value) -> RedisResult<Vec<(usize, Vec<Bytes>)>> {
    let mut values = Vec::<Value>::from_redis_value(reply)?.into_iter();
    let mut parts = Vec::new();
    while let (Some(number), Some(items)) = (values.next(), values.next()) {
        let items = Vec::<Bytes>::from_redis_value(items)?;
        parts.push((usize::from_redis_value(number)?, items));
    }
    Ok(parts)
}
