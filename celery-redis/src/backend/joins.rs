//! Joins: the parts of chords, in the keys of Celery's own Redis backend, and beside them what is needed to complete a
//! chord whose worker died.
//!
//! Parts that Python's workers count and those that ours count are counted together, and whichever side counts the last
//! one sends the body. Of ours are two keys: a hash for each join, with what follows it, and a sorted set of the joins that are
//! not finished, by when they are to be looked at.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use celery_core::{
    backend::{BackendError, Callback, Counted, Joined, Joins, NewJoin, Part, Tally, Unfinished},
    codec::json,
    config::Config,
    ids,
    state::State,
    tree::ResultTree,
    value::Value,
};
use deadpool_redis::redis::{self, FromRedisValue, ParsingError, Pipeline, cmd};
use jiff::{SignedDuration, Timestamp};

use super::{
    RedisBackend,
    count::{Counting, Outcome},
};
use crate::{
    broker::millis,
    options::BackendOptions,
    scripts::{BEGIN_JOINS, FINISH_JOIN, OVERDUE_JOINS, TALLY_JOINS},
};

/// How many joins one script begins, or says the state of.
const JOINS_AT_ONCE: usize = 250;

/// How many joins one script looks at, and gives away.
const LOOKED_AT: usize = 250;
const GIVEN: usize = 10;

/// For how many seconds it is known of a join that it is done: longer than the visibility timeout, after which parts come again that a
/// dead worker had. Celery's 300 s are not.
const DONE_KEPT: u64 = 7200;

/// How joins are kept.
#[derive(Debug)]
pub(super) struct JoinOptions {
    prefix: String,
    ordered: bool,
    /// In seconds; 0 for ever.
    pub(super) expires: u64,
    /// Of a saved group, in seconds; 0 for ever.
    pub(super) group_expires: u64,
    /// For how many milliseconds a join is left to who completes it.
    pub(super) claim: u64,
}

impl JoinOptions {
    /// After how many seconds a join is looked at that has not changed.
    pub(super) const LOOK_AFTER: u64 = 60;

    pub(super) fn new(options: &BackendOptions, config: &Config) -> Self {
        // What is kept for less than a second is not kept for ever.
        let seconds = |time: Option<Duration>| time.map_or(0, |time| time.as_secs().max(1));
        let (expires, results) = (config.result.chord_lifetime(), config.result.expires);
        Self {
            prefix: options.prefix.clone(),
            ordered: options.chord_ordered,
            expires: seconds(expires),
            group_expires: seconds(expires.and_then(|expires| Some(expires.max(results?)))),
            claim: millis(config.result.chord_claim()),
        }
    }

    /// Celery's key of a group, which those of a join start with.
    pub(super) fn group(&self, id: &str) -> String {
        format!("{}celery-taskset-meta-{id}", self.prefix)
    }

    /// What is needed to complete it.
    pub(super) fn ours(&self, id: &str) -> String {
        format!("{}celery-join.{id}", self.prefix)
    }

    /// The joins that are not finished.
    pub(super) fn index(&self) -> String {
        format!("{}celery-joins", self.prefix)
    }

    /// The type of the key that parts are in.
    pub(super) fn kind(&self) -> &'static str {
        if self.ordered { "zset" } else { "list" }
    }
}

/// A join that a script gave us.
#[derive(Debug)]
pub(super) struct Claimed {
    callback: Vec<u8>,
    group: Option<Vec<u8>>,
    /// Whether a process of ours was to complete it before.
    was_ours: bool,
    parts: Vec<Vec<u8>>,
}

impl Claimed {
    pub(super) fn read(value: redis::Value) -> Result<Self, ParsingError> {
        let (callback, group, was_ours, parts) = FromRedisValue::from_redis_value(value)?;
        Ok(Self { callback, group, was_ours, parts })
    }
}

