//! Keeps one child process, from its start to its end: gives it tasks, one at a time, and reaps it.

#[cfg(test)]
mod tests;

use std::{future::pending, io, ops::ControlFlow, process::ExitStatus, sync::Arc, time::Duration};

use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::AsyncWriteExt,
    net::unix::OwnedWriteHalf,
    process::Child,
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};

use super::{
    children::Children,
    exit,
    pipe::{Answer, Answers, Identity, Order, Report, frame},
    spawner::Started,
};
use crate::{
    exception::Exception,
    task::Failure,
    worker::{
        requests::Held,
        verdict::{Cancellation, Outcome},
    },
};

/// A task for a child. Its arguments are in it, and are not to be shown.
pub(super) struct Job {
    /// The order, as it is written.
    pub(super) order: Bytes,
    /// After how long the child is killed.
    pub(super) hard: Option<Duration>,
    /// The request, which may be terminated.
    pub(super) held: Arc<Held>,
    /// Where the end is told.
    pub(super) end: oneshot::Sender<End>,
}

/// How a job ended.
#[derive(Debug)]
pub(super) enum End {
    /// The child told.
    Told(Box<Report>),
    /// The child was stopped, or what it told cannot be taken.
    Broken(Outcome),
    /// The child died of its own, and so.
    Lost(String),
}

/// The owner of a child process.
#[derive(Debug)]
pub(super) struct Keeper {
    children: Arc<Children>,
    identity: Identity,
    process: Child,
    pid: Pid,
    orders: OwnedWriteHalf,
    answers: Answers,
    done: u64,
}

/// How long a child may take to end by itself when it is told to.
const FAREWELL: Duration = Duration::from_secs(5);

impl Keeper {
    /// Starts a child and waits until it is ready; says why it is not.
    pub(super) async fn start(children: Arc<Children>, identity: Identity) -> Result<Self, String> {
        let started = children.spawner()?.start(identity.clone()).await;
        let Started { process, socket } =
            started.map_err(|error| format!("the process cannot be started: {error}"))?;
        let pid = process.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let pid = pid.ok_or_else(|| "the process ended at once".to_owned())?;
        let (answers, orders) = socket.into_split();
        let answers = Answers::new(answers);
        let mut keeper = Self { children, identity, process, pid, orders, answers, done: 0 };
        match keeper.report_in().await {
            Ok(()) => Ok(keeper),
            Err(reason) => {
                keeper.kill().await;
                Err(reason)
            }
        }
    }

    /// The id of the process.
    pub(super) fn pid(&self) -> u32 {
        self.pid.as_raw_pid().cast_unsigned()
    }

