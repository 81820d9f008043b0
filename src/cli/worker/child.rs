//! This program as a child process of a worker: it is started with the worker's own command line.

use std::{error::Error, process::ExitCode};

use celery_core::{app::Celery, worker::ChildProcess};

use crate::cli::{Cli, Command, failure::Failure, logging::Process};

/// Runs the tasks that the worker sends. What keeps it from that is told to the worker, which logs it.
pub(in crate::cli) async fn run<E>(
    child: ChildProcess,
    cli: Cli,
    app: impl FnOnce() -> Result<Celery, E>,
) -> ExitCode
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    match prepare(&child, &cli, app) {
        Ok(app) => child.serve(&app).await.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS),
        Err(failure) => {
            child.refuse(failure.message);
            ExitCode::from(failure.code)
        }
    }
}

fn prepare<E>(
    child: &ChildProcess,
    cli: &Cli,
    app: impl FnOnce() -> Result<Celery, E>,
) -> Result<Celery, Failure>
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let app = cli.build(app)?;
    if let Command::Worker(args) = &cli.command {
        let process = Process { name: child.name(), number: child.index() + 1 };
        args.set_up_logs(&app, child.hostname(), process, cli.no_color)?;
    }
    Ok(app)
}
