//! The project with a broker, settings and a mail folder of its own.

use std::{env, fs, process::Command};

use deadpool_redis::redis::{self, Commands, Connection, PubSub};
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Ended, LIMIT, Process};

pub(crate) struct Site {
    /// The broker, and the result backend.
    pub(crate) url: String,
    /// Its settings and its mail.
    pub(crate) folder: TempDir,
}

/// The value of a variable that the test command sets.
pub(crate) fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `cargo xtask test`"))
}

impl Site {
    /// The site on the Redis database of that number, which must be the test's own, and is emptied.
    pub(crate) fn new(database: u8) -> Self {
        Self::with(database, "")
    }

    /// The same, with more settings.
    pub(crate) fn with(database: u8, settings: &str) -> Self {
        let url = variable("CELERY_TEST_REDIS_URL");
        let server = url.strip_suffix("/0").expect("the url is redis://host:port/0");
        let folder = tempfile::tempdir().unwrap();
        let settings = [include_str!("../../settings.toml"), settings].concat();
        fs::write(folder.path().join("settings.toml"), settings).unwrap();
        let site = Self { url: format!("{server}/{database}"), folder };
        let _: () = redis::cmd("FLUSHDB").query(&mut site.connection()).unwrap();
        site
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mysite"));
        command
            .args(arguments)
            .env_clear()
            .env("CELERY_BROKER_URL", &self.url)
            .env("CELERY_RESULT_BACKEND", &self.url)
            .env("MYSITE_SETTINGS", self.folder.path().join("settings.toml"))
            .env("MYSITE_EMAIL_SPOOL", self.folder.path().join("mail"));
        command
    }

    /// Runs a command until it ends.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Process::start(&mut self.command(arguments)).end()
    }

    /// Starts a worker, and waits until it is ready.
    #[track_caller]
    pub(crate) fn worker(&self, arguments: &[&str]) -> Process {
        let line = [&["worker", "-l", "INFO"], arguments].concat();
        let mut worker = Process::start(&mut self.command(&line));
        worker.wait_for(" ready.");
        worker
    }

    /// Calls a task, and returns its id.
    #[track_caller]
    pub(crate) fn call(&self, task: &str, arguments: &str) -> String {
        let out = self.run(&["call", task, "--args", arguments]).success();
        out.trim_end().to_owned()
    }

    /// What `result` prints of a task that succeeds.
    #[track_caller]
    pub(crate) fn result(&self, id: &str) -> String {
        self.run(&["result", id]).success().trim_end().to_owned()
    }

    pub(crate) fn connection(&self) -> Connection {
        let client = redis::Client::open(self.url.as_str()).unwrap();
        client.get_connection_with_timeout(LIMIT).unwrap()
    }

    /// The ids of the tasks that wait in a queue, the next one first.
    pub(crate) fn waiting(&self, queue: &str) -> Vec<String> {
        let items: Vec<String> = self.connection().lrange(queue, 0, -1).unwrap();
        let id = |item: &String| {
            let envelope: Value = serde_json::from_str(item).unwrap();
            envelope["headers"]["id"].as_str().unwrap().to_owned()
        };
        items.iter().rev().map(id).collect()
    }
}

/// Listens to what result backends tell of all tasks.
pub(crate) fn listen(connection: &mut Connection) -> PubSub<'_> {
    let mut states = connection.as_pubsub();
    states.set_read_timeout(Some(LIMIT)).unwrap();
    states.psubscribe("celery-task-meta-*").unwrap();
    states
}

/// Waits until a task is in that state.
#[track_caller]
pub(crate) fn wait_for_state(states: &mut PubSub<'_>, id: &str, state: &str) {
    loop {
        let message = states.get_message().unwrap_or_else(|error| panic!("no {state}: {error}"));
        let document: Value = serde_json::from_slice(message.get_payload_bytes()).unwrap();
        if document["task_id"] == id && document["status"] == state {
            return;
        }
    }
}