#[async_trait]
impl Joins for RedisBackend {
    async fn begin(&self, joins: &[NewJoin]) -> Result<(), BackendError> {
        let options = &self.joins;
        let mut pipeline = redis::pipe();
        for joins in joins.chunks(JOINS_AT_ONCE) {
            let mut keys = vec![options.index()];
            for join in joins {
                keys.extend([options.group(&join.group_id), options.ours(&join.group_id)]);
            }
            let mut command = BEGIN_JOINS.command(&keys);
            command.arg(options.expires).arg(JoinOptions::LOOK_AFTER);
            for NewJoin { group_id, size, header, nests } in joins {
                let header = header.to_value();
                command.arg(group_id).arg(size).arg(json::to_string(&header));
                let saved = serde_json::json!({ "result": header });
                let saved = nests.then(|| self.documents.write_value(&saved)).transpose()?;
                command.arg(saved.as_deref().unwrap_or_default());
            }
            pipeline.add_command(command).ignore();
        }
        if joins.is_empty() { Ok(()) } else { Ok(self.link.insist(&pipeline).await?) }
    }

    async fn expect_more(&self, group_id: &str) -> Result<(), BackendError> {
        let key = self.joins.group(group_id) + ".t";
        let mut pipeline = redis::pipe();
        pipeline.cmd("INCR").arg(&key).ignore();
        if self.joins.expires > 0 {
            pipeline.cmd("EXPIRE").arg(&key).arg(self.joins.expires).ignore();
        }
        // It is not repeated: what is counted twice is waited for in vain.
        Ok(self.link.ask_all(&pipeline).await?)
    }

    async fn count(&self, part: Part<'_>) -> Result<Option<Joined>, BackendError> {
        let mut counting = self.counting(part)?;
        let mut patience = self.link.patience();
        loop {
            match self.counting.ask(&self.link, counting.clone()).await {
                Ok(Outcome::Counted) => return Ok(None),
                Ok(Outcome::There(there)) => {
                    let meta = self.documents.read("", &there);
                    if meta.is_ok_and(|meta| meta.state == State::Success) {
                        // It stays, and the part is counted all the same.
                        counting.document = bytes::Bytes::new();
                    }
                    counting.seen = there;
                }
                Ok(Outcome::Joined(was_counted, claimed)) => {
                    let may_be_sent = was_counted && !claimed.was_ours;
                    let joined = self.joined(part.group_id, &counting.token, *claimed)?;
                    return self.unsent(joined, may_be_sent).await;
                }
                Err(fault) => patience.wait(fault).await?,
            }
        }
    }

    async fn finish(&self, joined: &Joined) -> Result<bool, BackendError> {
        let Joined { group_id, token, .. } = joined;
        let options = &self.joins;
        let keys = [options.index(), options.group(group_id), options.ours(group_id)];
        let mut command = FINISH_JOIN.command(&keys);
        command.arg(group_id).arg(token).arg(DONE_KEPT);
        let (ended,): (bool,) = self.link.insist(&pipe_of(command)).await?;
        Ok(ended)
    }

    async fn overdue(&self) -> Result<Vec<Joined>, BackendError> {
        let options = &self.joins;
        let token = ids::text();
        let mut command = OVERDUE_JOINS.command(&[options.index()]);
        command.arg(options.group("")).arg(options.ours("")).arg(options.claim);
        command.arg(JoinOptions::LOOK_AFTER).arg(LOOKED_AT).arg(GIVEN).arg(&token);
        let given: Vec<(String, redis::Value)> = self.link.ask(&command).await?;
        let mut joins = Vec::new();
        for (id, join) in given {
            let read = Claimed::read(join).map_err(BackendError::codec);
            let may_be_sent = read.as_ref().is_ok_and(|join| !join.was_ours);
            match read.and_then(|join| self.joined(&id, &token, join)) {
                Ok(joined) => joins.extend(self.unsent(joined, may_be_sent).await?),
                // Others are not to wait for it.
                Err(error) => tracing::error!(
                    id,
                    error = &error as &dyn std::error::Error,
                    "a chord is complete and cannot be read; its body is not sent"
                ),
            }
        }
        Ok(joins)
    }

