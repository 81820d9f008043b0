//! Puts back what is due, and what was abandoned, and wakes exactly when the next message is due.
//!
//! A message that was [deferred](entry::deferred) by one of ours goes back to its queue as it is, in one script for many.
//! Whatever else is overdue was delivered to somebody and neither settled nor renewed for a visibility timeout: kombu's
//! rule, which is Python's workers' protection too.
//!
//! Any process may do it at any time, and nothing is done twice. Each looks at the index once in a while; of those that
//! see the same next message, one claims it (see `restore.lua`) and sets its alarm, and the others sleep on. Who defers a
//! message that is due before its own next look, looks at once. Nothing is kept in memory but the time of that look.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use celery_core::{
    broker::ExchangeKind,
    clock,
    date::{self, unix_seconds},
};
use deadpool_redis::redis::{Cmd, pipe};
use jiff::{Timestamp, tz::TimeZone};
use tokio::{sync::Notify, time::Instant};

use crate::{
    books::Books,
    entry::{self, Entry},
    error::Fault,
    scripts::{RESTORE, RESTORE_ONE},
};

/// How many entries are put back in one step of the server.
const AT_ONCE: usize = 500;

/// When this process looks again at what is due.
#[derive(Debug)]
pub(crate) struct Alarm {
    /// In microseconds of Unix time; the end of time while it looks, since what it will have seen is not known yet.
    at: AtomicI64,
    rings: Notify,
}

impl Alarm {
    pub(crate) fn new() -> Self {
        Self { at: AtomicI64::new(i64::MAX), rings: Notify::new() }
    }

    /// Something is due then: a look that would come too late is brought forward.
    pub(crate) fn due(&self, due: Timestamp) {
        if due.as_microsecond() < self.at.load(Ordering::SeqCst) {
            self.ring();
        }
    }

    /// Looks at once.
    pub(crate) fn ring(&self) {
        self.rings.notify_one();
    }
}

/// Runs until the books are gone.
pub(crate) async fn run(books: Weak<Books>, alarm: Arc<Alarm>) {
    loop {
        let Some(books) = books.upgrade() else { return };
        alarm.at.store(i64::MAX, Ordering::SeqCst);
        let (began, clock_then) = (Instant::now(), clock::now());
        let wait = match restore(&books).await {
            Ok(wait) => wait,
            Err(fault) => {
                tracing::warn!("could not look for messages that are due: {fault}");
                Duration::from_secs(1)
            }
        };
        let at = clock_then.checked_add(wait).unwrap_or(Timestamp::MAX);
        alarm.at.store(at.as_microsecond(), Ordering::SeqCst);
        // Nobody may find the books alive because we sleep.
        drop(books);
        tokio::select! {
            () = tokio::time::sleep_until(began + wait) => {}
            () = alarm.rings.notified() => {}
        }
    }
}

/// Puts back what is due or abandoned, and says how long it is until the next look, from when this one began.
async fn restore(books: &Books) -> Result<Duration, Fault> {
    let options = &books.options;
    let limit = options.restore_limit.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(AT_ONCE).min(AT_ONCE);
    loop {
        let ceiling = seconds(clock::now(), -options.visibility_timeout.as_secs_f64());
        let keys = [options.keys.unacked(), options.keys.unacked_index(), options.keys.next_due()];
        let mut command = RESTORE.command(&keys);
        command.arg(&ceiling).arg(limit).arg(&options.keys.prefix).arg(&options.keys.sep);
        let interval = u64::try_from(options.restore_interval.as_millis()).unwrap_or(u64::MAX);
        let lead = lead(options.visibility_timeout);
        command.arg(&books.process).arg(interval.max(1)).arg(lead.as_millis().to_string());
        command.arg(&options.keys.steps);
        let mut pipeline = pipe();
        pipeline.add_command(command);
        let (answer,): (Answer,) = books.link.ask_all(&pipeline).await?;
        let (looked_at, wait, unread, ahead) = answer;
        let unread_entries = unread.len();
        read_and_restore(books, &ceiling, unread).await?;
        if looked_at > unread_entries {
            tracing::debug!("put back {} messages that were due", looked_at - unread_entries);
        }
        let postponed = postpone(books, ahead, lead).await?;
        if looked_at < limit && postponed == 0 {
            return Ok(Duration::from_millis(wait));
        }
    }
}

/// How many entries were looked at, for how many milliseconds to wait, and tag and entry of those that are to be read, since
/// they are overdue or will be in a moment.
type Answer = (usize, u64, Vec<(String, Vec<u8>)>, Vec<(String, Vec<u8>)>);

/// How long before it is overdue a message is read that nobody of ours deferred: Python looks at what is overdue too.
fn lead(visibility_timeout: Duration) -> Duration {
    (visibility_timeout / 5).min(Duration::from_secs(1))
}

