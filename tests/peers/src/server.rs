//! A Redis server of a test's own, which may be killed, paused and started again without harm to other tests.

use std::{fs, net::Ipv4Addr, path::PathBuf};

use deadpool_redis::redis::{
    AsyncConnectionConfig, Client, FromRedisValue, RedisError, aio::MultiplexedConnection, cmd,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, process::Command, time::timeout};

use crate::{LIMIT, Process};

/// Starts the server, and kills it when standard input ends: with the test, in whatever way that ends.
const GUARD: &str = "redis-server \"$1\" & read -r _; kill -KILL $!; wait";

/// A server in a folder of its own, which writes each command to its file before it answers. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    port: u16,
    process: Option<Process>,
}

impl Server {
    /// Starts one, and waits until it answers.
    ///
    /// # Panics
    /// When it does not: `cargo xtask test` installs `redis-server` where it is missing.
    pub async fn start() -> Self {
        Self::start_with(&["appendonly yes", "appendfsync always"]).await
    }

    /// The same, which writes nothing to a file, and has lost all when it was killed.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn in_memory() -> Self {
        Self::start_with(&["appendonly no"]).await
    }

    async fn start_with(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("the folder for temporary files is writable");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        drop(listener);
        let mut server = Self { folder, port, process: None };
        let lines = [
            "bind 127.0.0.1",
            &format!("port {port}"),
            &format!("dir {:?}", server.folder.path()),
            "save \"\"",
            "enable-debug-command yes",
        ];
        fs::write(server.file(), [&lines[..], more].concat().join("\n"))
            .expect("the folder is new");
        server.resume().await;
        server
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("redis.conf")
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
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
        let file = self.file();
        let line = ["-c", GUARD, "sh", file.to_str().expect("a path that is text")];
        let process = Process::start(Command::new("sh").args(line));
        let answering = async {
            // A refused connection is known at once; one that is loading says so.
            while self.try_command::<String>(&["PING"]).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        if timeout(LIMIT, answering).await.is_err() {
            panic!("the server does not answer:\n{}", process.log());
        }
        self.process = Some(process);
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

    async fn try_command<T: FromRedisValue>(&self, words: &[&str]) -> Result<T, RedisError> {
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
