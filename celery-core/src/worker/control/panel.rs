//! What a command of remote control is given: the worker.

use std::{num::NonZeroU32, sync::Arc};

use super::inspect::{Samples, requests};
use crate::{
    app::Celery,
    broker::Queue,
    context::MissingState,
    control::TaskInfo,
    error::Error,
    worker::{Shutdown, node::Node, requests::Stage},
};

/// The worker, as a command of remote control sees it: what Celery's commands have in `state`.
///
/// ```
/// use celery_core::worker::Panel;
///
/// // `#[inspect_command]` makes it one that can be asked for.
/// async fn busy(panel: &Panel) -> bool {
///     !panel.reserved().is_empty()
/// }
/// ```
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

    /// What the app keeps under the type `T`: what a `#[state]` parameter receives.
    ///
    /// # Errors
    /// [`MissingState`] when the app was built without `.state(…)` of that type.
    pub fn state<T: Clone + Send + Sync + 'static>(&self) -> Result<T, MissingState> {
        let missing = MissingState { type_name: std::any::type_name::<T>() };
        self.node.app.state_map().get::<T>().ok_or(missing)
    }

    /// The tasks that run.
    pub fn active(&self) -> Vec<TaskInfo> {
        self.held(|stage| stage != Stage::Reserved)
    }

    /// The tasks that wait for a slot.
    pub fn reserved(&self) -> Vec<TaskInfo> {
        self.held(|stage| stage == Stage::Reserved)
    }

    /// The queues that are consumed.
    pub fn queues(&self) -> Vec<Queue> {
        self.node.intake.now().queues
    }

    /// Consumes from one queue more. One that is consumed already stays as it is.
    ///
    /// # Errors
    /// [`Error::Broker`] when the broker does not take it.
    pub async fn add_consumer(&self, queue: Queue) -> Result<(), Error> {
        self.node.app.broker().await?.declare(&queue).await?;
        let name = queue.name.clone();
        if self.node.intake.add(queue) {
            tracing::info!(target: "celery::worker", "Started consuming from {name}");
        }
        Ok(())
    }

    /// Consumes no more from the queue. What was taken from it already is run.
    pub fn cancel_consumer(&self, queue: &str) {
        if self.node.intake.cancel(queue) {
            tracing::info!(target: "celery::worker", "Stopped consuming from {queue}");
        }
    }

    /// How many messages are held at most; 0 is any number.
    pub fn prefetch(&self) -> u32 {
        self.node.intake.now().prefetch.map_or(0, NonZeroU32::get)
    }

    /// Holds that many messages at most; 0 is any number.
    pub fn set_prefetch(&self, most: u32) {
        self.node.intake.set_prefetch(most);
    }

    /// How many tasks run at once.
    pub fn concurrency(&self) -> usize {
        self.node.slots.count()
    }

    /// Runs that many tasks more at once, and holds messages for them.
    pub fn grow(&self, by: usize) {
        self.node.grow(by);
        self.node.hold_for(self.node.slots.count());
    }

    /// Runs that many tasks fewer at once, though one at least. What runs is not disturbed.
    pub fn shrink(&self, by: usize) {
        self.node.shrink(by);
        self.node.hold_for(self.node.slots.count());
    }

    /// Stops the worker as TERM does.
    pub fn shut_down(&self) {
        self.shutdown.warm.cancel();
    }

    fn held(&self, wanted: impl Fn(Stage) -> bool) -> Vec<TaskInfo> {
        let all = self.node.requests.all();
        let wanted = all.iter().filter(|held| wanted(held.stage()));
        wanted.filter_map(|held| requests::task_info(self, held)).collect()
    }
}
