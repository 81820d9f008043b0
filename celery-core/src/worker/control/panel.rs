//! What a command of remote control is given: the worker.

use std::sync::Arc;

use super::inspect::Samples;
use crate::{
    app::Celery,
    worker::{Shutdown, node::Node},
};

/// The worker, as a command of remote control sees it.
#[derive(Clone, Debug)]
pub struct Panel {
    pub(in crate::worker) node: Arc<Node>,
    pub(in crate::worker) shutdown: Shutdown,
    pub(super) samples: Samples,
}

impl Panel {
    pub(super) fn new(node: Arc<Node>, shutdown: Shutdown) -> Self {
        Self { node, shutdown, samples: Samples::default() }
    }

    /// The app of the worker.
    pub fn app(&self) -> &Celery {
        &self.node.app
    }

    /// The node name of the worker.
    pub fn hostname(&self) -> &str {
        &self.node.hostname
    }
}
