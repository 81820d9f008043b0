//! What the parts of a worker share.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    gossip::Gossip,
    health::Health,
    intake::Intake,
    limits::LimitOverrides,
    pool::{Autoscaler, Pool},
    rates::Rates,
    requests::Requests,
    revoked::Revoked,
    slots::Slots,
};
use crate::{app::Celery, events::EventDispatcher, protocol::TaskMessage, registry::Registry};

/// What the parts of a worker share.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) app: Celery,
    pub(super) hostname: Arc<str>,
    pub(super) began: Instant,
    pub(super) time_limit: Option<Duration>,
    pub(super) soft_time_limit: Option<Duration>,
    pub(super) slots: Arc<Slots>,
    pub(super) intake: Intake,
    pub(super) pool: Pool,
    pub(super) autoscaler: Option<Autoscaler>,
    /// How many messages are held for each place; 0 is any number.
    pub(super) prefetch_multiplier: u32,
    pub(super) limits: LimitOverrides,
    pub(super) requests: Arc<Requests>,
    pub(super) revoked: Revoked,
    pub(super) health: Health,
    pub(super) rates: Rates,
    /// What is heard of the others, if it is listened to.
    pub(super) gossip: Option<Gossip>,
    pub(super) events: EventDispatcher,
    /// Cancelled when the worker waits no longer for what runs.
    pub(super) cold: CancellationToken,
    /// Cancelled when the worker has given up on its broker: what cannot be stored or published is not tried again.
    pub(super) alone: CancellationToken,
}

impl Node {
    /// Whether so many who had the message were lost that it is not to be run again.
    pub(super) fn is_lost_too_often(&self, message: &TaskMessage) -> bool {
        let most = self.app.config().task.max_deliveries;
        most.is_some_and(|most| message.delivery_info.delivery_count >= most)
    }

    pub(super) fn registry(&self) -> &Registry {
        self.app.registry().expect("the registry was checked when the worker was made")
    }
}
