//! The command line: what a program with tasks runs, under the names of Celery's own commands and options.
//!
//! ```no_run
//! fn app() -> Result<celery::Celery, celery::Error> {
//!     celery::Celery::builder("mysite").config_from_env("CELERY").build()
//! }
//!
//! #[tokio::main]
//! async fn main() -> std::process::ExitCode {
//!     celery::cli::run(app).await
//! }
//! ```
//!
//! Then `mysite worker -l INFO`, `mysite call mysite.tasks.add --args '[2, 2]'`, `mysite inspect ping`, and so on;
//! `mysite help` lists the rest. What Celery has and this version has not is refused with the reason. Options have defaults in the
//! environment, by Celery's names: `CELERY_WORKER_CONCURRENCY` is `worker --concurrency`.
//!
//! The exit status is Celery's: 0; 1 for a failure; 2 for a command line that cannot be read; 69 when the broker, or
//! every worker, cannot be reached; 73 when the pid file of a worker that runs is in the way.

mod call;
mod chord;
mod completion;
mod control;
mod events;
mod failure;
mod inspect;
mod list;
mod logging;
mod migrate;
#[cfg(feature = "tui")]
mod monitor;
mod output;
mod pidfile;
mod program;
mod progress;
mod purge;
mod quarantine;
mod refused;
mod remote;
mod report;
mod result;
mod signals;
mod status;
mod worker;

#[cfg(test)]
mod tests;

use std::{
    error::Error,
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
};

use celery_core::{
    app::{Celery, Overrides},
    exception::with_sources,
};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, builder::FalseyValueParser};

#[doc(hidden)]
pub use self::program::program;
use self::{failure::Failure, output::Output};

/// Runs the command of this process's arguments on the app that the function builds.
///
/// To be called in `main`, on a tokio runtime; what it returns is what `main` returns. The function is called once the
/// command line is read, since its options (`-b`, `--result-backend`) have a say in what is built.
pub async fn run<E>(app: impl FnOnce() -> Result<Celery, E>) -> ExitCode
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let cli = match Cli::read(Cli::command(), arguments()) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    #[cfg(unix)]
    if let Some(child) = celery_core::worker::ChildProcess::claim() {
        return Box::pin(worker::child::run(child, cli, app)).await;
    }
    cli.run(Cli::command(), app).await
}

/// Celery's command line.
#[derive(Debug, Parser)]
#[command(
    version,
    about = "Calls tasks, runs them, and looks after the workers that do.",
    disable_help_subcommand = false
)]
#[command(arg_required_else_help = true)]
struct Cli {
    /// URL of the broker, in place of the one in the settings.
    #[arg(short, long, value_name = "URL", env = "BROKER_URL", hide_env_values = true)]
    broker: Option<String>,
    /// URL of the result backend, in place of the one in the settings.
    #[arg(long, value_name = "URL", env = "RESULT_BACKEND", hide_env_values = true)]
    result_backend: Option<String>,
    /// Use no colours. They are used on a terminal only.
    #[arg(short = 'C', long, env = "NO_COLOR", value_parser = FalseyValueParser::new())]
    no_color: bool,
    /// Say less.
    #[arg(short, long)]
    quiet: bool,
    /// Change to this folder first.
    #[arg(long, value_name = "FOLDER")]
    workdir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Worker(Box<worker::Args>),
    Call(call::Args),
    Result(result::Args),
    Chord(chord::Args),
    Inspect(inspect::Args),
    Control(control::Args),
    Status(status::Args),
    Purge(purge::Args),
    Quarantine(quarantine::Args),
    Migrate(migrate::Args),
    List(list::Args),
    Events(events::Args),
    /// Shows information that is useful in a bug report.
    Report,
    Completion(completion::Args),
}

/// An app, and where to say what happens to it.
#[derive(Debug)]
struct Session {
    app: Celery,
    output: Output,
}

impl Cli {
    /// Reads a command line of that form.
    fn read(
        form: clap::Command,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Self, clap::Error> {
        let mut arguments: Vec<_> = arguments.into_iter().collect();
        if arguments.len() == 1 {
            // As Celery does, and successfully.
            arguments.push("--help".into());
        }
        Self::from_arg_matches(&refused::parse(form, arguments)?)
    }

    /// Runs the command, of a line of that form.
    async fn run<E>(self, form: clap::Command, app: impl FnOnce() -> Result<Celery, E>) -> ExitCode
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        if let Command::Completion(args) = &self.command {
            let program = arguments().into_iter().next().unwrap_or_default();
            return match completion::run(args, form, &program) {
                Ok(()) => ExitCode::SUCCESS,
                Err(failure) => failure.report(),
            };
        }
        match self.try_run(app).await {
            Ok(code) => code,
            Err(failure) => failure.report(),
        }
    }

    async fn try_run<E>(self, app: impl FnOnce() -> Result<Celery, E>) -> Result<ExitCode, Failure>
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let output = Output::new(self.no_color, self.quiet);
        if let Some(folder) = &self.workdir {
            change_to(folder)?;
        }
        let app = self.build(app)?;
        let session = Session { app, output };
        match &self.command {
            Command::Worker(_) => {}
            Command::Events(args) if args.takes_terminal() => {}
            _ => logging::for_clients(self.no_color),
        }
        let done = match self.command {
            Command::Worker(args) => {
                return Box::pin(worker::run(&session, *args, self.no_color)).await;
            }
            Command::Call(args) => call::run(&session, args).await,
            Command::Result(args) => result::run(&session, args).await,
            Command::Chord(args) => chord::run(&session, args).await,
            Command::Inspect(args) => inspect::run(&session, args).await,
            Command::Control(args) => control::run(&session, args).await,
            Command::Status(args) => status::run(&session, args).await,
            Command::Purge(args) => purge::run(&session, args).await,
            Command::Quarantine(args) => quarantine::run(&session, args).await,
            Command::Migrate(args) => Box::pin(migrate::run(&session, args)).await,
            Command::List(args) => list::run(&session, args).await,
            Command::Events(args) => events::run(&session, args).await,
            Command::Report => report::run(&session),
            Command::Completion(_) => Ok(()),
        };
        // What was published is on its way to the server until the connection is closed in order.
        let closed = session.app.close().await;
        done?;
        closed?;
        Ok(ExitCode::SUCCESS)
    }

    /// Builds the app, which is the current one from then on.
    fn build<E>(&self, app: impl FnOnce() -> Result<Celery, E>) -> Result<Celery, Failure>
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let app = self.overrides().scope(app).map_err(|error| {
            let error: Box<dyn Error + Send + Sync> = error.into();
            Failure::new(format!("could not build the app: {}", with_sources(error.as_ref())))
        })?;
        app.set_current();
        Ok(app)
    }

    /// What the options say over the head of the function that builds the app.
    fn overrides(&self) -> Overrides {
        let settings = match &self.command {
            Command::Worker(args) => args.settings(),
            _ => Vec::new(),
        };
        Overrides {
            broker_url: self.broker.clone(),
            result_backend: self.result_backend.clone(),
            settings,
        }
    }
}

/// Says what is wrong with a command line, or shows the help that it asks for.
fn refuse(error: &clap::Error) -> ExitCode {
    // Where neither can be written, the exit status says it all.
    let _unwritten = error.print();
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Makes this the folder that relative paths start from.
fn change_to(folder: &Path) -> Result<(), Failure> {
    std::env::set_current_dir(folder).map_err(|error| {
        Failure::new(format!("could not change to the folder {}: {error}", folder.display()))
    })
}

/// The arguments of this process.
fn arguments() -> Vec<OsString> {
    std::env::args_os().collect()
}