/// Lets those wait that a Python worker keeps for their `eta`, before anybody takes them for abandoned. Returns how many
/// there were.
async fn postpone(
    books: &Books,
    ahead: Vec<(String, Vec<u8>)>,
    lead: Duration,
) -> Result<u64, Fault> {
    let keys = [books.options.keys.unacked(), books.options.keys.unacked_index()];
    let visibility_timeout = books.options.visibility_timeout.as_secs_f64();
    let until = seconds(clock::now(), 2.0 * lead.as_secs_f64() - visibility_timeout);
    let mut pipeline = pipe();
    for (tag, raw) in &ahead {
        let entry = Entry::read(raw);
        if let Some(delivered_at) = entry.and_then(|entry| waits_elsewhere(books, &entry)) {
            let mut command = RESTORE_ONE.command(&keys);
            command.arg(tag).arg(&until).arg(raw).arg(delivered_at);
            pipeline.add_command(command);
        }
    }
    if pipeline.is_empty() {
        return Ok(0);
    }
    let postponed: Vec<u64> = books.link.insist(&pipeline).await?;
    Ok(postponed.iter().sum())
}

/// Puts back what nobody of ours deferred.
///
/// Python's sweep may do the same at the same time: each message goes back once, since both check, in the same step, that
/// the entry is still there.
async fn read_and_restore(
    books: &Books,
    ceiling: &str,
    unread: Vec<(String, Vec<u8>)>,
) -> Result<(), Fault> {
    if unread.is_empty() {
        return Ok(());
    }
    let mut bindings = HashMap::new();
    let mut pipeline = pipe();
    for (tag, raw) in &unread {
        let mut keys = vec![books.options.keys.unacked(), books.options.keys.unacked_index()];
        let argument = match Entry::read(raw) {
            None => {
                let unacked = &keys[0];
                tracing::warn!("the entry {tag} of {unacked} is no message and stays there");
                seconds(clock::now(), 0.0).into_bytes()
            }
            Some(entry) if entry::is_deferred(raw) => {
                keys.extend(targets(books, &entry, &mut bindings).await?);
                entry.into_item()
            }
            Some(entry) => match waits_elsewhere(books, &entry) {
                Some(delivered_at) => delivered_at.into_bytes(),
                None => {
                    tracing::warn!("putting back the message {tag}, which was abandoned");
                    keys.extend(targets(books, &entry, &mut bindings).await?);
                    entry.into_lost_item()
                }
            },
        };
        let mut command = RESTORE_ONE.command(&keys);
        pipeline.add_command(command.arg(tag).arg(ceiling).arg(raw).arg(argument).to_owned());
        pipeline.ignore();
    }
    books.link.insist::<()>(&pipeline).await
}

/// When a message that a Python worker keeps in its memory until its `eta` counts as delivered: at its `eta`, or so much later
/// that the worker has the time of a silent one at least, since many may be due at once. Put back earlier, it would be run
/// twice.
fn waits_elsewhere(books: &Books, entry: &Entry) -> Option<String> {
    let eta = entry.envelope["headers"]["eta"].as_str()?;
    let eta = date::parse(eta, &TimeZone::UTC).ok().filter(|eta| *eta > clock::now())?;
    let silent = f64::from(books.options.worker_timeout);
    Some(seconds(eta, (silent - books.options.visibility_timeout.as_secs_f64()).max(0.0)))
}

fn seconds(at: Timestamp, and: f64) -> String {
    format!("{:.6}", unix_seconds(at) + and)
}

/// The lists that a message goes back to.
///
/// An entry of ours names its queue. Python's may name an exchange: then it is its bindings that count, and where
/// there are none, the message goes to the queue that is called like its routing key, as Celery's queues are, rather
/// than nowhere.
async fn targets(
    books: &Books,
    entry: &Entry,
    bindings: &mut HashMap<String, Vec<String>>,
) -> Result<Vec<String>, Fault> {
    let keys = &books.options.keys;
    let list = |queue: &str| keys.list(queue, entry.priority());
    if entry.exchange.is_empty() {
        return Ok(vec![list(&entry.routing_key)]);
    }
    if !bindings.contains_key(&entry.exchange) {
        let members =
            books.link.ask(Cmd::new().arg("SMEMBERS").arg(keys.bindings(&entry.exchange))).await?;
        bindings.insert(entry.exchange.clone(), members);
    }
    let bound = bindings[&entry.exchange].iter().filter_map(|binding| {
        let topic = binding.split(&keys.sep).nth(1).is_some_and(|pattern| !pattern.is_empty());
        let kind = if topic { ExchangeKind::Topic } else { ExchangeKind::Direct };
        keys.bound(binding, kind, &entry.routing_key)
    });
    let mut lists: Vec<String> = bound.map(list).collect();
    if lists.is_empty() {
        lists.push(list(&entry.routing_key));
    }
    Ok(lists)
}
