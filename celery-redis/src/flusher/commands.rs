//! The scripts that carry orders out.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use celery_core::{broker::Settlement, clock, codec::json, date::unix_seconds};
use deadpool_redis::redis::{Cmd, cmd};
use jiff::Timestamp;
use serde_json::json;

use crate::{
    books::Books,
    entry,
    held::{Order, Place},
    scripts::{ACK, BEGIN, MOVE, SETTLE, add},
};

/// Strikes messages off their batches: for each batch the places, from 1, or none when all of it is done with.
pub(super) fn settle(books: &Books, struck: impl Iterator<Item = (u64, Vec<(u32, u32)>)>) -> Cmd {
    let keys = &books.options.keys;
    let mut command = SETTLE.call(&[keys.pending(&books.process), keys.taken(&books.process)]);
    command.arg(keys.batch(&books.process, ""));
    for (number, ranges) in struck {
        command.arg(number).arg(ranges.len());
        for (from, to) in ranges {
            command.arg(from).arg(to);
        }
    }
    command
}

/// Strikes messages off kombu's books.
pub(super) fn acknowledge<'a>(books: &Books, tags: impl Iterator<Item = &'a str>) -> Cmd {
    let mut keys = books.keys();
    keys.push(books.options.keys.taken(&books.process));
    let mut command = ACK.call(&keys);
    tags.for_each(|tag| _ = command.arg(tag));
    command
}

/// Writes down that the message is being run.
pub(super) fn begin(books: &Books, order: &Order, tag: Option<&str>) -> Cmd {
    let keys = &books.options.keys;
    let (unacked, held) = (keys.unacked(), keys.held(&books.process));
    let pending = keys.pending(&books.process);
    let (id, place) = place(order, tag);
    let mut command = BEGIN.call(&[unacked, held, pending, keys.batch(&books.process, &id)]);
    command.arg(id).arg(place);
    match tag {
        Some(_) => command.arg(entry::book(&order.item, &order.from.queue).entry),
        None => command.arg(&order.item[..]),
    };
    command
}

/// What becomes of the message, and what follows.
pub(super) fn carry_out(
    books: &Books,
    order: &Order,
    tag: Option<&str>,
    how: &Settlement,
    follows: &[Cmd],
) -> Cmd {
    let keys = &books.options.keys;
    let (id, place) = place(order, tag);
    let mut all = books.keys();
    all.push(keys.taken(&books.process));
    all.push(keys.pending(&books.process));
    all.push(keys.batch(&books.process, &id));
    let mut command = MOVE.call(&all);
    command.arg(id).arg(place);
    let own = own(books, order, how);
    command.arg(if own.is_empty() { "publish" } else { "move" });
    for words in own.iter().chain(follows) {
        add(&mut command, words);
    }
    command
}

/// The commands that put the message where it is to be.
fn own(books: &Books, order: &Order, how: &Settlement) -> Vec<Cmd> {
    let keys = &books.options.keys;
    let queue = &order.from.queue;
    let push = |command: &str, item: Vec<u8>| {
        let list = keys.list(queue, entry::priority(&order.item));
        vec![cmd(command).arg(list).arg(item).to_owned()]
    };
    match how {
        Settlement::Ack | Settlement::Reject => Vec::new(),
        Settlement::Requeue => push("LPUSH", entry::redelivered(&order.item)),
        Settlement::Lost => push("RPUSH", entry::lost(&order.item)),
        Settlement::Defer(due) => {
            let booked = entry::book(&order.item, queue);
            let entry = entry::deferred(&order.item, queue, booked.priority);
            // An item that is no envelope waits in its wrapping.
            let entry = if entry.is_empty() { booked.entry } else { entry };
            let score = deferred_score(*due, books.options.visibility_timeout);
            let (unacked, index) = (keys.unacked(), keys.unacked_index());
            vec![
                cmd("HSET").arg(unacked).arg(&booked.tag).arg(entry).to_owned(),
                cmd("ZADD").arg(index).arg(score).arg(&booked.tag).to_owned(),
            ]
        }
        Settlement::Quarantine(reason) => {
            let record = quarantined(order, reason);
            vec![cmd("RPUSH").arg(keys.quarantine(queue)).arg(record).to_owned()]
        }
        // The enum may grow; what we do not know must not lose a message.
        _ => push("RPUSH", entry::redelivered(&order.item)),
    }
}

/// What names the message in the books: its tag, or its batch and its place there, from 1.
fn place(order: &Order, tag: Option<&str>) -> (String, u32) {
    match (tag, &order.place) {
        (Some(tag), _) => (tag.to_owned(), 0),
        (None, Place::Tag(tag)) => (tag.clone(), 0),
        (None, Place::Batch(index)) => (order.from.number.to_string(), index + 1),
    }
}

/// The delivery time that makes a message overdue exactly when it is due.
fn deferred_score(due: Timestamp, visibility_timeout: Duration) -> String {
    format!("{:.6}", unix_seconds(due) - visibility_timeout.as_secs_f64())
}

fn quarantined(order: &Order, reason: &str) -> String {
    let mut record =
        json!({ "queue": order.from.queue, "reason": reason, "at": clock::now().to_string() });
    match std::str::from_utf8(&order.item) {
        Ok(text) => record["raw"] = text.into(),
        Err(_) => {
            record["raw"] = BASE64_STANDARD.encode(&order.item).into();
            record["encoding"] = "base64".into();
        }
    }
    json::to_string(&record)
}
