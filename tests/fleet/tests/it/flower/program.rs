//! Python's Flower beside the test, what it answers, and its pages as a browser shows them.

use std::net::{Ipv4Addr, TcpListener};

use peers::{LIMIT, Process, Space, python, run, service};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    time::timeout,
};

/// A Flower that looks at the namespace of a test.
pub(super) struct Flower {
    process: Process,
    port: u16,
}

/// What it answers to a request.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Flower {
    /// Starts it on a free port, and waits until it listens.
    pub(super) async fn start(space: &Space) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = free.local_addr().expect("it is bound").port();
        drop(free);
        let mut command = python(space, "-m");
        command.args(["celery", "-A", "flower_app", "flower", "--address=127.0.0.1"]);
        command.arg(format!("--port={port}")).env("FLOWER_UNAUTHENTICATED_API", "1");
        let process = Process::start(&mut command);
        process.says("Connected to redis://").await;
        let flower = Self { process, port };
        flower.eventually("/healthcheck", |answer| answer.body == "OK").await;
        flower
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.request("GET", path).await.expect("Flower answers")
    }

    /// Presses a button; returns what Flower says of it.
    pub(super) async fn post(&self, path: &str) -> String {
        let answer = self.request("POST", path).await.expect("Flower answers");
        assert_eq!(answer.status, 200, "{path}: {}\n{}", answer.body, self.process.log());
        answer.body
    }

    /// Asks until the answer is as it should be.
    pub(super) async fn eventually(
        &self,
        path: &str,
        is_good: impl Fn(&Answer) -> bool + Send + Sync,
    ) -> Answer {
        let mut last = None;
        let asking = async {
            loop {
                match self.request("GET", path).await {
                    Ok(answer) if is_good(&answer) => return answer,
                    other => last = Some(other),
                }
            }
        };
        let good = timeout(LIMIT, asking).await;
        good.unwrap_or_else(|_| panic!("{path}: {last:?}\n{}", self.process.log()))
    }

    /// The same of an answer in JSON, which is looked at under a pointer such as `/a/b`.
    pub(super) async fn shows(
        &self,
        path: &str,
        pointer: &str,
        is_good: impl Fn(&Value) -> bool + Send + Sync,
    ) -> Value {
        let read = |answer: &Answer| {
            let value: Value = serde_json::from_str(&answer.body).ok()?;
            value.pointer(pointer).cloned()
        };
        let answer =
            self.eventually(path, |answer| read(answer).is_some_and(|value| is_good(&value))).await;
        read(&answer).expect("it was looked at")
    }

    /// A page after its scripts have run.
    pub(super) async fn page(&self, path: &str) -> String {
        let profile = tempfile::tempdir().expect("a folder");
        let mut browser = Command::new(service("CELERY_TEST_CHROMIUM"));
        browser.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ]);
        browser.args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ]);
        browser.arg(format!("--user-data-dir={}", profile.path().display()));
        // The time of the page passes while nothing is under way, so that its scripts have had theirs.
        browser.args(["--virtual-time-budget=3000", "--dump-dom"]);
        run(browser.arg(format!("http://127.0.0.1:{}{path}", self.port))).await
    }

    /// What it has said, which is shown with a failed test.
    pub(super) fn log(&self) -> String {
        self.process.log()
    }

    async fn request(&self, method: &str, path: &str) -> std::io::Result<Answer> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
        // The older version of the protocol, in which an answer ends with the connection.
        let request =
            format!("{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status =
            head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        Ok(Answer { status, body: body.to_owned() })
    }
}
