//! Counting the parts of chords: one script for all that are to be counted at that time.

use std::sync::Arc;

use bytes::Bytes;
use deadpool_redis::redis::{FromRedisValue, Value};

use super::joins::{Claimed, JoinOptions};
use crate::{connection::Link, error::Fault, gather::Question, scripts::COUNT};

/// How many parts one script counts: the server serves nobody else meanwhile.
const PARTS_AT_ONCE: usize = 250;

/// What is taken for as much work as a part.
const BYTES_OF_ONE: usize = 16 << 10;

/// A part to count.
#[derive(Clone, Debug)]
pub(super) struct Counting {
    pub(super) options: Arc<JoinOptions>,
    /// Where its result is stored.
    pub(super) key: Arc<str>,
    /// Its result; empty where its task keeps none.
    pub(super) document: Bytes,
    /// In milliseconds; 0 for ever.
    pub(super) lifetime: u64,
    /// What was read there, and may be overwritten.
    pub(super) seen: Vec<u8>,
    pub(super) group_id: Arc<str>,
    pub(super) task_id: Arc<str>,
    pub(super) place: Arc<str>,
    /// As Celery writes it.
    pub(super) part: Bytes,
    pub(super) callback: Arc<str>,
    pub(super) token: Arc<str>,
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is counted, by this or before.
    Counted,
    /// This is stored for the task, and the server cannot tell what it is: it is not counted.
    There(Vec<u8>),
    /// The join is complete and ours; and whether the part was counted before.
    Joined(bool, Box<Claimed>),
}

impl Question for Counting {
    type Answer = Outcome;

    const AT_ONCE: usize = PARTS_AT_ONCE;

    fn weight(&self) -> usize {
        1 + (self.document.len() + self.part.len() + self.callback.len()) / BYTES_OF_ONE
    }

    async fn ask(link: &Link, questions: &[&Self]) -> Vec<Result<Outcome, Fault>> {
        let Some(first) = questions.first() else { return Vec::new() };
        let answers = async {
            let mut connection = link.shared().await?;
            let mut script = COUNT.prepare_invoke();
            let options = &first.options;
            script.key(options.index()).arg(options.kind()).arg(options.expires);
            script.arg(options.group_expires).arg(options.claim).arg(JoinOptions::LOOK_AFTER);
            for it in questions {
                script.key(&*it.key).key(options.group(&it.group_id));
                script.key(options.ours(&it.group_id));
                script.arg(&it.document[..]).arg(it.lifetime).arg(&it.seen).arg(&*it.group_id);
                script.arg(&*it.task_id).arg(&*it.place).arg(&it.part[..]);
                script.arg(&*it.callback).arg(&*it.token);
            }
            link.seen::<Vec<Value>>(script.invoke_async(&mut connection).await)
        };
        match answers.await {
            Err(fault) => questions.iter().map(|_| Err(fault.clone())).collect(),
            Ok(answers) => answers.into_iter().map(|answer| outcome(link, answer)).collect(),
        }
    }
}

fn outcome(link: &Link, answer: Value) -> Result<Outcome, Fault> {
    let wrong = |why: String| Fault::other(link.shown(), why);
    match answer {
        Value::BulkString(there) => Ok(Outcome::There(there)),
        Value::Array(answer) => match <[Value; 2]>::try_from(answer) {
            Ok([known, join]) => {
                let join = Claimed::read(join).map_err(|error| wrong(error.to_string()))?;
                Ok(Outcome::Joined(known == Value::Int(1), Box::new(join)))
            }
            Err(error) => {
                let why = error.into_iter().next();
                Err(wrong(
                    why.and_then(|why| String::from_redis_value(why).ok()).unwrap_or_default(),
                ))
            }
        },
        _ => Ok(Outcome::Counted),
    }
}
