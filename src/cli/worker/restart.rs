//! Starting the program again in the place of this one, as Celery does upon SIGHUP: a new release of it, if there is one.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

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

/// What was started, by the path or the name that was given: the running file itself may have been replaced, and its own
/// path then leads nowhere.
#[cfg(unix)]
fn program(given: Option<OsString>) -> std::io::Result<PathBuf> {
    let given = given.map(PathBuf::from);
    let found = |path: &PathBuf| match path.components().count() {
        1 => is_in_path(path),
        _ => path.exists(),
    };
    given.filter(found).map_or_else(env::current_exe, Ok)
}

/// Whether that name is found where the system looks for programs.
#[cfg(unix)]
fn is_in_path(name: &Path) -> bool {
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders).any(|folder| folder.join(name).is_file())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_started_again_by_what_it_was_called() {
        let check = |given: &str, expected: PathBuf| {
            assert_eq!(program(Some(given.into())).unwrap(), expected);
        };
        check("sh", "sh".into());
        check("/bin/sh", "/bin/sh".into());
        let this = env::current_exe().unwrap();
        check("no-program-of-this-name", this.clone());
        check("/gone/fleet", this);
    }
}
