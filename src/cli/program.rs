//! The `celery` program: the same commands, on an app that is made of the environment, or in the program of a package.

mod package;

use std::{
    ffi::{OsStr, OsString},
    process::ExitCode,
};

use celery_core::{app::Celery, error::Error, exception::with_sources};
use clap::{Arg, ArgAction, CommandFactory, FromArgMatches};

use self::package::Package;
use super::{
    Cli, Command, arguments,
    failure::{Failure, USAGE},
    refuse,
};

/// Runs the `celery` program with the arguments of this process.
pub async fn program() -> ExitCode {
    let (app, rest) = match take_app(arguments(), std::env::var_os("CELERY_APP")) {
        Ok(taken) => taken,
        Err(failure) => return failure.report(),
    };
    if let Some(app) = app {
        return match Package::find(&app)
            .and_then(|package| package.run(rest.get(1..).unwrap_or_default()))
        {
            Ok(code) => code,
            Err(failure) => failure.report(),
        };
    }
    // It is taken out above. Here it is for the help, which also shows what the other options are.
    let option = Arg::new("app").short('A').long("app").value_name("PACKAGE").action(ArgAction::Set).help(
        "The package with the tasks, by its name or folder: its program is built, and runs the command",
    );
    let parsed = Cli::command().name("celery").arg(option).try_get_matches_from(rest);
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    if matches!(cli.command, Command::Worker(_)) {
        let remedy = "a worker needs the code of its tasks, which this program has not: name their package, as in `celery -A mysite worker`, or run its own program, as in `cargo run -p mysite -- worker`";
        return Failure::new(remedy).code(USAGE).report();
    }
    cli.run(app_of_environment).await
}

/// An app with the settings of the environment, and no tasks.
fn app_of_environment() -> Result<Celery, Error> {
    let app = Celery::builder("celery").config_from_env("CELERY").build()?;
    // The broker that an app gets when it names none is inside its process, where there is nothing to look at.
    if app.broker_urls().iter().all(|url| url.scheme() == "memory") {
        return Err(Error::Call(
            "no broker is named: give its URL with `-b`, as in `celery -b redis://localhost:6379/0 status`, or in CELERY_BROKER_URL; or name a package with `-A`".to_owned(),
        ));
    }
    Ok(app)
}

/// Takes `-A` out of the options in front of the command, and returns what it says with the other arguments.
fn take_app(
    arguments: Vec<OsString>,
    of_environment: Option<OsString>,
) -> Result<(Option<OsString>, Vec<OsString>), Failure> {
    let mut app = of_environment.filter(|app| !app.is_empty());
    let mut rest = Vec::with_capacity(arguments.len());
    let mut arguments = arguments.into_iter();
    rest.extend(arguments.next());
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy();
        if text == "-A" || text == "--app" {
            let missing = || {
                Failure::new(format!("`{text}` needs the name or the folder of a package"))
                    .code(USAGE)
            };
            app = Some(arguments.next().ok_or_else(missing)?);
        } else if let Some(value) = text.strip_prefix("--app=").or_else(|| short_value(&text)) {
            app = Some(OsString::from(value));
        } else if matches!(&*text, "-b" | "--broker" | "--result-backend") {
            rest.push(argument);
            rest.extend(arguments.next());
        } else if text.starts_with('-') {
            rest.push(argument);
        } else {
            // What follows the command is the command's.
            rest.push(argument);
            rest.extend(arguments.by_ref());
        }
    }
    Ok((app, rest))
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
        let taken = take_app(arguments, environment.map(OsString::from)).unwrap();
        let words: Vec<_> = taken.1.iter().map(|word| word.to_string_lossy()).collect();
        assert_eq!(
            (taken.0, words.join(" ")),
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
        let failure = take_app(vec!["celery".into(), "-A".into()], None).unwrap_err();
        assert_eq!(failure.code, USAGE);
    }
}
