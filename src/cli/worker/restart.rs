//! Starting the program again in the place of this one, as Celery does upon SIGHUP: a new release of it, if there is one.

use std::{env, ffi::OsString, path::PathBuf};

use crate::cli::failure::Failure;

/// The command line, as it is shown.
pub(super) fn shown() -> String {
    let words: Vec<_> = env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    words.join(" ")
}

/// Does not return where it works. The process stays the same, for whoever supervises it.
#[cfg(unix)]
pub(super) fn restart() -> Failure {
    use std::os::unix::process::CommandExt;
    let mut words = env::args_os();
    let program = match program(words.next()) {
        Ok(program) => program,
        Err(error) => return Failure::new(format!("could not restart: {error}")),
    };
    let error = std::process::Command::new(&program).args(words).exec();
    Failure::new(format!("could not restart {}: {error}", program.display()))
}

/// Elsewhere there is no SIGHUP.
#[cfg(not(unix))]
pub(super) fn restart() -> Failure {
    Failure::new("this system cannot restart a worker in its place".to_owned())
}

/// What was started, by the path that was given: the running file itself may have been replaced.
#[cfg(unix)]
fn program(given: Option<OsString>) -> std::io::Result<PathBuf> {
    let given = given.map(PathBuf::from);
    match given.filter(|path| path.components().count() > 1 && path.exists()) {
        Some(path) => Ok(path),
        None => env::current_exe(),
    }
}
