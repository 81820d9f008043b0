//! Where to connect: which server is the right one is found out each time that a connection is made.
//!
//! One server, several that are tried in turn, the master that sentinels know, or the node of a cluster that has the
//! slot of the app. Whichever it is, all connections of a process go to the same server at any time.

mod cluster;
mod sentinel;

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use celery_core::config::FailoverStrategy;

pub(crate) use self::sentinel::SentinelOptions;
use self::sentinel::Sentinels;
use crate::{
    address::Addresses,
    connection::{Opened, Server},
    error::{BadOption, Fault, Step},
    options::LinkOptions,
};

/// The servers that may be the right one.
pub(crate) struct Servers {
    /// All of them, as messages show them.
    shown: String,
    listed: Vec<Server>,
    sentinels: Option<Sentinels>,
    strategy: FailoverStrategy,
    keys: AppKeys,
    /// Which of the list was connected to last.
    at: AtomicUsize,
    /// Nodes of the cluster that are not in the list.
    learned: Mutex<Vec<Server>>,
}

/// What the keys of the app begin with, and where that is set.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AppKeys {
    pub(crate) prefix: String,
    /// The setting that has `global_keyprefix`.
    pub(crate) setting: &'static str,
}

/// The right server, and a connection to it.
pub(crate) struct Found {
    pub(crate) server: Server,
    pub(crate) opened: Opened,
}

impl Servers {
    pub(crate) fn new(addresses: Addresses, options: &LinkOptions) -> Result<Self, BadOption> {
        Ok(Self {
            shown: addresses.shown(),
            sentinels: options.sentinel.clone().apply(&addresses)?,
            listed: addresses.servers,
            strategy: options.failover,
            keys: options.keys.clone(),
            at: AtomicUsize::new(0),
            learned: Mutex::default(),
        })
    }

    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// Finds the right server, and connects to it.
    pub(crate) async fn find(&self, options: &LinkOptions) -> Result<Found, Fault> {
        if let Some(sentinels) = &self.sentinels {
            let server = sentinels.master(options).await?;
            let opened = server.open(options, |_| {}).await?;
            if opened.hello.is_replica() {
                let why = format!("it is no master yet, though {} takes it for one", self.shown);
                return Err(Fault::with(Step::Move, &server.shown, why));
            }
            return Ok(Found { server, opened });
        }
        let mut faults = Vec::new();
        for at in self.order() {
            let Some(server) = self.candidate(at) else { continue };
            match self.enter(&server, options).await {
                Ok(found) => {
                    if self.at.swap(at, Ordering::Relaxed) != at {
                        tracing::warn!("connected to {}, after others of the list", server.shown);
                    }
                    return Ok(found);
                }
                Err(fault) => faults.push(fault),
            }
        }
        Err(Fault::of_all(faults))
    }

    /// The list as it is to be tried now: the server that it was last, then the others, then what a cluster has told.
    fn order(&self) -> Vec<usize> {
        let (listed, learned) = (self.listed.len(), self.learned().len());
        let last = self.at.load(Ordering::Relaxed).min(listed + learned - 1);
        let mut others: Vec<usize> = match last < listed {
            true => (last + 1..listed).chain(0..last).collect(),
            false => (0..listed).collect(),
        };
        if self.strategy == FailoverStrategy::Shuffle {
            fastrand::shuffle(&mut others);
        }
        let told = (listed..listed + learned).filter(|at| *at != last);
        std::iter::once(last).chain(others).chain(told).collect()
    }

    fn candidate(&self, at: usize) -> Option<Server> {
        let listed = self.listed.get(at).cloned();
        listed.or_else(|| self.learned().get(at - self.listed.len()).cloned())
    }

    /// Connects to the server, or to the node of its cluster that has our keys.
    async fn enter(&self, server: &Server, options: &LinkOptions) -> Result<Found, Fault> {
        let opened = server.open(options, |_| {}).await?;
        if opened.hello.is_cluster() {
            return self.enter_cluster(server.clone(), opened, options).await;
        }
        if opened.hello.is_sentinel() {
            let why = "this is a sentinel: use `sentinel://`, and set `master_name` in the transport options";
            return Err(Fault::refused(&server.shown, why));
        }
        // One that stands alone is taken at its word when it is asked to write: there is nothing else to go to.
        if opened.hello.is_replica() && self.listed.len() > 1 {
            return Err(Fault::with(Step::Move, &server.shown, "it is a replica"));
        }
        Ok(Found { server: server.clone(), opened })
    }

    fn learned(&self) -> MutexGuard<'_, Vec<Server>> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
