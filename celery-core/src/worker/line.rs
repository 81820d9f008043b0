//! The line of requests that wait for a slot, and the runners that take them out of it.
//!
//! A runner is a task of the runtime with a slot, in which it runs one request after the other, for as long as there are
//! any. Each that begins starts the next one first: whatever a task does, those behind it find another thread. So as many
//! run as there are slots, and tasks that end at once cost no runner each.

use std::{
    any::Any,
    collections::VecDeque,
    future::poll_fn,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use futures_util::FutureExt;
use tokio::{runtime::Handle, task::coop::consume_budget};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{
    node::Node,
    panics,
    request::{Request, Work},
    slots::Slot,
};

/// The requests that wait for a slot, and what is under way.
pub(super) struct Line {
    node: Arc<Node>,
    /// In the order in which they begin.
    waiting: Mutex<VecDeque<Box<Request>>>,
    /// How many runners have been started and have not begun.
    starting: AtomicUsize,
    /// How many may be starting at once. One of each thread may be stuck behind what that thread does, so there is
    /// always one more than that which is not.
    most_starting: usize,
    under_way: TaskTracker,
    gone: CancellationToken,
}

impl Line {
    /// A line, and what breaks off all that is under way when it is dropped.
    pub(super) fn new(node: &Arc<Node>) -> (Arc<Self>, DropGuard) {
        let gone = CancellationToken::new();
        let line = Arc::new(Self {
            node: Arc::clone(node),
            waiting: Mutex::default(),
            starting: AtomicUsize::new(0),
            most_starting: Handle::current().metrics().num_workers() + 1,
            under_way: TaskTracker::new(),
            gone: gone.clone(),
        });
        (line, gone.drop_guard())
    }

    /// Puts a request at the end. It begins when [`start`](Self::start) is called.
    pub(super) fn push(&self, request: Box<Request>) {
        self.waiting().push_back(request);
    }

    /// Takes out all that have not begun.
    pub(super) fn take_all(&self) -> VecDeque<Box<Request>> {
        std::mem::take(&mut *self.waiting())
    }

    /// Starts runners for those that wait, as far as there are slots; `Slots::freed` says when to call it again.
    pub(super) fn start(self: &Arc<Self>) {
        loop {
            let starting = self.starting.load(Ordering::Relaxed);
            if starting >= self.waiting().len().min(self.most_starting) {
                return;
            }
            let Some(slot) = self.node.slots.try_take() else { return };
            self.starting.fetch_add(1, Ordering::Relaxed);
            self.spawn(Arc::clone(self).runner(slot));
        }
    }

    /// Runs what outlives the loop that began it.
    pub(super) fn spawn(&self, work: Work) {
        let (node, gone) = (Arc::clone(&self.node), self.gone.clone());
        self.under_way.spawn(async move {
            let work = AssertUnwindSafe(work).catch_unwind();
            if let Some(Err(payload)) = gone.run_until_cancelled(work).await {
                log_lost(&node, &*payload);
            }
        });
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Waits until nothing is under way, and nothing is to come.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn ended(&self) {
        self.under_way.close();
        self.under_way.wait().await;
    }

    /// Boxed, since it starts others like it.
    fn runner(self: Arc<Self>, slot: Slot) -> Work {
        Box::pin(async move {
            self.starting.fetch_sub(1, Ordering::Relaxed);
            self.start();
            self.run_those_that_wait(slot).await;
            // It may have been given back before its time.
            self.start();
        })
    }

    async fn run_those_that_wait(&self, slot: Slot) {
        let slot = Arc::new(slot);
        while let Some(request) = self.next() {
            if let Some(done) = request.run(&slot).await {
                self.settle(Box::pin(done.settle())).await;
            }
            // A function that could not be stopped goes on in it.
            let is_occupied = Arc::strong_count(&slot) > 1;
            if is_occupied || slot.is_wanted_back() {
                return;
            }
            // Tasks that never wait do not keep the thread from others.
            consume_budget().await;
        }
    }

    /// Settling takes no slot, and is mostly done with when it has been begun.
    async fn settle(&self, mut settling: Pin<Box<impl Future<Output = ()> + Send + 'static>>) {
        let ended = poll_fn(|context| Poll::Ready(settling.as_mut().poll(context).is_ready()));
        if !ended.await {
            self.spawn(settling);
        }
    }

    fn next(&self) -> Option<Box<Request>> {
        self.waiting().pop_front()
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Box<Request>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log_lost(node: &Node, payload: &(dyn Any + Send)) {
    let reason = panics::failure_at(payload, None).exception.to_string();
    node.app.listeners().tell("task_internal_error", |it| it.task_internal_error(&reason));
    tracing::error!(reason, "a request was not carried through");
}
