//! Joins: where the parts of a chord are counted, until its body can be sent.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::BackendError;
use crate::{
    state::{State, TaskMeta},
    tree::ResultTree,
    value::Value,
};

/// Counts the parts of chords.
///
/// A join is known by the id of its header's group. Each of its parts is counted once, however often it is delivered, and when
/// all are there one process gets to complete it: it sends the body, and says so with [`finish`](Self::finish). When it dies
/// before that, any other gets the join from [`overdue`](Self::overdue) with all that is needed to do the same. So a body may
/// be sent by two of them, and its sending MUST be one that is done once (see
/// [`Message::once_named`](crate::message::Message::once_named)).
///
/// Joins expire as `result_chord_expires` says.
#[async_trait]
pub trait Joins: fmt::Debug + Send + Sync {
    /// Makes joins known, each before its first part is sent. One that is known and not finished stays as it is; one that was
    /// finished begins anew.
    ///
    /// # Errors
    /// [`BackendError`] when it is not known whether they were kept. It may be repeated.
    async fn begin(&self, joins: &[NewJoin]) -> Result<(), BackendError>;

    /// Expects one part more.
    ///
    /// # Errors
    /// [`BackendError`] when it is not known whether that was noted. Repeated, it may count twice.
    async fn expect_more(&self, group_id: &str) -> Result<(), BackendError>;

    /// Stores the result of a part, where its task keeps it, and counts the part: both or neither. The join is returned where it
    /// is complete, and the caller's to complete; nobody else gets it then for twice `result_chord_join_timeout`.
    ///
    /// A part that comes again is not counted again. Where its join is complete, and who was to complete it has not been heard
    /// of for so long, its caller gets the join.
    ///
    /// # Errors
    /// [`BackendError`] when it is not known whether it was counted. It may be repeated.
    async fn count(&self, part: Part<'_>) -> Result<Option<Joined>, BackendError>;

    /// Says that the body was sent, or has failed: the join is done, what was counted of it is deleted, and parts that come
    /// again are not counted. Returns false where this call did not end it: another process has done so, or is about to.
    ///
    /// # Errors
    /// [`BackendError`] when it is not known whether that was noted. It may be repeated.
    async fn finish(&self, joined: &Joined) -> Result<bool, BackendError>;

    /// Some of the joins that have been complete for a while and are not finished, now the caller's to complete. Where some are
    /// returned there may be more.
    ///
    /// # Errors
    /// [`BackendError`] when the server cannot be asked.
    async fn overdue(&self) -> Result<Vec<Joined>, BackendError>;

    /// What is known of a join that is not finished, by whomever it was begun.
    ///
    /// # Errors
    /// [`BackendError`] when the server cannot be asked.
    async fn look(&self, group_id: &str) -> Result<Option<Unfinished>, BackendError>;

    /// The joins that are not finished, the oldest first, as far as a process of this kind has begun them or counted a part of
    /// them: others, of Python's clients and workers alone, are found by their ids only.
    ///
    /// # Errors
    /// [`BackendError`] when the server cannot be asked.
    async fn unfinished(&self) -> Result<Vec<Tally>, BackendError>;
}

/// A join that is to be begun.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJoin {
    /// The id of the header's group.
    pub group_id: String,
    /// How many parts are counted.
    pub size: u64,
    /// The results of the header.
    pub header: ResultTree,
    /// Whether the header holds groups, whose results are then lists within the list that the body gets.
    pub nests: bool,
}

/// A part that is done.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The id of the header's group.
    pub group_id: &'a str,
    /// Its place there. A part without one comes last.
    pub index: Option<i64>,
    /// How it ended.
    pub meta: &'a TaskMeta,
    /// Whether its result is stored as well.
    pub stores: bool,
    /// What is to be sent when all parts are there.
    pub callback: &'a Callback,
}

/// What follows a join, and what it inherits of the part that completed it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Callback {
    /// The signature of the body.
    pub body: Value,
    /// The root of the tree of tasks.
    pub root_id: Option<String>,
    /// The part that completed it.
    pub parent_id: Option<String>,
    /// The priority of that part.
    pub priority: Option<i64>,
}

/// A join that is complete, and this process's to complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Joined {
    /// The id of the header's group.
    pub group_id: String,
    /// By which the one is known who completes it; empty where nobody else could, since it is not counted here.
    pub token: String,
    /// What each part ended with, in order.
    pub parts: Vec<Counted>,
    /// The header as it was saved, where it holds groups.
    pub header: Option<ResultTree>,
    /// What is to be sent.
    pub callback: Callback,
}

/// What a part ended with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    /// The id of its task.
    pub task_id: String,
    /// `SUCCESS`, `FAILURE` or `REVOKED`.
    pub state: State,
    /// The return value, or the exception in its stored form.
    pub result: Value,
}

/// How far a join is that is not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// The id of the header's group.
    pub group_id: String,
    /// How many parts are to come in all; `None` while the client that began it has not said so yet.
    pub size: Option<u64>,
    /// How many of them are counted.
    pub counted: u64,
    /// When it was begun, or its first part was counted by a process of this kind; `None` where neither has happened.
    pub since: Option<Timestamp>,
    /// Whether a process is about to complete it.
    pub claimed: bool,
}

impl Tally {
    /// Whether all parts are there.
    pub fn is_complete(&self) -> bool {
        self.size.is_some_and(|size| size <= self.counted)
    }
}

/// A join that is not finished.
#[derive(Clone, Debug, PartialEq)]
pub struct Unfinished {
    /// How far it is.
    pub tally: Tally,
    /// The parts that are counted, in order.
    pub counted: Vec<Counted>,
    /// The results of the header, where they are known.
    pub header: Option<ResultTree>,
    /// What is to be sent, where a process of this kind has counted a part.
    pub callback: Option<Callback>,
}