    async fn look(&self, group_id: &str) -> Result<Option<Unfinished>, BackendError> {
        let (options, ids) = (&self.joins, [group_id.to_owned()]);
        let [tally] = self.tallies(&ids).await?.try_into().unwrap_or([None]);
        let Some(tally) = tally else { return Ok(None) };
        let parts = options.group(group_id) + ".j";
        let range = if options.ordered { "ZRANGE" } else { "LRANGE" };
        let mut pipeline = redis::pipe();
        pipeline.cmd(range).arg(parts).arg(0).arg(-1);
        let ours = options.ours(group_id);
        pipeline.cmd("HMGET").arg(ours).arg(&["header", "callback", "complete"]);
        pipeline.cmd("GET").arg(options.group(group_id));
        type Answer = (Vec<Vec<u8>>, [Option<Vec<u8>>; 3], Option<Vec<u8>>);
        let (parts, [header, first, complete], saved): Answer = self.link.insist(&pipeline).await?;
        let header = match header {
            Some(header) => Some(tree(&json::from_slice(&header).map_err(BackendError::codec)?)?),
            None => self.saved(saved)?,
        };
        let callback = complete.or(first).map(|callback| read_callback(&callback)).transpose()?;
        Ok(Some(Unfinished { tally, counted: self.parts(parts)?, header, callback }))
    }

    async fn unfinished(&self) -> Result<Vec<Tally>, BackendError> {
        let mut range = cmd("ZRANGE");
        range.arg(self.joins.index()).arg(0).arg(-1);
        let (ids,): (Vec<String>,) = self.link.insist(&pipe_of(range)).await?;
        let mut tallies = Vec::new();
        for ids in ids.chunks(JOINS_AT_ONCE) {
            tallies.extend(self.tallies(ids).await?.into_iter().flatten());
        }
        tallies.sort_by(|a, b| (a.since, &a.group_id).cmp(&(b.since, &b.group_id)));
        Ok(tallies)
    }
}

impl RedisBackend {
    /// What is asked for when a part is counted.
    fn counting(&self, part: Part<'_>) -> Result<Counting, BackendError> {
        let Part { group_id, index, meta, stores, callback } = part;
        let place = index.map_or_else(|| "+inf".to_owned(), |index| index.to_string());
        let entry = serde_json::json!([1, meta.task_id, meta.state.as_str(), meta.result]);
        let callback = serde_json::to_value(callback).map_err(BackendError::codec)?;
        Ok(Counting {
            options: Arc::clone(&self.joins),
            key: self.key(&meta.task_id).into(),
            document: if stores { self.documents.write(meta)? } else { bytes::Bytes::new() },
            lifetime: self.lifetime(&meta.state),
            seen: Vec::new(),
            group_id: group_id.into(),
            task_id: meta.task_id.as_str().into(),
            place: place.into(),
            part: self.documents.write_value(&entry)?,
            callback: json::to_string(&callback).into(),
            token: ids::text().into(),
        })
    }

    fn joined(&self, id: &str, token: &str, claimed: Claimed) -> Result<Joined, BackendError> {
        Ok(Joined {
            group_id: id.to_owned(),
            token: token.to_owned(),
            parts: self.parts(claimed.parts)?,
            header: self.saved(claimed.group)?,
            callback: read_callback(&claimed.callback)?,
        })
    }

    fn parts(&self, parts: Vec<Vec<u8>>) -> Result<Vec<Counted>, BackendError> {
        let read = |part: Vec<u8>| {
            let part = self.documents.read_value(&part)?;
            let wrong = || BackendError::codec(format!("not a part of a chord: {part}"));
            match part.as_array().map(Vec::as_slice) {
                Some([_, Value::String(id), Value::String(state), result]) => Ok(Counted {
                    task_id: id.clone(),
                    state: state.as_str().into(),
                    result: result.clone(),
                }),
                _ => Err(wrong()),
            }
        };
        parts.into_iter().map(read).collect()
    }

    /// The header, where it was saved.
    fn saved(&self, group: Option<Vec<u8>>) -> Result<Option<ResultTree>, BackendError> {
        let Some(group) = group else { return Ok(None) };
        let group = self.documents.read_value(&group)?;
        tree(group.get("result").unwrap_or(&Value::Null)).map(Some)
    }

