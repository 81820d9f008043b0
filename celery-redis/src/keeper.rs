//! Keeps the books in order while there is a consumer: says that we live, renews what we hold, puts back what the dead
//! have left, and what a lost reply has taken from us.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use celery_core::{clock, date::unix_seconds};
use deadpool_redis::redis::{cmd, pipe};
use tokio::{sync::Notify, time::Instant};

use crate::{
    books::Books,
    entry::Entry,
    error::Fault,
    scripts::{HEARTBEAT, PUT_BACK, RENEW},
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
        let until = heartbeat_at.min(renew_at.unwrap_or(heartbeat_at));
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
