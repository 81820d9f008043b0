//! Python's side, in the way that suits it best in each row: on two cores, two processes for tasks that compute or do
//! nothing.

use std::{process::Stdio, time::Duration};

use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::{Instant, timeout},
};

use crate::{
    Outcome,
    messages::{self, Message},
    process,
    space::{PAUSE, Space},
    worker::Done,
};

/// How long anything may take: much longer than it takes.
const LIMIT: Duration = Duration::from_secs(600);

/// Two processes, each given its next task only when it is free.
pub(crate) const PROCESSES: &[&str] = &["-P", "prefork", "-c", "2", "-O", "fair"];

/// What the task that computes takes of a core there.
pub(crate) const BURN: Duration = Duration::from_millis(10);

/// Sends a chain of the task that does nothing; returns the id of the last one.
pub(crate) async fn sends_chain(space: &Space, length: usize) -> Outcome<Option<String>> {
    client(space, "chain", length).await
}

/// How many milliseconds each of so many chords took that have so many parts.
pub(crate) async fn chords(space: &Space, count: usize, parts: usize) -> Outcome<Option<Vec<f64>>> {
    let Some(worker) = PythonWorker::start(space, &Value::Null, PROCESSES).await? else {
        return Ok(None);
    };
    let mut took = Vec::new();
    for _ in 0..count {
        took.extend(client::<f64>(space, "chord", parts).await?);
    }
    worker.stop().await?;
    Ok(Some(took))
}

/// How many messages a client sends in a second.
pub(crate) async fn sends(space: &Space, count: usize) -> Outcome<Option<f64>> {
    client(space, "send", count).await
}

/// How many milliseconds each round trip took.
pub(crate) async fn trips(space: &Space, count: usize) -> Outcome<Option<Vec<f64>>> {
    let Some(worker) = PythonWorker::start(space, &Value::Null, PROCESSES).await? else {
        return Ok(None);
    };
    let took = client(space, "trip", count).await?;
    worker.stop().await?;
    Ok(took)
}

/// What a worker does with the messages.
pub(crate) async fn drains(
    space: &Space,
    settings: &Value,
    pool: &[&str],
    messages: &[Message],
) -> Outcome<Option<Done>> {
    if space.python.is_none() {
        return Ok(None);
    }
    messages::fill(space, messages).await?;
    let Some(worker) = PythonWorker::start(space, settings, pool).await? else {
        return Ok(None);
    };
    let mut redis = space.connect().await?;
    let mut left = async || {
        let (waiting, held) = space.counts(&mut redis).await?;
        Outcome::Ok(waiting + held)
    };
    // Its first steps are not counted.
    while left().await? > messages.len() * 9 / 10 {
        tokio::time::sleep(PAUSE).await;
    }
    let (tasks, began, cpu) = (left().await?, Instant::now(), process::cpu_of_all(worker.id()?)?);
    let seconds = (space.drained().await? - began).as_secs_f64();
    let cpu = (process::cpu_of_all(worker.id()?)? - cpu).as_secs_f64();
    worker.stop().await?;
    Ok(Some(Done { tasks, seconds, cpu, lateness: vec![] }))
}

/// A worker that runs. It ends with its standard input.
#[derive(Debug)]
pub(crate) struct PythonWorker {
    child: Child,
    /// Where its tasks write how late they are.
    lateness: NamedTempFile,
}

impl PythonWorker {
    /// Starts one, and waits until it is ready; none where Python is left out.
    pub(crate) async fn start(
        space: &Space,
        settings: &Value,
        pool: &[&str],
    ) -> Outcome<Option<Self>> {
        let Some(mut command) = python(space, settings) else { return Ok(None) };
        let lateness = NamedTempFile::new()?;
        command.env("BENCH_LATENESS", lateness.path());
        let words = ["-m", "celery", "-A", "fleet", "worker", "-l", "ERROR"];
        let mut child =
            command.args(words).args(pool).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("it is piped")?).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await? {
                if line == "ready" {
                    return Ok(());
                }
            }
            Outcome::Err("Python's worker ended before it was ready".into())
        };
        timeout(LIMIT, ready).await??;
        // What else it says is not read, but must find somebody.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Some(Self { child, lateness }))
    }

    pub(crate) fn id(&self) -> Outcome<u32> {
        Ok(self.child.id().ok_or("Python's worker has ended")?)
    }

    /// By how many milliseconds each task was late that told when it was due.
    pub(crate) fn lateness(&self) -> Outcome<Vec<f64>> {
        let lines = std::fs::read_to_string(self.lateness.path())?;
        Ok(lines.lines().map(str::parse).collect::<Result<_, _>>()?)
    }

    pub(crate) async fn stop(mut self) -> Outcome<()> {
        drop(self.child.stdin.take());
        timeout(LIMIT, self.child.wait()).await??;
        Ok(())
    }
}

/// Runs a command of `fleet.py`; returns what it printed.
async fn client<T: DeserializeOwned>(
    space: &Space,
    what: &str,
    count: usize,
) -> Outcome<Option<T>> {
    let Some(mut command) = python(space, &Value::Null) else { return Ok(None) };
    let output = command.args(["fleet.py", what, &count.to_string()]).output();
    let output = timeout(LIMIT, output).await??;
    serde_json::from_slice(&output.stdout).map(Some).map_err(|_| {
        format!("fleet.py {what} failed: {}", String::from_utf8_lossy(&output.stderr)).into()
    })
}

/// Python in the folder of `fleet.py`; none where it is left out.
fn python(space: &Space, settings: &Value) -> Option<Command> {
    let mut command = Command::new(space.python.as_ref()?);
    command
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/fleet"))
        .env("BENCH_SETTINGS", space.settings(settings).to_string())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .kill_on_drop(true);
    Some(command)
}
