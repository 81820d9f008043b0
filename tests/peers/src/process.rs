//! A program that runs beside the test.

use std::{
    fmt::Write as _,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
    sync::Notify,
    task::JoinHandle,
    time::timeout,
};

use crate::LIMIT;

/// A program beside the test, with what it has said so far. Dropping it kills it, with all that it has started.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// It leads a group of its own, which has its id.
    id: u32,
    log: Arc<Log>,
    readers: Vec<JoinHandle<()>>,
    /// Held until this is dropped: its end is the end of the test, and waiting for the program would close it.
    _input: Option<ChildStdin>,
}

#[derive(Debug, Default)]
struct Log {
    text: Mutex<String>,
    grew: Notify,
}

impl Log {
    fn push(&self, line: &str) {
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        // Failing to write to a string is impossible.
        let _ = writeln!(text, "{line}");
        drop(text);
        self.grew.notify_waiters();
    }

    fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Process {
    /// Starts it. Its standard input is a pipe that the test holds: its end is the end of the test.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("could not start {command:?}: {error}"));
        let id = child.id().expect("it has just started");
        let log = Arc::new(Log::default());
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let readers = vec![
            tokio::spawn(follow(BufReader::new(out.expect("it is piped")), log.clone())),
            tokio::spawn(follow(BufReader::new(err.expect("it is piped")), log.clone())),
        ];
        let _input = child.stdin.take();
        Self { child, id, log, readers, _input }
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// What it has said so far, on standard output and standard error.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Waits until it has said that.
    ///
    /// # Panics
    /// When it does not within [`LIMIT`].
    pub async fn says(&self, text: &str) {
        let waiting = async {
            loop {
                let grew = self.log.grew.notified();
                tokio::pin!(grew);
                grew.as_mut().enable();
                if self.log.text().contains(text) {
                    return;
                }
                grew.await;
            }
        };
        if timeout(LIMIT, waiting).await.is_err() {
            panic!("the program never said {text:?}:\n{}", self.log.text());
        }
    }

    /// Sends it the signal of that name, such as `TERM`.
    ///
    /// # Panics
    /// When it is gone.
    pub async fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.id.to_string()]).status().await;
        assert!(
            sent.expect("kill runs").success(),
            "the program is gone before its time:\n{}",
            self.log()
        );
    }

    /// Whether it has ended.
    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().expect("the system tells of its children").is_some()
    }

    /// Kills it, with all that it has started, and waits until nobody of them is left who could write to its output.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn die(&mut self) {
        // It may be gone already.
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.id)]).status().await;
        self.ended().await;
    }

    /// Waits until it has ended, and has said all that it had to say.
    ///
    /// # Panics
    /// When it does not within [`LIMIT`].
    pub async fn ended(&mut self) -> ExitStatus {
        let ending = async {
            let status = self.child.wait().await.expect("the system tells of its children");
            for reader in self.readers.drain(..) {
                reader.await.expect("reading does not panic");
            }
            status
        };
        let ended = timeout(LIMIT, ending).await;
        ended.unwrap_or_else(|_| panic!("the program does not end:\n{}", self.log.text()))
    }

    /// Stops it as TERM does, and waits until it has stopped.
    ///
    /// # Panics
    /// When it is gone already, or does not stop.
    pub async fn stop(mut self) -> ExitStatus {
        self.signal("TERM").await;
        self.ended().await
    }

    /// Kills it, with all that it has started, as a machine that fails does.
    pub fn kill(self) {}
}

impl Drop for Process {
    fn drop(&mut self) {
        let group = format!("-{}", self.id);
        // It is gone when there is nobody to kill.
        let _ = std::process::Command::new("kill")
            .args(["-KILL", "--", &group])
            .stderr(Stdio::null())
            .status();
        let _ = self.child.start_kill();
        show(&self.log.text());
    }
}

/// Runs a program to its end; returns what it printed.
///
/// # Panics
/// When it fails, or does not end.
pub async fn run(command: &mut Command) -> String {
    let output = timeout(LIMIT * 2, command.kill_on_drop(true).output()).await;
    let output = output
        .unwrap_or_else(|_| panic!("{command:?} does not end"))
        .unwrap_or_else(|error| panic!("could not start {command:?}: {error}"));
    let (said, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed:\n{said}\n{errors}");
    said.into_owned()
}

#[expect(clippy::print_stderr, reason = "it is shown with a failed test")]
fn show(log: &str) {
    eprintln!("--- what a program beside the test said ---\n{log}");
}

async fn follow(stream: impl AsyncBufReadExt + Unpin, log: Arc<Log>) {
    let mut lines = stream.lines();
    while let Ok(Some(line)) = lines.next_line().await {
        log.push(&line);
    }
}
