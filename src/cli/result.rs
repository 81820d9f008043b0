//! `result`: waits for what a task returns.

use std::io::Write;

use celery_core::{error::Error, result::AsyncResult, value::Value};

use super::{Session, failure::Failure, output::python_str};

/// Prints the return value of a task. It waits until there is one.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The id of the task.
    task_id: String,
    /// The name of the task, which must be one of this program's.
    #[arg(short, long, value_name = "NAME", env = "CELERY_RESULT_TASK")]
    task: Option<String>,
    /// Print the traceback instead, if there is one yet. This does not wait.
    #[arg(long)]
    traceback: bool,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<(), Failure> {
    if let Some(name) = &args.task
        && session.app.registry()?.get(name).is_none()
    {
        return Err(Failure::new(format!(
            "this program has no task `{name}`; leave `--task` out, the id is enough"
        )));
    }
    let result = AsyncResult::<Value>::new(&session.app, args.task_id);
    if args.traceback {
        let traceback = result.traceback().await?;
        session.output.line(traceback.as_deref().unwrap_or("None"))?;
        return Ok(());
    }
    match result.get().await {
        Ok(value) => Ok(session.output.line(&python_str(&value))?),
        Err(Error::Task { traceback: Some(traceback), .. }) => {
            // As Python does with what `get` raises; its last line names the exception.
            write!(std::io::stderr(), "{traceback}")?;
            Err(Failure::new(""))
        }
        Err(Error::Task { exception, .. }) => Err(Failure::new(exception.to_string())),
        Err(error) => Err(error.into()),
    }
}
