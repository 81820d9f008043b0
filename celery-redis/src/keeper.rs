//! Keeps the books in order while there is a consumer: says that we live, renews what we hold, puts back what is
//! overdue, what the dead have left, and what a lost reply has taken from us.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use celery_core::{broker::ExchangeKind, clock, date::unix_seconds};
use deadpool_redis::redis::{Cmd, cmd, pipe};
use tokio::{sync::Notify, time::Instant};

use crate::{
    books::Books,
    entry::Entry,
    error::Fault,
    scripts::{HEARTBEAT, PUT_BACK, RENEW, RESTORE},
};

/// How many entries are looked at in one go.
const AT_ONCE: usize = 500;

/// Runs until the books are gone.
pub(crate) async fn run(books: Weak<Books>, wake: Arc<Notify>) {
    let mut heartbeat_at = Instant::now();
    let mut renew_at = None;
    loop {
        let Some(books) = books.upgrade() else { return };
        let now = Instant::now();
        if heartbeat_at <= now {
            heartbeat_at = now + Duration::from_secs(books.options.worker_timeout.into()) / 3;
            noted("heartbeat", heartbeat(&books).await);
        }
        let renew_every = (books.options.visibility_timeout / 3).max(Duration::from_millis(10));
        let renew = *renew_at.get_or_insert(now + renew_every);
        if renew <= now {
            renew_at = Some(now + renew_every);
            noted("renewal", renew_held(&books).await);
        }
        noted("recovery", recover(&books).await);
        let next_due = match restore(&books).await {
            Ok(next_due) => next_due,
            Err(fault) => {
                tracing::warn!("could not look for overdue messages: {fault}");
                Some(Duration::from_secs(1))
            }
        };
        let look_at =
            Instant::now() + next_due.unwrap_or(Duration::MAX).min(books.options.restore_interval);
        let until = look_at.min(heartbeat_at).min(renew_at.unwrap_or(look_at));
        // Nobody may find the books alive because we sleep.
        drop(books);
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            () = wake.notified() => {}
        }
    }
}

fn noted(what: &str, outcome: Result<(), Fault>) {
    if let Err(fault) = outcome {
        tracing::warn!("the {what} failed and will be tried again: {fault}");
    }
}

async fn heartbeat(books: &Books) -> Result<(), Fault> {
    let keys = &books.options.keys;
    let mut command =
        HEARTBEAT.command(&[keys.processes(), keys.held(&books.process), keys.unacked_index()]);
    command.arg(&books.process).arg(keys.held("")).arg(books.options.worker_timeout);
    // Whoever gets a message that its holder did not renew gets it a visibility timeout later, at the soonest. Half of
    // that is left to clocks that differ.
    command.arg(keys.taken("")).arg(1.0 + books.options.visibility_timeout.as_secs_f64() / 2.0);
    let inherited: Vec<String> = books.link.ask(&command).await?;
    if !inherited.is_empty() {
        tracing::warn!("putting back {} messages of a worker that died", inherited.len());
    }
    put_back(books, &inherited).await
}

async fn renew_held(books: &Books) -> Result<(), Fault> {
    let tags: Vec<String> = books.held().iter().cloned().collect();
    let now = format!("{:.6}", unix_seconds(clock::now()));
    let mut pipeline = pipe();
    for chunk in tags.chunks(AT_ONCE) {
        let keys = [books.options.keys.unacked_index(), books.options.keys.held(&books.process)];
        let mut command = RENEW.command(&keys);
        command.arg(&now).arg(chunk);
        pipeline.add_command(command).ignore();
    }
    if tags.is_empty() { Ok(()) } else { books.link.ask_all(&pipeline).await }
}

/// Puts back what the server has for us and we do not know: the reply of a fetch was lost, or a settlement failed.
async fn recover(books: &Books) -> Result<(), Fault> {
    let set = books.options.keys.held(&books.process);
    let there: usize = books.link.ask(cmd("SCARD").arg(&set)).await?;
    if there <= books.held().len() {
        return Ok(());
    }
    let unknown: Vec<String> = {
        // No reply is under way while this is locked.
        let _quiet = books.fetching.write().await;
        let there: Vec<String> = books.link.ask(cmd("SMEMBERS").arg(&set)).await?;
        let held = books.held();
        there.into_iter().filter(|tag| !held.contains(tag)).collect()
    };
    put_back(books, &unknown).await
}

