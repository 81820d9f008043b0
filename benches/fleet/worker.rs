//! Our worker: this program once more, as a process of its own.
//!
//! It says on its standard output when it is ready and, at its end, what it has done. It ends when it has run what is
//! expected, or when its standard input does, so that none outlives the benchmark.

use std::{process::Stdio, time::Duration};

use celery::{Celery, Shutdown, Worker, WorkerOptions, core::signals::Signals};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::{
    Outcome,
    tasks::{RUN, Usage},
};

/// The first word of a worker's command line.
pub(crate) const ROLE: &str = "worker";

/// A program to run workers with, such as a profiler.
const UNDER: &str = "BENCH_UNDER";

/// How long anything may take: much longer than it takes.
const LIMIT: Duration = Duration::from_secs(600);

/// What a worker is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) settings: Value,
    pub(crate) concurrency: usize,
    /// Ends after that many tasks.
    pub(crate) expected: Option<usize>,
}

/// What a worker has done.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) tasks: usize,
    /// From the first task's start until all were settled.
    pub(crate) seconds: f64,
    /// Of the processors, in the same time.
    pub(crate) cpu: f64,
    /// In milliseconds, of those that told when they were due.
    pub(crate) lateness: Vec<f64>,
}

impl Done {
    /// In tasks a second.
    pub(crate) fn rate(&self) -> f64 {
        self.tasks as f64 / self.seconds
    }

    /// In microseconds of CPU a task.
    pub(crate) fn cpu_each(&self) -> f64 {
        self.cpu * 1e6 / self.tasks as f64
    }
}

/// A worker that runs.
#[derive(Debug)]
pub(crate) struct OurWorker {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// From its start until it was ready.
    pub(crate) starting: Duration,
}

impl OurWorker {
    /// Starts one, and waits until it is ready.
    pub(crate) async fn start(job: &Job) -> Outcome<Self> {
        let began = tokio::time::Instant::now();
        let program = std::env::current_exe()?;
        let mut command = match std::env::var_os(UNDER) {
            Some(under) => {
                let mut command = Command::new(under);
                command.arg(program);
                command
            }
            None => Command::new(program),
        };
        let mut child = command
            .args([ROLE, &serde_json::to_string(job)?])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().ok_or("it is piped")?;
        let mut lines = BufReader::new(stdout).lines();
        match timeout(LIMIT, lines.next_line()).await?? {
            Some(line) if line == "ready" => Ok(Self { child, lines, starting: began.elapsed() }),
            said => Err(format!("the worker did not start, but said {said:?}").into()),
        }
    }

    pub(crate) fn id(&self) -> Outcome<u32> {
        Ok(self.child.id().ok_or("the worker has ended")?)
    }

    /// Waits until it has done what was expected.
    pub(crate) async fn done(mut self) -> Outcome<Done> {
        let Some(line) = timeout(LIMIT, self.lines.next_line()).await?? else {
            return Err("the worker ended without a word".into());
        };
        timeout(LIMIT, self.child.wait()).await??;
        Ok(serde_json::from_str(&line)?)
    }

    /// Ends it, with what it is doing done.
    pub(crate) async fn stop(mut self) -> Outcome<Done> {
        drop(self.child.stdin.take());
        self.done().await
    }
}

/// The worker's side.
pub(crate) fn serve() -> Outcome<()> {
    let job: Job = serde_json::from_str(&std::env::args().nth(2).ok_or("a worker has a job")?)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let done = runtime.block_on(work(job))?;
    println!("{}", serde_json::to_string(&done)?);
    Ok(())
}

async fn work(job: Job) -> Outcome<Done> {
    let app = Celery::builder("bench").environment_from([]);
    let app = app.config_from_object(&job.settings, "")?.signals(Readiness).build()?;
    let options = WorkerOptions { concurrency: Some(job.concurrency), ..WorkerOptions::default() };
    let shutdown = Shutdown::default();
    if let Some(expected) = job.expected {
        RUN.expect(expected);
    }
    let (ran, input) = (shutdown.warm.clone(), shutdown.warm.clone());
    tokio::spawn(async move {
        RUN.all.notified().await;
        ran.cancel();
    });
    // Nothing is written to it: it ends with whoever holds it.
    std::thread::spawn(move || {
        let _ended = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        input.cancel();
    });
    Worker::new(&app, options)?.run(shutdown).await?;
    let last = Usage::now();
    let first = RUN.first().unwrap_or(last);
    Ok(Done {
        tasks: RUN.tasks(),
        seconds: (last.at - first.at).as_secs_f64(),
        cpu: (last.cpu - first.cpu).as_secs_f64(),
        lateness: std::mem::take(
            &mut RUN.lateness.lock().unwrap_or_else(std::sync::PoisonError::into_inner),
        ),
    })
}

struct Readiness;

impl Signals for Readiness {
    fn worker_ready(&self, _: &str) {
        println!("ready");
    }
}
