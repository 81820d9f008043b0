//! The books of one named broker: its queues, bindings, listeners, and what was set aside.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Mutex,
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::{Notify, mpsc::UnboundedSender};

use super::{
    lock,
    queue::{MemoryQueue, steps},
};
use crate::{
    broker::{
        self, BrokerError, ExchangeKind, Keep, KeepFrom, Publication, Quarantined, Queue,
        Scheduled, Settlement,
    },
    clock,
    envelope::{self, BodyEncoding},
    expiring::ExpiringSet,
    ids,
    message::Message,
};

/// For how long the names are kept of what is published once: as long as results are where nothing is set.
const NAMES_KEPT: Duration = Duration::from_secs(86_400);

/// What all handles of one name share.
#[derive(Debug, Default)]
pub(super) struct Store {
    books: Mutex<Books>,
    /// Told whenever there is more to deliver, or a new time to wait for.
    pub(super) changed: Notify,
}

#[derive(Debug, Default)]
struct Books {
    queues: HashMap<String, MemoryQueue>,
    /// By exchange.
    bindings: HashMap<String, HashSet<Binding>>,
    /// By fanout exchange.
    listeners: HashMap<String, Vec<Listener>>,
    /// By queue.
    quarantined: HashMap<String, Vec<Quarantined>>,
    /// By the name of the set.
    sets: HashMap<String, ExpiringSet>,
    /// The names of what is published once.
    names: ExpiringSet,
}

#[derive(Debug)]
struct Listener {
    /// What it wants to hear, as a pattern of routing keys.
    routing_key: String,
    ear: UnboundedSender<Message>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Binding {
    queue: String,
    kind: ExchangeKind,
    routing_key: String,
}

/// What a consumer gets when it asks.
#[derive(Debug)]
pub(super) enum Taken {
    /// The messages, each with the queue that it is from; at least one.
    Messages(Vec<(String, Message)>),
    /// There is none; the first of the deferred ones is due then.
    Nothing(Option<Timestamp>),
}

impl Store {
    pub(super) fn publish(&self, batch: &[Publication]) -> Result<(), BrokerError> {
        let mut books = lock(&self.books);
        let published = batch.iter().try_for_each(|publication| books.publish(publication));
        drop(books);
        // Those before one that is unroutable are in their queues.
        self.changed.notify_waiters();
        published
    }

    pub(super) fn declare(&self, queue: &Queue) {
        let mut books = lock(&self.books);
        books.queues.entry(queue.name.clone()).or_default();
        if !queue.exchange.name.is_empty() {
            books.bindings.entry(queue.exchange.name.clone()).or_default().insert(Binding {
                queue: queue.name.clone(),
                kind: queue.exchange.kind,
                routing_key: queue.routing_key.clone(),
            });
        }
    }

    pub(super) fn delete(&self, queue: &Queue) {
        let mut books = lock(&self.books);
        books.queues.remove(&queue.name);
        books.bindings.retain(|_, bindings| {
            bindings.retain(|binding| binding.queue != queue.name);
            !bindings.is_empty()
        });
    }

    pub(super) fn listen(&self, queue: &Queue, ear: UnboundedSender<Message>) {
        let mut books = lock(&self.books);
        let listeners = books.listeners.entry(queue.exchange.name.clone()).or_default();
        listeners.retain(|listener| !listener.ear.is_closed());
        listeners.push(Listener { routing_key: queue.routing_key.clone(), ear });
    }

