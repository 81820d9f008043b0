//! Carries settlements out: whatever has gathered goes to the server in one round trip.
//!
//! Each is one script that acts only while the tag is ours, so that repeating it over a fresh connection is safe. What
//! cannot be carried out at all is let go of: its tag is ours in the server's books and not in our own, and the keeper
//! puts such messages back.

use std::{collections::HashSet, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use celery_core::{
    broker::{BrokerError, Settlement},
    clock,
    codec::json,
    date::unix_seconds,
};
use deadpool_redis::redis::{Pipeline, pipe};
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::mpsc;

use crate::{
    books::{Books, Job, Order},
    connection::Link,
    entry,
    error::Fault,
    scripts::{ACK, DEFER, PUT_BACK},
};

/// How many settlements go into one round trip.
const AT_ONCE: usize = 1000;

/// Runs until nobody can ask any more.
pub(crate) async fn run(link: Link, mut asked: mpsc::UnboundedReceiver<Job>) {
    let mut jobs = Vec::new();
    while asked.recv_many(&mut jobs, AT_ONCE).await > 0 {
        let mut orders = Vec::new();
        let mut flushed = Vec::new();
        for job in jobs.drain(..) {
            match job {
                Job::Settle(order) => orders.push(order),
                Job::Flush(done) => flushed.push(done),
            }
        }
        if let Some(books) = orders.first().map(|order| Arc::clone(&order.books)) {
            settle(&books, &link, orders).await;
        }
        for done in flushed {
            // Whoever does not wait any more does not want to know.
            let _ = done.send(());
        }
    }
}

async fn settle(books: &Arc<Books>, link: &Link, orders: Vec<Order>) {
    let pipeline = pipeline(books, &orders);
    // Acknowledgements alone are answered: with the tags that are not ours any more.
    let outcome = link.insist::<Vec<Vec<String>>>(&pipeline).await.map_err(BrokerError::from);
    let mut held = books.held();
    for order in &orders {
        held.remove(&order.out.tag);
    }
    drop(held);
    let due = orders.iter().filter_map(|order| match order.how {
        Settlement::Defer(due) => Some(due),
        _ => None,
    });
    if let Some(due) = due.min() {
        books.alarm.due(due);
    }
    if outcome.is_err() {
        books.wake.notify_one();
    }
    if let Err(error) = &outcome {
        tracing::warn!(
            "{} messages could not be settled and will be delivered again: {error:?}",
            orders.len()
        );
    }
    let lost: HashSet<String> = match &outcome {
        Ok(answers) => answers.iter().flatten().cloned().collect(),
        Err(_) => HashSet::new(),
    };
    let outcome = outcome.map(|_| ());
    for Order { out, done, .. } in orders {
        let outcome = match &outcome {
            Ok(()) if lost.contains(&out.tag) => Err(taken(link)),
            outcome => outcome.clone(),
        };
        // The slot is free before whoever waits goes on.
        drop(out);
        if let Some(done) = done {
            let _ = done.send(outcome);
        }
    }
}

/// Somebody else has the message, and runs it.
fn taken(link: &Link) -> BrokerError {
    let why = "this process was silent for longer than `worker_timeout`, and the message was taken over by another";
    Fault::other(link.shown(), why).into()
}

fn pipeline(books: &Books, orders: &[Order]) -> Pipeline {
    let mut pipeline = pipe();
    let mut acked = Vec::new();
    let mut deferred = DEFER.command(&books.keys());
    let mut defers = false;
    for order in orders {
        match &order.how {
            Settlement::Ack | Settlement::Reject => acked.push(order.out.tag.as_str()),
            Settlement::Defer(due) => {
                let out = &order.out;
                let score = deferred_score(*due, books.options.visibility_timeout);
                let entry = entry::deferred(&out.item, &out.queue, out.priority);
                deferred.arg(&out.tag).arg(score).arg(entry);
                defers = true;
            }
            Settlement::Requeue => put_back(books, order, "LPUSH", &mut pipeline),
            Settlement::HandBack => put_back(books, order, "RPUSH", &mut pipeline),
            Settlement::Lost => {
                put_back_as(books, order, entry::lost(&order.out.item), "RPUSH", &mut pipeline);
            }
            Settlement::Quarantine(reason) => {
                let mut keys = books.keys();
                keys.push(books.options.keys.quarantine(&order.out.queue));
                let mut command = PUT_BACK.command(&keys);
                command.arg(&order.out.tag).arg(quarantined(order, reason)).arg("RPUSH");
                pipeline.add_command(command).ignore();
            }
            // The enum may grow; what we do not know must not lose a message.
            _ => put_back(books, order, "RPUSH", &mut pipeline),
        }
    }
    if defers {
        pipeline.add_command(deferred).ignore();
    }
    if !acked.is_empty() {
        let mut keys = books.keys();
        keys.push(books.options.keys.taken(&books.process));
        pipeline.add_command(ACK.command(&keys).arg(acked).to_owned());
    }
    pipeline
}

fn put_back(books: &Books, order: &Order, push: &str, pipeline: &mut Pipeline) {
    put_back_as(books, order, entry::redelivered(&order.out.item), push, pipeline);
}

fn put_back_as(books: &Books, order: &Order, item: Vec<u8>, push: &str, pipeline: &mut Pipeline) {
    let mut keys = books.keys();
    keys.push(books.options.keys.list(&order.out.queue, order.out.priority));
    let mut command = PUT_BACK.command(&keys);
    command.arg(&order.out.tag).arg(item).arg(push);
    pipeline.add_command(command).ignore();
}

/// The delivery time that makes a message overdue exactly when it is due.
fn deferred_score(due: Timestamp, visibility_timeout: Duration) -> String {
    format!("{:.6}", unix_seconds(due) - visibility_timeout.as_secs_f64())
}

fn quarantined(order: &Order, reason: &str) -> String {
    let mut record =
        json!({ "queue": order.out.queue, "reason": reason, "at": clock::now().to_string() });
    match std::str::from_utf8(&order.out.item) {
        Ok(text) => record["raw"] = text.into(),
        Err(_) => {
            record["raw"] = BASE64_STANDARD.encode(&order.out.item).into();
            record["encoding"] = "base64".into();
        }
    }
    json::to_string(&record)
}
