//! A worker as a process, in the namespace of a test.

use celery::{AsyncResult, Celery};
use peers::{Process, Space};
use serde_json::Value;
use tokio::process::Command;

/// A command of the program with the tasks.
pub(crate) fn command(space: &Space, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet"));
    command.args(arguments).env("FLEET_CONF", space.settings());
    command
}

/// Starts a worker, and waits until it is ready.
pub(crate) async fn worker(space: &Space, arguments: &[&str]) -> Process {
    let line =
        [&["worker", "-l", "DEBUG", "--without-mingle", "--without-gossip"], arguments].concat();
    let worker = Process::start(&mut command(space, &line));
    worker.says(" ready.").await;
    worker
}

/// Calls a task by its name.
pub(crate) async fn call(app: &Celery, task: &str, args: Value) -> AsyncResult<Value> {
    let args = args.as_array().expect("a list of arguments").clone();
    app.send_task(task).args(args).send().await.expect("the task is published").typed()
}

/// Waits until the worker answers: what is said to one that is ready, and does not listen yet, is lost.
pub(crate) async fn listens(app: &Celery, node: &str) {
    let asking = async {
        while app
            .control()
            .ping()
            .destination([node])
            .replies()
            .await
            .expect("it is sent")
            .is_empty()
        {}
    };
    tokio::time::timeout(peers::LIMIT, asking).await.expect("the worker listens");
}
