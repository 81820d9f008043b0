//! Runs a task under its limits.

use std::{future::pending, panic::AssertUnwindSafe, pin::Pin, time::Duration};

use futures_util::FutureExt;
use tokio::time::sleep;

use super::{
    panics,
    verdict::{Cancellation, Outcome},
};
use crate::{
    arguments::Bound,
    context::Context,
    exception::Exception,
    registry::{Body, Registration},
    task::{Failure, SoftTimeLimitExceeded, TaskError},
    value::Value,
};

/// How long a task may run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Limits {
    /// Until it is stopped.
    pub(super) hard: Option<Duration>,
    /// Until it is told to stop.
    pub(super) soft: Option<Duration>,
}

/// Runs the task of the context. `occupied` is held for as long as the task really occupies its place: a function that
/// passes its limit cannot be stopped, and goes on until it returns.
pub(super) async fn execute(
    task: &Registration,
    context: &Context,
    limits: Limits,
    occupied: impl Send + 'static,
    stopped: impl Future<Output = Outcome> + Send,
) -> Outcome {
    let bound = || bind(task, context);
    let run = match task.body {
        Body::Async(body) => {
            bound().map(|bound| run_async(body(context.clone(), bound), context, occupied).boxed())
        }
        Body::Blocking(body) => {
            bound().map(|bound| run_blocking(body, context.clone(), bound, occupied).boxed())
        }
        Body::Own(body) => Ok(run_async(body(context.clone()), context, occupied).boxed()),
    };
    let mut run: Run<'_> = match run {
        Ok(run) => run,
        Err(error) => return Outcome::Error(error),
    };
    let hard = limit(limits.hard);
    tokio::pin!(hard);
    let soft = limit(limits.soft);
    tokio::pin!(soft);
    tokio::pin!(stopped);
    let mut told = false;
    let broken_off = loop {
        tokio::select! {
            biased;
            outcome = &mut run => return outcome,
            outcome = &mut stopped => break outcome,
            () = &mut hard => break Outcome::TimedOut(limits.hard.unwrap_or_default()),
            () = &mut soft, if !told => {
                told = true;
                if !context.ask_to_stop() && !matches!(task.body, Body::Blocking(_)) {
                    break Outcome::Error(Failure::from(SoftTimeLimitExceeded).into());
                }
            }
        }
    };
    // A function cannot be stopped, but may look.
    context.ask_to_stop();
    panics::discard(run);
    broken_off
}

/// A task under way.
type Run<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

fn bind(task: &Registration, context: &Context) -> Result<Bound, TaskError> {
    let request = context.request();
    let function = task.name.rsplit('.').next().unwrap_or(task.name);
    Bound::bind(function, task.parameters, request.args.clone(), request.kwargs.clone()).map_err(
        |error| Failure::new(Exception::new("TypeError", "builtins", error.to_string())).into(),
    )
}

async fn run_async(
    body: impl Future<Output = Result<Value, TaskError>>,
    context: &Context,
    _occupied: impl Send,
) -> Outcome {
    match AssertUnwindSafe(context.scope(body)).catch_unwind().await {
        Ok(result) => outcome(result),
        Err(payload) => Outcome::Error(panics::failure(&*payload).into()),
    }
}

pub(super) async fn run_blocking(
    body: fn(Context, Bound) -> Result<Value, TaskError>,
    context: Context,
    bound: Bound,
    occupied: impl Send + 'static,
) -> Outcome {
    let run = move || {
        let _occupied = occupied;
        let called = AssertUnwindSafe(|| context.scope_sync(|| body(context.clone(), bound)));
        std::panic::catch_unwind(called)
            .unwrap_or_else(|payload| Err(panics::failure(&*payload).into()))
    };
    match tokio::task::spawn_blocking(run).await {
        Ok(result) => outcome(result),
        // Only a runtime that is shutting down drops what it was given to run.
        Err(_) => Outcome::Cancelled(Cancellation::Shutdown),
    }
}

fn outcome(result: Result<Value, TaskError>) -> Outcome {
    match result {
        Ok(value) => Outcome::Returned(value),
        Err(error) => Outcome::Error(error),
    }
}

async fn limit(after: Option<Duration>) {
    match after {
        Some(after) => sleep(after).await,
        None => pending().await,
    }
}
