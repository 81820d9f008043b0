//! What the processes of a fleet remember together.

use std::{fmt, time::Duration};

use async_trait::async_trait;

use super::BrokerError;

/// Sets of texts that every process of the fleet sees, and that outlive each of them: the ids of revoked tasks, for one.
///
/// A member expires, and a set has a limit, so that none grows without end.
#[async_trait]
pub trait SharedSets: fmt::Debug + Send + Sync {
    /// Puts members into the set, in the order given. One that is there already becomes the newest.
    ///
    /// # Errors
    /// [`BrokerError`] when it is not known whether they were kept. It may be repeated.
    async fn remember(&self, set: &str, members: &[String], keep: Keep) -> Result<(), BrokerError>;

    /// The members of the set that have not expired, the oldest first.
    ///
    /// # Errors
    /// [`BrokerError`] when the server cannot be asked.
    async fn remembered(&self, set: &str) -> Result<Vec<String>, BrokerError>;

    /// Which of these are members of the set and have not expired, in the order in which they are asked for.
    ///
    /// # Errors
    /// [`BrokerError`] when the server cannot be asked.
    async fn remembers(&self, set: &str, asked: &[String]) -> Result<Vec<String>, BrokerError>;
}

/// For how long the members of a set are kept, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// After how long a member expires, which MUST NOT be longer than some years.
    pub time: Duration,
    /// Beyond that many, those go that expire the soonest.
    pub most: usize,
    /// From when on the time is counted.
    pub from: KeepFrom,
}

/// From when on a member of a set is kept for its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepFrom {
    /// From now on.
    Now,
    /// From when the last of the messages is due that wait in the broker now, where that is later: whatever has been
    /// [deferred](super::Delivery::defer) finds the member when it comes.
    LastDue,
}
