//! A Rust client and worker beside Python's, on one Redis, in one run: `cargo xtask bench`.
//!
//! What is printed are ratios and shares: the absolute numbers are those of the machine. A no-op task is sent and
//! run with its result kept, by each side in turn, each with two slots.

#![expect(clippy::print_stdout, reason = "a benchmark is read on a terminal")]

use std::{
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use celery::{Shutdown, Worker, WorkerOptions, prelude::*};
use tokio::time::Instant;

const TASKS: usize = 20_000;
const TASKS_OF_PYTHON: usize = 2_000;

static RUN: AtomicUsize = AtomicUsize::new(0);

#[shared_task(name = "bench.noop")]
async fn noop() {
    RUN.fetch_add(1, Ordering::Relaxed);
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url =
        std::env::var("CELERY_TEST_REDIS_URL").map_err(|_| "run it as `cargo xtask bench`")?;
    let python =
        std::env::var("CELERY_TEST_PYTHON").map_err(|_| "run it as `cargo xtask bench`")?;
    let app = Celery::builder("bench")
        .broker(&url)
        .backend(&url)
        .set("task_default_queue", "bench")
        .build()?;
    app.set_current();

    let began = Instant::now();
    send(TASKS).await?;
    let sent = rate(TASKS, began.elapsed());
    let Ran { rate: run, cpu } = work(&app, Events::Off).await?;
    let (off, on) = with_and_without_events(&app).await?;

    let (sent_by_python, run_by_python) = python_rates(&app, &python, &url).await?;
    println!("                     Rust      Python    ratio");
    println!(
        "sent, per second  {sent:>7.0}   {sent_by_python:>9.0}   {:>6.1}",
        sent / sent_by_python
    );
    println!("run, per second   {run:>7.0}   {run_by_python:>9.0}   {:>6.1}", run / run_by_python);
    println!("the Rust worker used {cpu:.1} µs of CPU a task");
    println!(
        "with 3 events a task it runs {:.1} % of what it runs without ({:.0} and {:.0} a second), for {:.1} µs of CPU more",
        100.0 * on.rate / off.rate,
        on.rate,
        off.rate,
        on.cpu - off.cpu
    );
    Ok(())
}

/// What a worker ran in a second, and the microseconds of CPU that a task took.
#[derive(Clone, Copy)]
struct Ran {
    rate: f64,
    cpu: f64,
}

#[derive(Clone, Copy, PartialEq)]
enum Events {
    On,
    Off,
}

/// Runs what waits.
async fn work(app: &Celery, events: Events) -> Result<Ran, Box<dyn std::error::Error>> {
    RUN.store(0, Ordering::Relaxed);
    let before = CpuTime::of_this_process()?;
    let began = Instant::now();
    let shutdown = Shutdown::default();
    let task_events = Some(events == Events::On);
    let options = WorkerOptions { concurrency: Some(2), task_events, ..WorkerOptions::default() };
    let running = tokio::spawn(Worker::new(app, options)?.run(shutdown.clone()));
    while RUN.load(Ordering::Relaxed) < TASKS {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = began.elapsed();
    let cpu = CpuTime::of_this_process()?.0 - before.0;
    shutdown.warm.cancel();
    running.await??;
    Ok(Ran { rate: rate(TASKS, took), cpu: cpu.as_secs_f64() * 1e6 / TASKS as f64 })
}

/// The same tasks without and with their events, in turn, since a machine is not always equally busy: the median of
/// each.
async fn with_and_without_events(app: &Celery) -> Result<(Ran, Ran), Box<dyn std::error::Error>> {
    let (mut off, mut on) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        for (events, ran) in [(Events::Off, &mut off), (Events::On, &mut on)] {
            send(TASKS).await?;
            ran.push(work(app, events).await?);
        }
    }
    let median = |mut ran: Vec<Ran>| {
        ran.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        ran[ran.len() / 2]
    };
    Ok((median(off), median(on)))
}

async fn send(tasks: usize) -> Result<(), celery::Error> {
    const AT_ONCE: usize = 100;
    for _ in 0..tasks / AT_ONCE {
        let sending: Vec<_> = (0..AT_ONCE).map(|_| tokio::spawn(Noop::delay())).collect();
        for sent in sending {
            sent.await.expect("sending does not panic")?;
        }
    }
    Ok(())
}

/// What Python sends and runs in a second, of the same task on the same server.
async fn python_rates(
    app: &Celery,
    python: &str,
    url: &str,
) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/benches");
    let command = |arguments: &[&str]| {
        let mut command = Command::new(python);
        command.current_dir(folder).args(arguments).env("CELERY_BROKER_URL", url);
        command.env("CELERY_RESULT_BACKEND", url);
        command
    };
    let output = command(&["fleet.py", &TASKS_OF_PYTHON.to_string()]).output()?;
    let sent: f64 = String::from_utf8_lossy(&output.stdout).trim().parse()?;
    let worker = ["-m", "celery", "-A", "fleet", "worker", "-c", "2", "-l", "ERROR", "-Q", "bench"];
    let mut worker = command(&worker);
    let _worker = KilledOnDrop(worker.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    let broker = app.broker().await?;
    let waiting = async || broker.queue_len("bench").await;
    // Its start-up is not counted.
    while waiting().await? > u64::try_from(TASKS_OF_PYTHON)? - 100 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let left = waiting().await?;
    let began = Instant::now();
    while waiting().await? > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok((sent, rate(usize::try_from(left)?, began.elapsed())))
}

fn rate(tasks: usize, took: Duration) -> f64 {
    tasks as f64 / took.as_secs_f64()
}

struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        // One that has ended already needs no killing.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// What a process has used of the processors.
struct CpuTime(Duration);

impl CpuTime {
    fn of_this_process() -> std::io::Result<Self> {
        let stat = std::fs::read_to_string("/proc/self/stat")?;
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks = |field: usize| -> u64 {
            after_name
                .split_whitespace()
                .nth(field)
                .and_then(|ticks| ticks.parse().ok())
                .unwrap_or(0)
        };
        // Fields 14 and 15 of proc(5), in hundredths of a second on Linux.
        Ok(Self(Duration::from_millis((ticks(11) + ticks(12)) * 10)))
    }
}
