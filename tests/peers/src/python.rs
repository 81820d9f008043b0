//! Python's side: workers as processes, and scripts that print what they saw.

use std::{ops::Deref, path::PathBuf};

use serde_json::Value;
use tokio::process::Command;

use crate::{Process, Space, run, service};

/// Python in the folder of its project, with the settings of the namespace.
pub fn python(space: &Space, script: &str) -> Command {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../python");
    let mut command = Command::new(service("CELERY_TEST_PYTHON"));
    command
        .arg(script)
        .current_dir(folder)
        .env("PROJ_CONF", space.settings())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONUNBUFFERED", "1");
    for name in ["CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"] {
        command.env_remove(name);
    }
    command
}

/// A Python worker. Dropping it kills it.
#[derive(Debug)]
pub struct PythonWorker {
    process: Process,
}

impl PythonWorker {
    /// Starts one, and waits until it is ready. It tells nobody that it lives, unless `--with-gossip` is among the arguments.
    pub async fn start(space: &Space, arguments: &[&str]) -> Self {
        let process = Process::start(python(space, "worker.py").args(arguments));
        process.says(" ready.").await;
        Self { process }
    }

    /// Stops it as TERM does, and waits until it has stopped.
    ///
    /// # Panics
    /// When it does not.
    pub async fn stop(self) {
        self.process.stop().await;
    }

    /// Kills it, with its children, as a machine that fails does.
    pub fn kill(self) {}
}

impl Deref for PythonWorker {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

/// Runs a scenario of `scenarios.py` to its end; returns what it printed: a document of what came of each case.
///
/// # Panics
/// When it fails, or prints something else.
pub async fn scenario(space: &Space, name: &str) -> Report {
    let printed = run(python(space, "scenarios.py").arg(name)).await;
    let cases = serde_json::from_str(&printed)
        .unwrap_or_else(|error| panic!("{name} printed no JSON ({error}):\n{printed}"));
    Report { scenario: name.to_owned(), cases }
}

/// Runs a command of Python's `celery`; returns what it printed.
///
/// # Panics
/// When it fails.
pub async fn celery_command(space: &Space, arguments: &[&str]) -> String {
    run(python(space, "-m").args(["celery", "-A", "proj.celery"]).args(arguments)).await
}

/// What a scenario printed.
#[derive(Debug)]
pub struct Report {
    scenario: String,
    cases: Value,
}

impl Report {
    /// What came of the case.
    ///
    /// # Panics
    /// When there is none of that name.
    pub fn case(&self, case: &str) -> &Value {
        self.cases
            .get(case)
            .unwrap_or_else(|| panic!("{} has no case {case}: {:#}", self.scenario, self.cases))
    }

    /// Expects each of the named fields of the case to be so.
    ///
    /// # Panics
    /// When one is not.
    #[track_caller]
    pub fn check(&self, case: &str, expected: &Value) {
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
    ///
    /// # Panics
    /// When it has not.
    #[track_caller]
    pub fn returned(&self, case: &str, value: &Value) {
        self.check(case, &serde_json::json!({ "state": "SUCCESS", "result": value }));
    }
}
