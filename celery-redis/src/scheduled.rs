//! What waits in the books until it is due.

use celery_core::{
    broker::{BrokerError, Scheduled},
    clock, codec,
    date::unix_seconds,
    envelope,
};
use deadpool_redis::redis::{cmd, pipe};
use jiff::Timestamp;

use crate::{connection::Link, entry::Entry, options::BrokerOptions};

/// How many entries are looked at in one go.
const AT_ONCE: usize = 500;

/// How many are looked at in all: what other queues have in the books is not to hold up who asks.
const AT_MOST: usize = 50_000;

/// The messages of these queues that wait for their `eta`, the soonest first.
///
/// One that a worker holds is in the same books. It counts as delivered at the time when it was, and one that waits at a
/// visibility timeout before it is due, which [`Scheduled::new`] tells apart.
pub(crate) async fn scheduled(
    link: &Link,
    options: &BrokerOptions,
    queues: &[String],
    limit: usize,
) -> Result<Vec<Scheduled>, BrokerError> {
    let visibility_timeout = options.visibility_timeout.as_secs_f64();
    let floor = format!("({:.6}", unix_seconds(clock::now()) - visibility_timeout);
    let mut found = Vec::new();
    for offset in (0..AT_MOST).step_by(AT_ONCE) {
        let range = cmd("ZRANGEBYSCORE")
            .arg(options.keys.unacked_index())
            .arg(&floor)
            .arg("+inf")
            .arg("WITHSCORES")
            .arg("LIMIT")
            .arg(offset)
            .arg(AT_ONCE)
            .to_owned();
        let tags: Vec<(String, f64)> = link.ask(&range).await?;
        if tags.is_empty() {
            break;
        }
        let mut pipeline = pipe();
        for (tag, _) in &tags {
            pipeline.cmd("HGET").arg(options.keys.unacked()).arg(tag);
        }
        let entries: Vec<Option<Vec<u8>>> = link.insist(&pipeline).await?;
        let read = tags.iter().zip(entries).filter_map(|((_, score), raw)| {
            let entry = Entry::read(&raw?)?;
            if !entry.exchange.is_empty() || !queues.contains(&entry.routing_key) {
                return None;
            }
            let message = envelope::from_json(&codec::json::to_vec(&entry.envelope)).ok()?;
            Scheduled::new(entry.routing_key, time(score + visibility_timeout)?, message)
        });
        found.extend(read);
        if found.len() >= limit || tags.len() < AT_ONCE {
            break;
        }
    }
    found.truncate(limit);
    Ok(found)
}

/// A time that is given in seconds.
#[expect(
    clippy::cast_possible_truncation,
    reason = "times of this millennium are far from the limit"
)]
fn time(seconds: f64) -> Option<Timestamp> {
    Timestamp::from_microsecond((seconds * 1e6).round() as i64).ok()
}
