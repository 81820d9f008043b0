//! Child processes where there are none: nothing that is checked at the start comes to want one.

use std::{convert::Infallible, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::{ChildRules, Start};
use crate::{
    context::Context,
    registry::Registration,
    worker::{execute::Limits, requests::Hold, slots::Slot, trace::Traced, verdict::WhenLost},
};

/// This process as a child of a worker, which none is on this system.
#[derive(Debug)]
pub struct ChildProcess(Infallible);

impl ChildProcess {
    /// Whether this process is a child of a worker.
    pub fn is_child() -> bool {
        false
    }
}

/// No children.
#[derive(Debug)]
pub(super) struct Children {
    rules: ChildRules,
    /// Never cancelled.
    failed: CancellationToken,
    gone: CancellationToken,
}

impl Children {
    pub(super) fn new(
        _: &str,
        _: usize,
        rules: ChildRules,
        _: Start,
        _: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self { rules, failed: CancellationToken::new(), gone: CancellationToken::new() })
    }

    pub(super) fn open(&self) {}

    pub(super) fn resize(&self, _: usize) {}

    pub(super) fn restart(&self) {}

    pub(super) async fn close(&self) {}

    pub(super) fn pids(&self) -> Vec<u32> {
        Vec::new()
    }

    pub(super) fn written(&self) -> Vec<u64> {
        Vec::new()
    }

    pub(super) fn failure(&self) -> Option<String> {
        None
    }

    pub(super) fn failed(&self) -> &CancellationToken {
        &self.failed
    }

    pub(super) fn gone(&self) -> &CancellationToken {
        &self.gone
    }

    pub(super) fn rules(&self) -> &ChildRules {
        &self.rules
    }
}

/// A child that is lent, of which there is none.
#[derive(Debug)]
pub(in crate::worker) struct Lease(Infallible);

impl Lease {
    pub(super) async fn take(_: &Arc<Children>, _: Slot) -> Result<Self, String> {
        Err("there are no child processes on this system".to_owned())
    }

    pub(super) fn pid(&self) -> u32 {
        match self.0 {}
    }

    pub(super) async fn run(
        self,
        _: &Registration,
        _: &Context,
        _: &Hold,
        _: Limits,
        _: WhenLost,
    ) -> Traced {
        match self.0 {}
    }
}
