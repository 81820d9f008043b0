//! One run of a task, from its start to what follows from it: the step that every pool takes, in whichever process.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    execute::{self, Limits},
    hooks,
    verdict::{self, Facts, Outcome, Verdict, WhenLost},
};
use crate::{clock, context::Context, protocol::TaskMessage, registry::Registration, repr};

/// A run that is over.
#[derive(Debug)]
pub(super) struct Traced {
    /// What is to be done.
    pub(super) verdict: Verdict,
    /// How long the task ran.
    pub(super) runtime: Duration,
}

/// Runs the task of the context and decides what follows. `occupied` is held for as long as the task really occupies
/// its place, and `stopped` says with which outcome the run is broken off, if it ever is.
pub(super) async fn trace(
    task: &Registration,
    context: &Context,
    limits: Limits,
    occupied: impl Send + 'static,
    stopped: impl Future<Output = Outcome> + Send,
) -> Traced {
    hooks::before(task, context);
    let began = Instant::now();
    let outcome = execute::execute(task, context, limits, occupied, stopped).await;
    let runtime = began.elapsed();
    let verdict = decide(task, context.request(), outcome);
    hooks::after(task, context, &verdict);
    Traced { verdict, runtime }
}

/// What follows from an outcome, by the options of the task.
pub(super) fn decide(task: &Registration, message: &TaskMessage, outcome: Outcome) -> Verdict {
    let exhausted = || exhausted(task, message);
    let facts = facts(task, message, &exhausted);
    verdict::decide(outcome, facts, |full| fastrand::u64(0..=full))
}

/// What follows from the death of the child process, and `why` it died.
pub(super) fn decide_lost(
    task: &Registration,
    message: &TaskMessage,
    why: String,
    when_lost: WhenLost,
) -> Verdict {
    verdict::decide_lost(why, when_lost, facts(task, message, &|| exhausted(task, message)))
}

fn facts<'a>(
    task: &'a Registration,
    message: &TaskMessage,
    exhausted: &'a dyn Fn() -> String,
) -> Facts<'a> {
    let retries = message.headers.retries;
    Facts { options: &task.options, retries, now: clock::now, exhausted }
}

fn exhausted(task: &Registration, message: &TaskMessage) -> String {
    let (args, kwargs) = task.shown(message);
    let (args, kwargs) =
        (repr::args(&args, &Default::default()), repr::kwargs(&kwargs, &Default::default()));
    format!("Can't retry {}[{}] args:{args} kwargs:{kwargs}", message.task, message.id)
}