    /// Forgets the listeners of the exchange that have hung up.
    pub(super) fn sweep_listeners(&self, exchange: &str) {
        let mut books = lock(&self.books);
        if let Some(listeners) = books.listeners.get_mut(exchange) {
            listeners.retain(|listener| !listener.ear.is_closed());
            if listeners.is_empty() {
                books.listeners.remove(exchange);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn listeners(&self, exchange: &str) -> usize {
        lock(&self.books).listeners.get(exchange).map_or(0, Vec::len)
    }

    pub(super) fn queue_len(&self, queue: &str) -> usize {
        lock(&self.books).awake(queue).map_or(0, |queue| queue.len())
    }

    pub(super) fn purge(&self, queue: &str) -> usize {
        let mut books = lock(&self.books);
        let Some(queue) = books.awake(queue) else { return 0 };
        let dropped = queue.len();
        queue.clear();
        dropped
    }

    pub(super) fn scheduled(&self, queues: &[String], limit: usize) -> Vec<Scheduled> {
        let mut books = lock(&self.books);
        let mut scheduled = Vec::new();
        for name in queues {
            let Some(queue) = books.awake(name) else { continue };
            let waiting = queue.deferred().map(|(due, message)| (due, message.clone()));
            scheduled
                .extend(waiting.filter_map(|(due, message)| Scheduled::new(name, due, message)));
        }
        scheduled.sort_by_key(|waits| waits.due);
        scheduled.truncate(limit);
        scheduled
    }

    pub(super) fn bindings(&self) -> Vec<broker::Binding> {
        let books = lock(&self.books);
        let bindings = books.bindings.iter().flat_map(|(exchange, bindings)| {
            bindings.iter().map(|binding| broker::Binding {
                queue: binding.queue.clone(),
                exchange: exchange.clone(),
                routing_key: binding.routing_key.clone(),
            })
        });
        bindings.collect::<BTreeSet<_>>().into_iter().collect()
    }

    pub(super) fn quarantined(&self, queue: &str) -> Vec<Quarantined> {
        lock(&self.books).quarantined.get(queue).cloned().unwrap_or_default()
    }

    /// Returns how many there were.
    pub(super) fn requeue_quarantined(&self, queue: &str, ids: &[String]) -> usize {
        let mut books = lock(&self.books);
        let taken = books.take_quarantined(queue, ids);
        for kept in &taken {
            // Each was a message when it was set aside.
            if let Ok(mut message) = kept.message() {
                message.properties.delivery_info.delivery_count = 0;
                books.queue(queue).push_back(message);
            }
        }
        drop(books);
        self.changed.notify_waiters();
        taken.len()
    }

    /// Returns what there was.
    pub(super) fn drop_quarantined(&self, queue: &str, ids: &[String]) -> Vec<Quarantined> {
        lock(&self.books).take_quarantined(queue, ids)
    }

    pub(super) fn remember(&self, set: &str, members: &[String], keep: Keep) {
        let now = clock::now();
        let mut books = lock(&self.books);
        let last_due = books.queues.values().filter_map(MemoryQueue::last_due).max();
        let from = match keep.from {
            KeepFrom::Now => now,
            KeepFrom::LastDue => last_due.map_or(now, |due| due.max(now)),
        };
        let until = from.checked_add(keep.time).unwrap_or(Timestamp::MAX);
        let set = books.sets.entry(set.to_owned()).or_default();
        members.iter().for_each(|member| set.insert(member.clone(), until, keep.most, now));
    }

    pub(super) fn remembered(&self, set: &str) -> Vec<String> {
        let books = lock(&self.books);
        let members = books.sets.get(set).into_iter().flat_map(|set| set.iter(clock::now()));
        members.map(str::to_owned).collect()
    }

    pub(super) fn remembers(&self, set: &str, asked: &[String]) -> Vec<String> {
        let books = lock(&self.books);
        let Some(set) = books.sets.get(set) else { return Vec::new() };
        let now = clock::now();
        asked.iter().filter(|member| set.has(member, now)).cloned().collect()
    }

    /// Takes up to so many messages: the most urgent first, and among queues in turn. The queue that was served last
    /// is moved to the end of `queues`.
    pub(super) fn take(&self, queues: &mut [String], room: usize) -> Taken {
        let mut books = lock(&self.books);
        let now = clock::now();
        let mut next_due = None;
        for name in queues.iter() {
            if let Some(queue) = books.queues.get_mut(name) {
                queue.wake_deferred(now);
                next_due = queue.next_due().into_iter().chain(next_due).min();
            }
        }
        let mut messages = Vec::new();
        for step in steps() {
            while messages.len() < room {
                let popped = queues.iter().enumerate().find_map(|(at, name)| {
                    let message = books.queues.get_mut(name)?.pop(step)?;
                    Some((at, message))
                });
                let Some((at, message)) = popped else { break };
                messages.push((queues[at].clone(), message));
                queues[at..].rotate_left(1);
            }
        }
        if messages.is_empty() { Taken::Nothing(next_due) } else { Taken::Messages(messages) }
    }

    pub(super) fn settle(&self, queue: &str, message: Message, how: Settlement) {
        lock(&self.books).settle(queue, message, how);
        self.changed.notify_waiters();
    }

    /// Does both; or neither, and the message goes back to its queue.
    pub(super) fn settle_and_publish(
        &self,
        queue: &str,
        message: Message,
        how: Settlement,
        batch: &[Publication],
    ) -> Result<(), BrokerError> {
        let mut books = lock(&self.books);
        let mut done = batch.iter().try_for_each(|it| books.targets(it).map(drop));
        books.settle(queue, message, if done.is_ok() { how } else { Settlement::HandBack });
        if done.is_ok() {
            done = batch.iter().try_for_each(|publication| books.publish(publication));
        }
        drop(books);
        self.changed.notify_waiters();
        done
    }
}

impl Books {
    /// The queue, made when it is not there: a message that was out when its queue was deleted is not lost.
    fn queue(&mut self, name: &str) -> &mut MemoryQueue {
        self.queues.entry(name.to_owned()).or_default()
    }

    /// The queue, with what is due by now among what waits.
    fn awake(&mut self, name: &str) -> Option<&mut MemoryQueue> {
        let queue = self.queues.get_mut(name)?;
        queue.wake_deferred(clock::now());
        Some(queue)
    }

    fn settle(&mut self, queue: &str, mut message: Message, how: Settlement) {
        match how {
            Settlement::Ack | Settlement::Reject => {}
            Settlement::Requeue => self.queue(queue).push_back(redelivered(message)),
            Settlement::HandBack => self.queue(queue).push_front(redelivered(message)),
            Settlement::Lost => {
                message.mark_lost();
                self.queue(queue).push_front(message);
            }
            Settlement::Defer(due) => self.queue(queue).defer(redelivered(message), due),
            Settlement::Quarantine(reason) => {
                // Its envelope is what would be found in the queue of a server.
                let raw = envelope::to_json(&message, BodyEncoding::Base64).into();
                let id = message.properties.delivery_tag;
                let quarantined =
                    Quarantined { id, queue: queue.to_owned(), reason, at: clock::now(), raw };
                self.quarantined.entry(queue.to_owned()).or_default().push(quarantined);
            }
        }
    }

    /// Takes out of the quarantine what has one of these ids.
    fn take_quarantined(&mut self, queue: &str, ids: &[String]) -> Vec<Quarantined> {
        let Some(kept) = self.quarantined.get_mut(queue) else { return Vec::new() };
        kept.extract_if(.., |kept| ids.contains(&kept.id)).collect()
    }

    /// The queues that a message is for: each once, also when it is bound twice.
    fn targets(&self, publication: &Publication) -> Result<BTreeSet<String>, BrokerError> {
        let Publication { exchange, routing_key, .. } = publication;
        if exchange.name.is_empty() {
            return Ok(BTreeSet::from([routing_key.clone()]));
        }
        let fanout = exchange.kind == ExchangeKind::Fanout;
        let bindings = self.bindings.get(&exchange.name).into_iter().flatten();
        let queues: BTreeSet<_> = bindings
            .filter(|binding| fanout || binding.kind.routes(&binding.routing_key, routing_key))
            .map(|binding| binding.queue.clone())
            .collect();
        if queues.is_empty() && !fanout {
            return Err(BrokerError::Unroutable {
                exchange: exchange.name.clone(),
                routing_key: routing_key.clone(),
            });
        }
        Ok(queues)
    }

    fn publish(&mut self, publication: &Publication) -> Result<(), BrokerError> {
        let Publication { exchange, routing_key, message } = publication;
        let now = clock::now();
        let name = message.once_named.as_ref();
        if name.is_some_and(|name| self.names.has(name, now)) {
            return Ok(());
        }
        for queue in self.targets(publication)? {
            self.queue(&queue).push_back(copy(message, &exchange.name, routing_key));
        }
        if exchange.kind == ExchangeKind::Fanout {
            let listeners = self.listeners.get(&exchange.name).into_iter().flatten();
            let hears = |it: &&Listener| ExchangeKind::Topic.routes(&it.routing_key, routing_key);
            for listener in listeners.filter(hears) {
                // One that has hung up meanwhile is swept by itself.
                _ = listener.ear.send(copy(message, &exchange.name, routing_key));
            }
        }
        if let Some(name) = name {
            let until = now.checked_add(NAMES_KEPT).unwrap_or(Timestamp::MAX);
            self.names.insert(name.clone(), until, usize::MAX, now);
        }
        Ok(())
    }
}

/// The copy of a message that goes to one queue.
fn copy(message: &Message, exchange: &str, routing_key: &str) -> Message {
    let mut copy = message.clone();
    copy.read_headers();
    let info = &mut copy.properties.delivery_info;
    exchange.clone_into(&mut info.exchange);
    routing_key.clone_into(&mut info.routing_key);
    info.redelivered = false;
    info.delivery_count = 0;
    copy.properties.delivery_tag = ids::random().to_string();
    copy
}

/// The message as kombu restores it.
fn redelivered(mut message: Message) -> Message {
    message.mark_redelivered();
    message
}
