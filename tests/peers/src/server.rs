//! A Redis server of a test's own, which may be killed, paused and started again without harm to other tests.

mod cluster;
mod sentinels;

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use deadpool_redis::redis::{
    AsyncConnectionConfig, Client, FromRedisValue, RedisError, aio::MultiplexedConnection, cmd,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, process::Command, time::timeout};

pub use self::{cluster::Cluster, sentinels::Sentinels};
use crate::{LIMIT, Process};

/// Starts the server, and kills it when standard input ends: with the test, in whatever way that ends.
const GUARD: &str = "redis-server \"$@\" & read -r _; kill -KILL $!; wait";

/// A server in a folder of its own, which writes each command to its file before it answers. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    port: u16,
    /// The user by whom it is asked, as a URL has it.
    login: String,
    is_sentinel: bool,
    process: Option<Process>,
}

/// How often a server may find that somebody else has taken its port meanwhile.
const TRIES: u32 = 5;

impl Server {
    /// Starts one, and waits until it answers.
    ///
    /// # Panics
    /// When it does not: `cargo xtask test` installs `redis-server` where it is missing.
    pub async fn start() -> Self {
        Self::with(&["appendonly yes", "appendfsync always"]).await
    }

    /// The same, which writes nothing to a file, and has lost all when it was killed.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn in_memory() -> Self {
        Self::with(&[]).await
    }

    /// Starts one that has these lines more in its configuration. It keeps nothing on disk, unless they say so.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn with(lines: &[&str]) -> Self {
        Self::asked_by("", lines).await
    }

    /// Starts one that is asked by this user: `name:password@`.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn asked_by(login: &str, lines: &[&str]) -> Self {
        Self::begin(login, lines, false).await
    }

    async fn begin(login: &str, lines: &[&str], is_sentinel: bool) -> Self {
        let folder = tempfile::tempdir().expect("the folder for temporary files is writable");
        let login = login.to_owned();
        let mut server = Self { folder, port: 0, login, is_sentinel, process: None };
        for _ in 0..TRIES {
            server.port = free_port().await;
            server.configure(lines);
            if server.try_resume().await {
                return server;
            }
        }
        panic!("{TRIES} free ports were taken by somebody else");
    }

    fn configure(&self, lines: &[&str]) {
        let own = [
            "bind 127.0.0.1".to_owned(),
            format!("port {}", self.port),
            format!("dir {:?}", self.folder.path()),
        ];
        let only_servers = ["save \"\"", "enable-debug-command yes", "repl-diskless-sync-delay 0"];
        let mut text = own.join("\n");
        for line in only_servers.iter().filter(|_| !self.is_sentinel).chain(lines) {
            text.push('\n');
            text.push_str(line);
        }
        fs::write(self.file(), text).expect("the folder is new");
    }

    /// The folder that is its own.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("redis.conf")
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("redis://{}127.0.0.1:{}/0", self.login, self.port)
    }

    /// The port that it listens on, also after it was started again.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills it, as a machine that fails does. What it has acknowledged is in its file.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Stops it in order, and waits until it has stopped.
    ///
    /// # Panics
    /// When it does not stop.
    pub async fn stop(&mut self) {
        // It ends instead of answering.
        let _ = self.try_command::<()>(&["SHUTDOWN"]).await;
        let stopping = async { while self.connect().await.is_ok() {} };
        assert!(timeout(LIMIT, stopping).await.is_ok(), "the server does not stop");
        self.process = None;
    }

    /// Starts it again where it was, with what it had, and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub async fn resume(&mut self) {
        assert!(self.try_resume().await, "somebody else has taken the port of the server");
    }

    /// Starts it, and says whether its port is still free.
    async fn try_resume(&mut self) -> bool {
        let file = self.file();
        let mut command = Command::new("sh");
        command.args(["-c", GUARD, "sh", file.to_str().expect("a path that is text")]);
        if self.is_sentinel {
            command.arg("--sentinel");
        }
        let process = Process::start(&mut command);
        let answering = async {
            // A refused connection is known at once; one that is loading says so.
            while self.try_command::<String>(&["PING"]).await.is_err() {
                if process.log().contains("Address already in use") {
                    return false;
                }
                tokio::task::yield_now().await;
            }
            true
        };
        let Ok(runs) = timeout(LIMIT, answering).await else {
            panic!("the server does not answer:\n{}", process.log());
        };
        self.process = runs.then_some(process);
        runs
    }

    /// Waits until it has said that in its log.
    ///
    /// # Panics
    /// When it does not, or does not run.
    pub async fn says(&self, text: &str) {
        self.process.as_ref().expect("it runs").says(text).await;
    }

    /// A connection of its own.
    ///
    /// # Errors
    /// When the server is not there.
    pub async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let client = Client::open(self.url())?;
        client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// Runs a command.
    ///
    /// # Errors
    /// As the server says, and when it is not there.
    pub async fn try_command<T: FromRedisValue>(&self, words: &[&str]) -> Result<T, RedisError> {
        cmd(words[0]).arg(&words[1..]).query_async(&mut self.connect().await?).await
    }

    /// Runs a command.
    ///
    /// # Panics
    /// When the server refuses it, or is not there.
    pub async fn command<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_command(words).await.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }
}

/// Looks again and again until it is so.
///
/// # Panics
/// When it is never so.
pub async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let looking = async {
        while !condition().await {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, looking).await.unwrap_or_else(|_| panic!("{what}: not within {LIMIT:?}"));
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    listener.local_addr().expect("it is bound").port()
}