/// Puts messages back that are ours in the server's books.
async fn put_back(books: &Books, tags: &[String]) -> Result<(), Fault> {
    for chunk in tags.chunks(AT_ONCE) {
        let entries: Vec<Option<Vec<u8>>> =
            books.link.ask(cmd("HMGET").arg(books.options.keys.unacked()).arg(chunk)).await?;
        let mut pipeline = pipe();
        for (tag, entry) in chunk.iter().zip(entries) {
            match entry.as_deref().map(Entry::read) {
                Some(Some(entry)) => {
                    let mut keys = books.keys();
                    keys.push(books.options.keys.list(&entry.routing_key, entry.priority()));
                    pipeline.add_command(
                        PUT_BACK
                            .command(&keys)
                            .arg(tag)
                            .arg(entry.into_item())
                            .arg("RPUSH")
                            .to_owned(),
                    );
                }
                // Settled or put back by somebody else, or nothing of ours: only our claim to it goes.
                None | Some(None) => {
                    pipeline.add_command(
                        cmd("SREM")
                            .arg(books.options.keys.held(&books.process))
                            .arg(tag)
                            .to_owned(),
                    );
                }
            }
            pipeline.ignore();
        }
        books.link.insist::<()>(&pipeline).await?;
    }
    Ok(())
}

/// Puts back what is overdue, and says how long it is until the next entry will be.
///
/// Python's sweep may do the same at the same time: each message goes back once, since both check, in the same step,
/// that the entry is still there.
async fn restore(books: &Books) -> Result<Option<Duration>, Fault> {
    let (index, unacked) = (books.options.keys.unacked_index(), books.options.keys.unacked());
    let visibility_timeout = books.options.visibility_timeout.as_secs_f64();
    let limit = books
        .options
        .restore_limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(AT_ONCE);
    loop {
        let ceiling = format!("{:.6}", unix_seconds(clock::now()) - visibility_timeout);
        let mut pipeline = pipe();
        let overdue = cmd("ZRANGEBYSCORE")
            .arg(&index)
            .arg("-inf")
            .arg(&ceiling)
            .arg("LIMIT")
            .arg(0)
            .arg(limit)
            .to_owned();
        pipeline.add_command(overdue);
        pipeline.add_command(cmd("ZRANGE").arg(&index).arg(0).arg(0).arg("WITHSCORES").to_owned());
        let (mut tags, first): (Vec<String>, Vec<(String, f64)>) =
            books.link.ask_all(&pipeline).await?;
        if tags.is_empty() {
            let due = |(_, score): &(String, f64)| {
                let wait = score + visibility_timeout - unix_seconds(clock::now());
                Duration::try_from_secs_f64(wait).unwrap_or_default().max(Duration::from_millis(1))
            };
            return Ok(first.first().map(due));
        }
        // Each goes in front of the one before, so that the earliest is served first.
        tags.reverse();
        let entries: Vec<Option<Vec<u8>>> =
            books.link.ask(cmd("HMGET").arg(&unacked).arg(&tags)).await?;
        let mut bindings = HashMap::new();
        let mut pipeline = pipe();
        for (tag, raw) in tags.iter().zip(&entries) {
            let mut keys = vec![unacked.clone(), index.clone()];
            let item = match raw.as_deref().map(Entry::read) {
                Some(Some(entry)) => {
                    keys.extend(targets(books, &entry, &mut bindings).await?);
                    entry.into_item()
                }
                Some(None) => {
                    tracing::warn!("the entry {tag} of {unacked} is no message and stays there");
                    continue;
                }
                None => Vec::new(),
            };
            let raw = raw.as_deref().unwrap_or_default();
            pipeline.add_command(
                RESTORE.command(&keys).arg(tag).arg(&ceiling).arg(raw).arg(item).to_owned(),
            );
        }
        if pipeline.is_empty() {
            return Ok(Some(books.options.restore_interval));
        }
        let restored: Vec<u32> = books.link.insist(&pipeline).await?;
        tracing::debug!(
            "put back {} messages that were due or abandoned",
            restored.iter().sum::<u32>()
        );
        if restored.len() < limit || books.options.restore_limit.is_some() {
            return Ok(Some(Duration::from_millis(1)));
        }
    }
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