    /// A join that a Python worker was to complete and did not finish may have been sent: it was if there is a result of
    /// anything that is sent with it.
    async fn unsent(
        &self,
        joined: Joined,
        may_be_sent: bool,
    ) -> Result<Option<Joined>, BackendError> {
        let mut sent = Vec::new();
        if may_be_sent {
            task_ids(&joined.callback.body, &mut sent);
        }
        if !sent.is_empty() {
            let keys: Vec<String> = sent.iter().map(|id| self.key(id)).collect();
            let (there,): (u64,) =
                self.link.insist(&pipe_of(cmd("EXISTS").arg(keys).to_owned())).await?;
            if there > 0 {
                self.finish(&joined).await?;
                return Ok(None);
            }
        }
        Ok(Some(joined))
    }

    /// How far these are, in their places; of one that is not there, or done, nothing.
    async fn tallies(&self, ids: &[String]) -> Result<Vec<Option<Tally>>, BackendError> {
        let options = &self.joins;
        let keys: Vec<String> =
            ids.iter().flat_map(|id| [options.group(id), options.ours(id)]).collect();
        type Answer = Option<(Option<u64>, Option<u64>, u64, Option<f64>, bool)>;
        let (answers,): (Vec<Answer>,) =
            self.link.insist(&pipe_of(TALLY_JOINS.command(&keys))).await?;
        let tally = |(id, answer): (&String, Answer)| {
            let (size, more, counted, since, claimed) = answer?;
            if size.is_none() && counted == 0 {
                return None;
            }
            let since = since.and_then(|since| SignedDuration::try_from_secs_f64(since).ok());
            Some(Tally {
                group_id: id.clone(),
                size: size.map(|size| size + more.unwrap_or(0)),
                counted,
                since: since.and_then(|since| Timestamp::from_duration(since).ok()),
                claimed,
            })
        };
        Ok(ids.iter().zip(answers).map(tally).collect())
    }
}

fn pipe_of(command: redis::Cmd) -> Pipeline {
    let mut pipeline = redis::pipe();
    pipeline.add_command(command);
    pipeline
}

fn tree(value: &Value) -> Result<ResultTree, BackendError> {
    ResultTree::from_value(value).map_err(BackendError::codec)
}

fn read_callback(callback: &[u8]) -> Result<Callback, BackendError> {
    let callback = json::from_slice(callback).map_err(BackendError::codec)?;
    serde_json::from_value(callback).map_err(BackendError::codec)
}

/// The ids of what is sent first of a signature, as far as they were given. What its arguments hold is none of it.
fn task_ids(signature: &Value, found: &mut Vec<String>) {
    let id = signature["options"]["task_id"].as_str();
    found.extend(id.map(str::to_owned));
    let kwargs = &signature["kwargs"];
    let inner = match signature["task"].as_str() {
        Some("celery.group" | "celery.chain") => vec![&kwargs["tasks"]],
        Some("celery.chord") => vec![&kwargs["header"], &kwargs["body"]],
        _ => Vec::new(),
    };
    for inner in inner {
        match inner {
            Value::Array(signatures) => signatures.iter().for_each(|it| task_ids(it, found)),
            signature => task_ids(signature, found),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_sent_of_a_body_is_known_by_its_ids_and_not_by_its_arguments() {
        let ids = |signature: &Value| {
            let mut found = Vec::new();
            task_ids(signature, &mut found);
            found
        };
        let task = |id: &str| json!({ "task": "t", "args": [{ "options": { "task_id": "no" } }], "kwargs": { "task_id": "no", "tasks": [] }, "options": { "task_id": id } });
        assert_eq!(ids(&task("a")), ["a"]);
        let group = json!({ "task": "celery.group", "args": [], "kwargs": { "tasks": [task("a"), task("b")] }, "options": { "task_id": "g" } });
        assert_eq!(ids(&group), ["g", "a", "b"]);
        let chord = json!({ "task": "celery.chord", "kwargs": { "header": group, "body": task("c") }, "options": {} });
        assert_eq!(ids(&chord), ["g", "a", "b", "c"]);
        assert_eq!(ids(&json!({ "task": "t", "options": {} })), Vec::<String>::new());
    }
}
