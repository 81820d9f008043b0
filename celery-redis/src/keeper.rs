//! Keeps the books in order while there is a consumer: says that we live, renews what we hold, puts back what the dead
//! have left, and what a lost reply has taken from us.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use celery_core::{clock, date::unix_seconds};
use deadpool_redis::redis::pipe;
use tokio::{sync::Notify, time::Instant};

use crate::{
    books::Books,
    error::Fault,
    rescue::{Contact, heartbeat, recover},
    scripts::RENEW,
};

/// How many entries are looked at in one go.
const AT_ONCE: usize = 500;

/// Runs until the books are gone.
pub(crate) async fn run(books: Weak<Books>, wake: Arc<Notify>) {
    let mut heartbeat_at = Instant::now();
    let mut contact = Contact::default();
    let mut renew_at = None;
    loop {
        let Some(books) = books.upgrade() else { return };
        let now = Instant::now();
        if heartbeat_at <= now {
            let timeout = Duration::from_secs(books.options.worker_timeout.into());
            let beat = heartbeat(&books, &mut contact).await;
            // While the server is away it is tried more often: the others wait for a sign of us when it is back.
            let pause = match contact.steady_in() {
                _ if beat.is_err() => timeout / 15,
                Duration::ZERO => timeout / 3,
                soon => soon.min(timeout / 3),
            };
            heartbeat_at = Instant::now() + pause;
            noted("heartbeat", beat);
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