    async fn report_in(&mut self) -> Result<(), String> {
        let limit = self.children.rules().alive_timeout;
        let children = Arc::clone(&self.children);
        let stopping = async {
            tokio::select! {
                () = children.stopped() => {}
                // One that is about to be ready still ends as others do.
                () = children.closing().cancelled() => sleep(FAREWELL).await,
            }
        };
        let answer = tokio::select! {
            biased;
            answer = timeout(limit, self.answers.next()) => answer,
            () = stopping => return Err("the worker stops".to_owned()),
        };
        match answer {
            Ok(Ok(Answer::Ready)) => Ok(()),
            Ok(Ok(Answer::Refused(reason))) => Err(reason),
            Ok(Ok(Answer::Done(_))) => Err("it speaks out of turn".to_owned()),
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                let status = self.reap().await;
                Err(format!(
                    "it ended before it was ready ({status}); a program that has children comes to `celery::cli::run`, or to `Worker::run`, in each of them"
                ))
            }
            Ok(Err(error)) => Err(format!("what it says cannot be read: {error}")),
            Err(_) => Err(format!(
                "it did not report in within {limit:?}; if it needs longer to start, raise `worker_proc_alive_timeout`"
            )),
        }
    }

    /// Serves jobs until the child ends, or nobody is left who could send one. Says whether it died of its own.
    pub(super) async fn keep(mut self, mut jobs: mpsc::Receiver<Job>) -> ControlFlow<ExitStatus> {
        let gone = self.children.gone().clone();
        loop {
            tokio::select! {
                biased;
                () = gone.cancelled() => {
                    self.kill().await;
                    return ControlFlow::Continue(());
                }
                // Before a job is taken, so that one that comes too late is given to another child.
                status = self.process.wait() => return ControlFlow::Break(status.unwrap_or_default()),
                job = jobs.recv() => match job {
                    Some(job) => self.serve(job, &mut jobs).await?,
                    None => {
                        self.dismiss().await;
                        return ControlFlow::Continue(());
                    }
                },
            }
        }
    }

    async fn serve(&mut self, job: Job, jobs: &mut mpsc::Receiver<Job>) -> ControlFlow<ExitStatus> {
        let Job { order, hard, held, end } = job;
        let (ended, flow) = match self.follow(order, hard, &held).await {
            Followed::Told { report, was_signalled } => {
                self.done += 1;
                // The signal was meant for this job, and may reach the child, or the worker, only after it.
                if self.is_spent(&report) || was_signalled {
                    jobs.close();
                }
                (End::Told(report), ControlFlow::Continue(()))
            }
            Followed::Killed(outcome) => {
                jobs.close();
                (End::Broken(outcome), ControlFlow::Continue(()))
            }
            // Nothing has begun: who waits for the end sees that there is none, and takes another child.
            Followed::Idle(status) => return ControlFlow::Break(status),
            Followed::Died(status, number) => {
                let status_text = exit::describe(status);
                let message = format!("Worker exited prematurely: {status_text} Job: {number}.");
                (End::Lost(message), ControlFlow::Break(status))
            }
        };
        // Who is gone meanwhile went with the worker.
        let _gone = end.send(ended);
        flow
    }

    /// Gives the child its order, and waits for what becomes of it.
    async fn follow(&mut self, mut order: Bytes, hard: Option<Duration>, held: &Held) -> Followed {
        let (cold, gone) = (self.children.cold().clone(), self.children.gone().clone());
        let kill_at = async {
            match hard {
                Some(after) => sleep(after).await,
                None => pending().await,
            }
        };
        tokio::pin!(kill_at);
        let length = order.len();
        let mut sending = Box::pin(self.orders.write_all_buf(&mut order));
        let (mut is_sending, mut number) = (true, None);
        let mut terminated = None;
        let broken_off = loop {
            tokio::select! {
                biased;
                answer = self.answers.next() => match answer {
                    Ok(Answer::Done(report)) => {
                        return Followed::Told { report, was_signalled: terminated.is_some() };
                    }
                    Ok(Answer::Ready | Answer::Refused(_)) => {}
                    // It is dead, or dying.
                    Err(error) if is_closed(&error) => break None,
                    Err(error) => break Some(unreadable(&error)),
                },
                sent = &mut sending, if is_sending => {
                    is_sending = false;
                    // What cannot be written is told by the end of the answers.
                    if sent.is_ok() {
                        number = Some(self.children.count_job(self.identity.number));
                    }
                }
                () = gone.cancelled() => break Some(Outcome::Cancelled(Cancellation::Shutdown)),
                () = cold.cancelled() => break Some(Outcome::Cancelled(Cancellation::Shutdown)),
                () = held.cancellation() => {
                    break Some(Outcome::Cancelled(Cancellation::ConnectionLost));
                }
                () = &mut kill_at => break Some(Outcome::TimedOut(hard.unwrap_or_default())),
                signal = held.termination() => {
                    terminated = Some(signal);
                    send_signal(self.pid, signal);
                }
            }
        };
        drop(sending);
        match (broken_off, terminated) {
            (Some(outcome), _) => {
                self.kill().await;
                Followed::Killed(outcome)
            }
            (None, Some(signal)) => {
                self.reap().await;
                Followed::Killed(Outcome::Terminated(signal))
            }
            // It was dead before. Of one that dies while it reads, the order may be the reason: it is not tried again.
            (None, None) if order.len() == length => Followed::Idle(self.reap_status().await),
            (None, None) => {
                let number =
                    number.unwrap_or_else(|| self.children.count_job(self.identity.number));
                Followed::Died(self.reap_status().await, number)
            }
        }
    }

    /// Whether the child has had its share.
    fn is_spent(&self, report: &Report) -> bool {
        let rules = self.children.rules();
        if let (Some(limit), Some(used)) = (rules.max_memory, report.resident)
            && used > limit
        {
            let name = self.identity.name();
            tracing::warn!(
                "{name}: child process exiting after exceeding memory limit ({used}KiB / {limit}KiB)"
            );
            return true;
        }
        rules.max_tasks.is_some_and(|limit| self.done >= limit)
    }

    /// Tells the child to end, and waits until it has.
    async fn dismiss(&mut self) {
        self.children.leaves(self.identity.number);
        let farewell = async {
            let order = frame(&Order::End)?;
            self.orders.write_all(&order).await?;
            self.process.wait().await
        };
        if !matches!(timeout(FAREWELL, farewell).await, Ok(Ok(_))) {
            self.kill().await;
        }
        tracing::debug!("{} has ended", self.identity.name());
    }

    async fn kill(&mut self) {
        // It fails when the child is dead already.
        let _dead = self.process.start_kill();
        let _reaped = self.process.wait().await;
    }

    /// Waits for the end of a child whose socket is closed.
    async fn reap_status(&mut self) -> ExitStatus {
        match timeout(FAREWELL, self.process.wait()).await {
            Ok(status) => status.unwrap_or_default(),
            Err(_) => {
                let _dead = self.process.start_kill();
                self.process.wait().await.unwrap_or_default()
            }
        }
    }

    async fn reap(&mut self) -> String {
        exit::describe(self.reap_status().await)
    }
}

/// What became of a job.
enum Followed {
    /// The child told; a signal for the job may still be on its way to it.
    Told { report: Box<Report>, was_signalled: bool },
    /// The child was killed, and is reaped.
    Killed(Outcome),
    /// It died without a job, and is reaped.
    Idle(ExitStatus),
    /// It died in the job of that number, and is reaped.
    Died(ExitStatus, u64),
}

fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | BrokenPipe)
}

/// A result of which the worker can make nothing, such as one that is nested too deep.
fn unreadable(error: &io::Error) -> Outcome {
    let exception = Exception::new("EncodeError", "kombu.exceptions", error.to_string());
    Outcome::Error(Failure::new(exception).into())
}

/// Sends the signal. Children ignore what stops a worker when it is sent to the whole group; here it is meant.
fn send_signal(pid: Pid, number: i32) {
    let signal = match Signal::from_named_raw(number) {
        Some(Signal::HUP | Signal::INT | Signal::QUIT | Signal::TERM) => Signal::KILL,
        Some(signal) => signal,
        None => {
            tracing::error!(number, "there is no such signal to terminate a task with");
            return;
        }
    };
    // A child that is dead already has been terminated.
    let _dead = kill_process(pid, signal);
}
