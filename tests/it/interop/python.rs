//! Python's side: workers as processes, and scripts that print what they saw.

use std::{
    fmt::Write as _,
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::Notify,
    time::timeout,
};

use super::space::{LIMIT, Space, service};

fn python(space: &Space, script: &str) -> Command {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    let mut command = Command::new(service("CELERY_TEST_PYTHON"));
    command
        .arg(script)
        .current_dir(folder)
        .env("PROJ_CONF", space.settings())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONUNBUFFERED", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    for name in ["CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"] {
        command.env_remove(name);
    }
    command
}

/// A Python worker. Dropping it kills it.
#[derive(Debug)]
pub(super) struct PythonWorker {
    child: Child,
    group: u32,
    log: Arc<Log>,
}

#[derive(Debug, Default)]
struct Log {
    text: Mutex<String>,
    grew: Notify,
}

impl Log {
    fn push(&self, line: &str) {
        // Failing to write to a string is impossible.
        let _ = writeln!(self.text.lock().unwrap(), "{line}");
        self.grew.notify_waiters();
    }

    fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }
}

impl PythonWorker {
    /// Starts one, and waits until it is ready.
    pub(super) async fn start(space: &Space, arguments: &[&str]) -> Self {
        let mut child = python(space, "worker.py")
            .args(arguments)
            .process_group(0)
            .spawn()
            .expect("the interpreter starts");
        let group = child.id().expect("it has just started");
        let log = Arc::new(Log::default());
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        tokio::spawn(follow(BufReader::new(out), log.clone()));
        tokio::spawn(follow(BufReader::new(err), log.clone()));
        let worker = Self { child, group, log };
        worker.says(" ready.").await;
        worker
    }

    /// Waits until its log says that.
    pub(super) async fn says(&self, text: &str) {
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
            panic!("the Python worker never said {text:?}:\n{}", self.log.text());
        }
    }

    /// Stops it as TERM does, and waits until it has stopped.
    pub(super) async fn stop(mut self) {
        let pid = self.group.to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().await.expect("kill runs");
        assert!(sent.success(), "the Python worker is gone before its time:\n{}", self.log.text());
        let ended = timeout(LIMIT, self.child.wait()).await;
        assert!(ended.is_ok(), "the Python worker does not stop:\n{}", self.log.text());
    }

    /// Kills it, with its children, as a machine that fails does.
    pub(super) fn kill(self) {}
}

impl Drop for PythonWorker {
    fn drop(&mut self) {
        let group = format!("-{}", self.group);
        // It is gone when there is nobody to kill.
        let _ = std::process::Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.start_kill();
        show(&self.log.text());
    }
}

#[expect(clippy::print_stderr, reason = "it is shown with a failed test")]
fn show(log: &str) {
    eprintln!("--- the Python worker's log ---\n{log}");
}

async fn follow(stream: impl AsyncBufReadExt + Unpin, log: Arc<Log>) {
    let mut lines = stream.lines();
    while let Ok(Some(line)) = lines.next_line().await {
        log.push(&line);
    }
}

/// Runs a scenario of `scenarios.py` to its end; returns what it printed: a document of what came of each case.
pub(super) async fn scenario(space: &Space, name: &str) -> Report {
    let output = python(space, "scenarios.py").arg(name).output();
    let output = timeout(LIMIT * 2, output).await;
    let output = output
        .unwrap_or_else(|_| panic!("the scenario {name} does not end"))
        .expect("the interpreter starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the scenario {name} failed:\n{errors}");
    let printed = String::from_utf8_lossy(&output.stdout);
    let cases = serde_json::from_str(&printed)
        .unwrap_or_else(|error| panic!("{name} printed no JSON ({error}):\n{printed}\n{errors}"));
    Report { scenario: name.to_owned(), cases }
}

/// Runs a command of Python's `celery`; returns what it printed.
pub(super) async fn celery_command(space: &Space, arguments: &[&str]) -> String {
    let output = python(space, "-m").args(["celery", "-A", "proj.celery"]).args(arguments).output();
    let output = timeout(LIMIT, output).await.expect("it ends").expect("the interpreter starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "celery {arguments:?} failed:\n{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a scenario printed.
#[derive(Debug)]
pub(super) struct Report {
    scenario: String,
    cases: Value,
}

impl Report {
    /// What came of the case.
    pub(super) fn case(&self, case: &str) -> &Value {
        self.cases
            .get(case)
            .unwrap_or_else(|| panic!("{} has no case {case}: {:#}", self.scenario, self.cases))
    }

    /// Expects each of the named fields of the case to be so.
    #[track_caller]
    pub(super) fn check(&self, case: &str, expected: &Value) {
        let seen = self.case(case);
        let expected = expected.as_object().expect("fields");
        for (field, value) in expected {
            let at = if field.starts_with('/') { field.clone() } else { format!("/{field}") };
            assert_eq!(
                seen.pointer(&at),
                Some(value),
                "{}: {case}: {field}; the whole case is {seen:#}",
                self.scenario
            );
        }
    }

    /// Expects the task of the case to have returned that.
    #[track_caller]
    pub(super) fn returned(&self, case: &str, value: &Value) {
        self.check(case, &serde_json::json!({ "state": "SUCCESS", "result": value }));
    }
}
