//! Storing results: one script for all that are to be stored at that time.

use std::sync::Arc;

use deadpool_redis::redis::{FromRedisValue, Value};

use crate::{connection::Link, error::Fault, gather::Question, scripts::STORE};

/// How many results one script stores: the server serves nobody else meanwhile.
const RESULTS_AT_ONCE: usize = 250;

/// What is taken for as much work as a result.
const BYTES_OF_ONE: usize = 16 << 10;

/// A document to store.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) key: Arc<str>,
    pub(super) document: bytes::Bytes,
    /// In milliseconds; 0 for ever.
    pub(super) lifetime: u64,
    /// What was read there, and may be overwritten.
    pub(super) seen: Vec<u8>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// It is stored, or a success is.
    Done,
    /// This is stored, and the server cannot tell what it is.
    There(Vec<u8>),
}

impl Question for Stored {
    type Answer = Outcome;

    const AT_ONCE: usize = RESULTS_AT_ONCE;

    fn weight(&self) -> usize {
        1 + self.document.len() / BYTES_OF_ONE
    }

    async fn ask(link: &Link, questions: &[&Self]) -> Vec<Result<Outcome, Fault>> {
        let answers = async {
            let mut connection = link.shared().await?;
            let mut script = STORE.prepare_invoke();
            for Self { key, document, lifetime, seen } in questions {
                script.key(&**key).arg(&document[..]).arg(lifetime).arg(seen);
            }
            link.seen::<Vec<Value>>(script.invoke_async(&mut connection).await)
        };
        match answers.await {
            Err(fault) => vec![Err(fault); questions.len()],
            Ok(answers) => answers.into_iter().map(|answer| outcome(link, answer)).collect(),
        }
    }
}

fn outcome(link: &Link, answer: Value) -> Result<Outcome, Fault> {
    match answer {
        Value::BulkString(there) => Ok(Outcome::There(there)),
        Value::Array(error) => {
            let why = error.into_iter().next().and_then(|why| String::from_redis_value(why).ok());
            Err(Fault::other(link.shown(), why.unwrap_or_default()))
        }
        _ => Ok(Outcome::Done),
    }
}
