//! A child process that is lent for one run.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{
    children::{Children, Handle},
    keeper::{End, Job},
    pipe::{Order, frame},
};
use crate::{
    context::Context,
    exception::Exception,
    registry::Registration,
    task::Failure,
    worker::{
        execute::Limits,
        hooks,
        requests::Hold,
        slots::Slot,
        trace::{Traced, decide, decide_lost},
        verdict::{Cancellation, Outcome, WhenLost},
    },
};

/// A child for one run. Dropping it gives it back.
#[derive(Debug)]
pub(in crate::worker) struct Lease {
    children: Arc<Children>,
    handle: Option<Handle>,
    // Given back after the child, for whoever takes it to find one.
    _slot: Arc<Slot>,
}

impl Lease {
    /// Takes a child.
    ///
    /// # Errors
    /// When none can be started any more, and why.
    pub(super) async fn take(children: &Arc<Children>, slot: Arc<Slot>) -> Result<Self, String> {
        let handle = Some(children.take().await?);
        Ok(Self { children: Arc::clone(children), handle, _slot: slot })
    }

    /// The id of the process.
    pub(in crate::worker) fn pid(&self) -> u32 {
        self.handle.as_ref().map_or(0, Handle::pid)
    }

    /// Runs the task of the context in the child.
    pub(in crate::worker) async fn run(
        mut self,
        task: &Registration,
        context: &Context,
        hold: &Hold,
        limits: Limits,
        when_lost: WhenLost,
    ) -> Traced {
        let began = tokio::time::Instant::now();
        let message = context.request();
        let end = self.end(context, hold, limits).await;
        let verdict = match end {
            Ok(End::Told(report)) => {
                context.add_children(report.children);
                if let Some(join) = report.join {
                    context.leave(join);
                }
                return Traced { verdict: report.verdict, runtime: report.runtime };
            }
            Ok(End::Broken(outcome)) => decide(task, message, outcome),
            Ok(End::Lost(why)) => decide_lost(task, message, why, when_lost),
            Err(why) => {
                let failure =
                    Failure::new(Exception::new("WorkerLostError", "billiard.exceptions", why));
                decide(task, message, Outcome::Error(failure.into()))
            }
        };
        // The child did not live to tell of it.
        hooks::after(task, context, &verdict);
        Traced { verdict, runtime: began.elapsed() }
    }

    /// Gives the job to the child, and waits for its end; says why that cannot be.
    async fn end(&mut self, context: &Context, hold: &Hold, limits: Limits) -> Result<End, String> {
        let message = Box::new(context.request().clone());
        let order = frame(&Order::Run { message, soft: limits.soft });
        let order = Bytes::from(order.map_err(|error| error.to_string())?);
        loop {
            if let Some(handle) = &self.handle {
                let (end, ended) = oneshot::channel();
                let (order, held) = (order.clone(), hold.held());
                // One that died before it took the job has not begun: another one may.
                if handle.give(Job { order, hard: limits.hard, held, end }).is_ok()
                    && let Ok(ended) = ended.await
                {
                    return Ok(ended);
                }
            }
            let handle = tokio::select! {
                biased;
                () = self.children.stopped() => {
                    return Ok(End::Broken(Outcome::Cancelled(Cancellation::Shutdown)));
                }
                handle = self.children.take() => handle?,
            };
            hold.moves(handle.pid());
            self.handle = Some(handle);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            self.children.give_back(handle);
        }
    }
}
