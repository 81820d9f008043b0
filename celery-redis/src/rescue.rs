//! Gives back what others have lost: those who died, and replies that never came.
//!
//! A process that has been silent for `worker_timeout` is dead for those who live. Each of them may have been cut off
//! itself, though, and not the other: one that has just come back takes nothing over for as long as the others may need to
//! do the same.

use std::time::Duration;

use bytes::Bytes;
use deadpool_redis::redis::{InfoDict, cmd, pipe};
use tokio::time::Instant;

use crate::{
    books::Books,
    entry::{self, Entry},
    error::Fault,
    scripts::{HEARTBEAT, MOVE, RESCUE},
};

/// How many messages are looked at in one go.
const AT_ONCE: usize = 500;

/// How many messages of a batch are put back in one step, and how many batches are taken over in one.
const AT_A_STEP: usize = 100;

/// What is known of our own contact with the server.
#[derive(Debug, Default)]
pub(crate) struct Contact {
    /// The last sign of life that arrived.
    beat_at: Option<Instant>,
    /// Since when they have arrived without a gap.
    steady_since: Option<Instant>,
}

/// How long those who were cut off together may need to come back.
const COMING_BACK: Duration = Duration::from_secs(10);

impl Contact {
    /// How long it is until the silence of others is their own.
    pub(crate) fn steady_in(&self) -> Duration {
        let steady_for = self.steady_since.map_or(Duration::ZERO, |since| since.elapsed());
        COMING_BACK.saturating_sub(steady_for)
    }
}

/// Says that we live, and takes over and puts back what the dead have left.
pub(crate) async fn heartbeat(books: &Books, contact: &mut Contact) -> Result<(), Fault> {
    let keys = &books.options.keys;
    let timeout = Duration::from_secs(books.options.worker_timeout.into());
    let now = Instant::now();
    match contact.beat_at {
        None => {
            // Whoever has just started has seen no outage, but the server may have just come back.
            let up = uptime(books).await?.unwrap_or(COMING_BACK);
            contact.steady_since = now.checked_sub(up).or(Some(now));
        }
        Some(at) if now.duration_since(at) > timeout * 2 / 3 => contact.steady_since = Some(now),
        Some(_) => {}
    }
    let process = &books.process;
    let alive = [keys.processes(), keys.held(process), keys.unacked_index(), keys.pending(process)];
    loop {
        let first = books.number(AT_A_STEP as u64);
        let mut command = HEARTBEAT.command(&alive);
        let silence = if contact.steady_in().is_zero() { books.options.worker_timeout } else { 0 };
        command.arg(process).arg(keys.held("")).arg(silence).arg(keys.taken(""));
        // Whoever gets a message that its holder did not renew gets it a visibility timeout later, at the soonest. Half of
        // that is left to clocks that differ.
        command.arg(1.0 + books.options.visibility_timeout.as_secs_f64() / 2.0);
        command.arg(keys.pending("")).arg(first).arg(AT_A_STEP);
        let sent = Instant::now();
        let (tags, batches): (Vec<String>, usize) = books.link.ask(&command).await?;
        books.heard.note(sent);
        contact.beat_at = Some(Instant::now());
        if !tags.is_empty() || batches > 0 {
            tracing::warn!(
                "putting back what a worker left that died: {} messages it had held for long, {batches} batches",
                tags.len()
            );
        }
        put_back(books, &tags, Entry::into_rescued).await?;
        if batches < AT_A_STEP {
            return Ok(());
        }
    }
}

/// How long the server has been up, if it says so.
async fn uptime(books: &Books) -> Result<Option<Duration>, Fault> {
    match books.link.ask::<InfoDict>(cmd("INFO").arg("server")).await {
        Ok(info) => Ok(info.get::<u64>("uptime_in_seconds").map(Duration::from_secs)),
        Err(fault) if fault.is_connection() => Err(fault),
        Err(fault) => {
            tracing::debug!("the server does not say how long it has been up: {fault}");
            Ok(None)
        }
    }
}

