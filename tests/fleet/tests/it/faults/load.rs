//! Tasks by the thousand, workers that write down what they run, and what is left in the broker.

use std::{collections::BTreeMap, time::Duration};

use celery::Celery;
use deadpool_redis::redis::{aio::MultiplexedConnection, cmd};
use peers::{LIMIT, Ledger, Process, Space, python};
use serde_json::json;
use tokio::{
    process::Command,
    time::{Instant, interval},
};

use crate::harness::command;

/// Whether nobody is to run what is in the key: results, the quarantine, what tests tell each other, and answers to a worker
/// that was killed before it read them.
fn holds_no_message(key: &str) -> bool {
    const BEGINS: [&str; 4] = ["celery-task-meta-", "celery-quarantine.", "entered:", "gate:"];
    BEGINS.iter().any(|kind| key.starts_with(kind)) || key.ends_with(".reply.celery.pidbox")
}

/// How often in a row nothing is to be found before it is believed that there is nothing.
const LOOKS: u32 = 50;

/// How many tasks are published side by side.
const AT_ONCE: usize = 64;

/// Publishes `fleet.work` once for each number, which takes so many milliseconds; returns their ids, in this order.
pub(crate) async fn send(app: &Celery, queue: &str, tasks: Vec<(u64, u64)>) -> Vec<String> {
    let mut ids = Vec::new();
    for chunk in tasks.chunks(AT_ONCE) {
        let sending = chunk.iter().map(|(number, milliseconds)| {
            let task = app.send_task("fleet.work").args((number, milliseconds)).queue(queue);
            tokio::spawn(async move { task.send().await.expect("it is published").id().to_owned() })
        });
        for sent in sending.collect::<Vec<_>>() {
            ids.push(sent.await.expect("sending does not panic"));
        }
    }
    ids
}

/// A worker that is known to the ledger by its name and by how often it was started.
#[derive(Debug)]
pub(crate) struct Member {
    space: Space,
    ledger: Ledger,
    name: String,
    line: Vec<String>,
    is_python: bool,
    started: u32,
    process: Option<Process>,
}

impl Member {
    /// One of ours.
    pub(crate) fn new(space: &Space, ledger: &Ledger, name: &str, line: &[&str]) -> Self {
        let line = [&["worker", "-l", "WARNING", "-n", name], line].concat();
        Self::started(space, ledger, name, &line, false)
    }

    /// One of Python's.
    pub(crate) fn python(space: &Space, ledger: &Ledger, name: &str, line: &[&str]) -> Self {
        Self::started(space, ledger, name, &[&["-n", name], line].concat(), true)
    }

    fn started(space: &Space, ledger: &Ledger, name: &str, line: &[&str], is_python: bool) -> Self {
        let line = line.iter().copied().map(str::to_owned).collect();
        let (space, ledger, name) = (space.clone(), ledger.clone(), name.to_owned());
        let mut new = Self { space, ledger, name, line, is_python, started: 0, process: None };
        new.start();
        new
    }

    /// By which name it writes into the ledger, from one start to the next.
    pub(crate) fn who(&self) -> String {
        format!("{}.{}", self.name, self.started)
    }

    /// How often it was started again.
    pub(crate) fn restarts(&self) -> u32 {
        self.started - 1
    }

    /// The process that it is now.
    pub(crate) fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("it was started")
    }

    /// Starts it.
    pub(crate) fn start(&mut self) {
        self.started += 1;
        let line: Vec<&str> = self.line.iter().map(String::as_str).collect();
        let mut program: Command = if self.is_python {
            let mut program = python(&self.space, "worker.py");
            program.args(line);
            program
        } else {
            command(&self.space, &line)
        };
        self.process = Some(Process::start(program.envs(self.ledger.variables(&self.who()))));
    }

    /// Kills it, and writes that down when it is dead.
    pub(crate) async fn kill(&mut self) {
        self.process().die().await;
        self.ledger.died(&self.who()).await;
    }

    /// Asks it to stop, as TERM does.
    pub(crate) async fn ask_to_stop(&mut self) {
        self.process().signal("TERM").await;
    }

    /// Starts it again if it has stopped by itself, and writes that down.
    pub(crate) async fn start_if_over(&mut self) {
        if self.process().is_over() {
            self.ledger.died(&self.who()).await;
            self.start();
        }
    }

    /// Stops it as TERM does, unless it stops already.
    pub(crate) async fn stop(&mut self) {
        if !self.process().is_over() {
            self.ask_to_stop().await;
        }
        self.process().ended().await;
    }
}

/// What a test looks into the broker with.
pub(crate) struct Books {
    prefix: String,
    connection: MultiplexedConnection,
}

impl Books {
    pub(crate) async fn of(space: &Space) -> Self {
        Self { prefix: space.prefix.clone(), connection: space.connect().await }
    }

    /// How many messages are where in the broker: in queues, in pending lists, or out.
    async fn messages(&mut self) -> BTreeMap<String, u64> {
        let mut pattern = cmd("KEYS");
        let pattern = pattern.arg(format!("{}*", self.prefix));
        let keys: Vec<String> =
            pattern.query_async(&mut self.connection).await.expect("Redis answers");
        let mut messages = BTreeMap::new();
        for key in keys {
            let length = match key.strip_prefix(&self.prefix) {
                Some("unacked") => cmd("HLEN").arg(&key).to_owned(),
                Some(name) if holds_no_message(name) => continue,
                _ => cmd("LLEN").arg(&key).to_owned(),
            };
            // What is no list has no messages.
            let count = length.query_async(&mut self.connection).await.unwrap_or(0);
            if count > 0 {
                messages.insert(key, count);
            }
        }
        messages
    }

    /// Waits until no message is left anywhere.
    ///
    /// # Panics
    /// When they become no fewer.
    pub(crate) async fn emptied(&mut self) {
        let mut looks = interval(Duration::from_millis(20));
        let (mut fewest, mut since, mut empty) = (u64::MAX, Instant::now(), 0);
        loop {
            let messages = self.messages().await;
            let count = messages.values().sum();
            // What changes hands between the parts of a look is in neither.
            empty = if count == 0 { empty + 1 } else { 0 };
            if empty == LOOKS {
                return;
            }
            if count < fewest {
                (fewest, since) = (count, Instant::now());
            }
            assert!(since.elapsed() < LIMIT, "what stays in the broker: {messages:?}");
            looks.tick().await;
        }
    }

    /// How many of these tasks have their success stored.
    pub(crate) async fn successes(&mut self, ids: &[String]) -> usize {
        let mut count = 0;
        for chunk in ids.chunks(500) {
            let mut command = cmd("MGET");
            for id in chunk {
                command.arg(format!("{}celery-task-meta-{id}", self.prefix));
            }
            let stored: Vec<Option<String>> =
                command.query_async(&mut self.connection).await.expect("Redis answers");
            let success = json!("SUCCESS");
            count += stored
                .iter()
                .flatten()
                .filter_map(|text| serde_json::from_str::<serde_json::Value>(text).ok())
                .filter(|meta| meta["status"] == success)
                .count();
        }
        count
    }
}
