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
}

/// For how long the members of a set are kept, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// After how long a member expires, which MUST NOT be longer than some years.
    pub time: Duration,
    /// Beyond that many, the oldest go.
    pub most: usize,
}
