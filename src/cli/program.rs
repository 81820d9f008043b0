//! The `celery` program: the same commands, on an app that is made of the environment, or in the program of a package.

mod package;

use std::{
    ffi::{OsStr, OsString},
    process::ExitCode,
};

use celery_core::{app::Celery, error::Error, exception::with_sources};
use clap::{Arg, ArgAction, CommandFactory};

use self::package::Package;
use super::{
    Cli, Command, arguments, change_to,
    failure::{Failure, USAGE},
    refuse,
};

/// Runs the `celery` program with the arguments of this process.
pub async fn program() -> ExitCode {
    let taken = match Taken::of(arguments(), std::env::var_os("CELERY_APP")) {
        Ok(taken) => taken,
        Err(failure) => return failure.report(),
    };
    // The package is looked for in that folder, and its program started there.
    if let Some(Err(failure)) = taken.workdir.as_deref().map(|folder| change_to(folder.as_ref())) {
        return failure.report();
    }
    if let Some(app) = taken.app {
        return match Package::find(&app)
            .and_then(|package| package.run(taken.rest.get(1..).unwrap_or_default()))
        {
            Ok(code) => code,
            Err(failure) => failure.report(),
        };
    }
    // It is taken out above. Here it is for the help, which also shows what the other options are.
    let option = Arg::new("app").short('A').long("app").value_name("PACKAGE").action(ArgAction::Set).help(
        "The package with the tasks, by its name or folder: its program is built, and runs the command",
    );
    let form = Cli::command().name("celery").arg(option);
    let cli = match Cli::read(form.clone(), taken.rest) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    if matches!(cli.command, Command::Worker(_)) {
        let remedy = "a worker needs the code of its tasks, which this program has not: name their package, as in `celery -A mysite worker`, or run its own program, as in `cargo run -p mysite -- worker`";
        return Failure::new(remedy).code(USAGE).report();
    }
    let needs_broker = !matches!(cli.command, Command::Migrate(_) | Command::Report);
    cli.run(form, || app_of_environment(needs_broker)).await
}

/// An app with the settings of the environment, and no tasks.
fn app_of_environment(needs_broker: bool) -> Result<Celery, Error> {
    let app = Celery::builder("celery").config_from_env("CELERY").build()?;
    // The broker that an app gets when it names none is inside its process, where there is nothing to look at.
    if needs_broker && app.broker_urls().iter().all(|url| url.scheme() == "memory") {
        return Err(Error::Call(
            "no broker is named: give its URL with `-b`, as in `celery -b redis://localhost:6379/0 status`, or in CELERY_BROKER_URL; or name a package with `-A`".to_owned(),
        ));
    }
    Ok(app)
}

/// What the `celery` program does itself, and the arguments that are left.
#[derive(Debug, PartialEq, Eq)]
struct Taken {
    app: Option<OsString>,
    workdir: Option<OsString>,
    rest: Vec<OsString>,
}

impl Taken {
    /// Takes `-A` and `--workdir` out of the options in front of the command.
    fn of(arguments: Vec<OsString>, of_environment: Option<OsString>) -> Result<Self, Failure> {
        let app = of_environment.filter(|app| !app.is_empty());
        let mut taken = Self { app, workdir: None, rest: Vec::with_capacity(arguments.len()) };
        let mut arguments = arguments.into_iter();
        taken.rest.extend(arguments.next());
        while let Some(argument) = arguments.next() {
            let text = argument.to_string_lossy();
            let missing = |what: &str| Failure::new(format!("`{text}` needs {what}")).code(USAGE);
            if text == "-A" || text == "--app" {
                let needs = "the name or the folder of a package";
                taken.app = Some(arguments.next().ok_or_else(|| missing(needs))?);
            } else if text == "--workdir" {
                taken.workdir = Some(arguments.next().ok_or_else(|| missing("a folder"))?);
            } else if let Some(value) = text.strip_prefix("--app=").or_else(|| short_value(&text)) {
                taken.app = Some(OsString::from(value));
            } else if let Some(value) = text.strip_prefix("--workdir=") {
                taken.workdir = Some(OsString::from(value));
            } else if matches!(
                &*text,
                "-b" | "--broker" | "--result-backend" | "--loader" | "--config"
            ) {
                taken.rest.push(argument);
                taken.rest.extend(arguments.next());
            } else if text.starts_with('-') {
                taken.rest.push(argument);
            } else {
                // What follows the command is the command's.
                taken.rest.push(argument);
                taken.rest.extend(arguments.by_ref());
            }
        }
        Ok(taken)
    }
}

/// The value in `-Amysite` or `-A=mysite`.
fn short_value(text: &str) -> Option<&str> {
    text.strip_prefix("-A").map(|value| value.strip_prefix('=').unwrap_or(value))
}

/// Runs a program in place of this one, so that signals and the exit status are its own.
#[cfg(unix)]
fn replace(program: &OsStr, arguments: &[OsString]) -> Result<ExitCode, Failure> {
    use std::os::unix::process::CommandExt;
    let error = std::process::Command::new(program).args(arguments).exec();
    Err(Failure::new(format!(
        "could not run {}: {}",
        program.to_string_lossy(),
        with_sources(&error)
    )))
}

/// Runs a program and waits for it.
#[cfg(not(unix))]
fn replace(program: &OsStr, arguments: &[OsString]) -> Result<ExitCode, Failure> {
    let status = std::process::Command::new(program).args(arguments).status().map_err(|error| {
        Failure::new(format!(
            "could not run {}: {}",
            program.to_string_lossy(),
            with_sources(&error)
        ))
    })?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, environment: Option<&str>, app: Option<&str>, rest: &str) {
        let arguments = line.split(' ').map(OsString::from).collect();
        let taken = Taken::of(arguments, environment.map(OsString::from)).unwrap();
        let words: Vec<_> = taken.rest.iter().map(|word| word.to_string_lossy()).collect();
        assert_eq!(
            (taken.app, words.join(" ")),
            (app.map(OsString::from), rest.to_owned()),
            "{line}"
        );
    }

    #[test]
    fn the_app_is_taken_out_of_the_options_in_front_of_the_command() {
        check("celery -A mysite worker -l INFO", None, Some("mysite"), "celery worker -l INFO");
        check(
            "celery -b redis://h --app mysite status",
            None,
            Some("mysite"),
            "celery -b redis://h status",
        );
        check("celery --app=mysite -q status", None, Some("mysite"), "celery -q status");
        check("celery -Amysite status", None, Some("mysite"), "celery status");
        check("celery status", Some("mysite"), Some("mysite"), "celery status");
        check("celery status", Some(""), None, "celery status");
    }

    #[test]
    fn what_follows_the_command_is_the_commands() {
        check("celery worker -A mysite", None, None, "celery worker -A mysite");
        check("celery -b -A status", None, None, "celery -b -A status");
    }

    #[test]
    fn an_app_without_a_name_is_refused() {
        for option in ["-A", "--workdir"] {
            let failure = Taken::of(vec!["celery".into(), option.into()], None).unwrap_err();
            assert_eq!(failure.code, USAGE);
        }
    }

    #[test]
    fn the_folder_to_work_in_is_taken_out_too() {
        for line in ["celery --workdir /srv -q status", "celery -q --workdir=/srv status"] {
            let taken = Taken::of(line.split(' ').map(OsString::from).collect(), None).unwrap();
            assert_eq!(taken.workdir, Some("/srv".into()));
            assert_eq!(taken.rest, ["celery", "-q", "status"]);
        }
    }
}