/// Puts back what the server has for us and we do not know: what was taken over from the dead, or the reply of a fetch
/// was lost.
pub(crate) async fn recover(books: &Books) -> Result<(), Fault> {
    let keys = &books.options.keys;
    let (held, pending) = (keys.held(&books.process), keys.pending(&books.process));
    let mut pipeline = pipe();
    pipeline.cmd("SCARD").arg(&held).cmd("HKEYS").arg(&pending);
    let (there, batches): (usize, Vec<u64>) = books.link.ask_all(&pipeline).await?;
    let mut unknown: Vec<u64> = {
        let known = books.batches();
        batches.into_iter().filter(|batch| !known.contains(batch)).collect()
    };
    // Each goes in front of the one before, so the first that was taken is the last that is put back.
    unknown.sort_unstable();
    for batch in unknown.into_iter().rev() {
        put_batch_back(books, batch).await?;
    }
    if there <= books.held().len() {
        return Ok(());
    }
    let unknown: Vec<String> = {
        // No reply is under way while this is locked.
        let _quiet = books.fetching.write().await;
        let there: Vec<String> = books.link.ask(cmd("SMEMBERS").arg(&held)).await?;
        let held = books.held();
        there.into_iter().filter(|tag| !held.contains(tag)).collect()
    };
    put_back(books, &unknown, Entry::into_item).await
}

/// Puts back what is left of a batch that nobody in this process has.
async fn put_batch_back(books: &Books, batch: u64) -> Result<(), Fault> {
    let keys = &books.options.keys;
    let (pending, number) = (keys.pending(&books.process), batch.to_string());
    let list = keys.batch(&books.process, &number);
    let about: Option<String> = books.link.ask(cmd("HGET").arg(&pending).arg(&number)).await?;
    let Some(about) = about else { return Ok(()) };
    let Some(end) = about.find([':', '!']) else { return Ok(()) };
    let (states, queue) = (&about.as_bytes()[..end], &about[end + 1..]);
    let is_of_the_dead = about.as_bytes()[end] == b'!';
    let out: Vec<usize> = (0..states.len()).filter(|at| states[*at] == b'.').collect();
    let mut back = 0;
    for indexes in out.rchunks(AT_A_STEP) {
        let (Some(first), Some(last)) = (indexes.first(), indexes.last()) else { continue };
        let items: Vec<Bytes> =
            books.link.ask(cmd("LRANGE").arg(&list).arg(*first).arg(*last)).await?;
        let mut command = RESCUE.command(&[pending.clone(), list.clone()]);
        command.arg(&number);
        for index in indexes.iter().rev() {
            let Some(item) = items.get(index - first) else { continue };
            let marked =
                if is_of_the_dead { entry::rescued(item) } else { entry::redelivered(item) };
            command.arg(index + 1).arg(keys.list(queue, entry::priority(item))).arg(marked);
        }
        back += books.link.ask::<usize>(&command).await?;
    }
    if back < out.len() {
        tracing::warn!(
            "{} messages of queue `{queue}` could not be put back into it and stay in `{list}`",
            out.len() - back
        );
    } else if is_of_the_dead {
        tracing::info!("put {back} messages of a worker that died back into queue `{queue}`");
    }
    Ok(())
}

/// Puts messages back that are ours in kombu's books.
async fn put_back(
    books: &Books,
    tags: &[String],
    marked: fn(Entry) -> Vec<u8>,
) -> Result<(), Fault> {
    let keys = &books.options.keys;
    for chunk in tags.chunks(AT_ONCE) {
        let entries: Vec<Option<Vec<u8>>> =
            books.link.ask(cmd("HMGET").arg(keys.unacked()).arg(chunk)).await?;
        let mut pipeline = pipe();
        for (tag, entry) in chunk.iter().zip(entries) {
            let command = match entry.as_deref().map(Entry::read) {
                Some(Some(entry)) => {
                    let mut all = books.keys();
                    all.push(keys.taken(&books.process));
                    all.extend([keys.pending(&books.process), keys.batch(&books.process, "")]);
                    let list = keys.list(&entry.routing_key, entry.priority());
                    let mut command = MOVE.command(&all);
                    command.arg(tag).arg(0).arg("move");
                    command.arg(3).arg("RPUSH").arg(list).arg(marked(entry));
                    command
                }
                // Settled or put back by somebody else, or nothing of ours: only our claim to it goes.
                None | Some(None) => cmd("SREM").arg(keys.held(&books.process)).arg(tag).to_owned(),
            };
            pipeline.add_command(command).ignore();
        }
        books.link.insist::<()>(&pipeline).await?;
    }
    Ok(())
}
