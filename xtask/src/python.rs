//! A virtual environment with the Python Celery that the interop tests speak to.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Layout;
use crate::failure::Failure;
use crate::packages;

/// The versions, in the project.
const REQUIREMENTS: &str = "tests/python/requirements.txt";

/// What the environment was made from, in the environment. Written last, so that a broken one is made anew.
const STAMP: &str = "requirements.txt";

/// Prints the two versions that a reader of a failed interop test wants to know.
const VERSIONS: &str = "import celery, platform; print('Python', platform.python_version(), 'with Celery', celery.__version__)";

/// Makes the environment if it is not there, or not from the present requirements; returns its interpreter.
pub(crate) fn ready(layout: &Layout) -> Result<PathBuf, Failure> {
    let file = layout.root.join(REQUIREMENTS);
    let wanted = fs::read_to_string(&file).map_err(|error| {
        Failure::new(
            format!("cannot read {}: {error}", file.display()),
            format!("restore {REQUIREMENTS}"),
        )
    })?;
    let environment = layout.own.join("venv");
    let interpreter = environment.join("bin").join("python");
    if is_current(&environment, &wanted)
        && let Some(versions) = versions(&interpreter)
    {
        println!("xtask: {versions}");
        return Ok(interpreter);
    }
    println!("xtask: making a Python environment from {REQUIREMENTS}");
    make(&environment)?;
    install(&interpreter, &file)?;
    let versions = versions(&interpreter).ok_or_else(|| {
        Failure::new(
            "Celery does not import in the new Python environment",
            format!("check {REQUIREMENTS}"),
        )
    })?;
    println!("xtask: {versions}");
    fs::write(environment.join(STAMP), wanted).map_err(|error| {
        Failure::new(
            format!("cannot write to {}: {error}", environment.display()),
            "make the target folder writable",
        )
    })?;
    Ok(interpreter)
}

fn is_current(environment: &Path, wanted: &str) -> bool {
    fs::read_to_string(environment.join(STAMP)).is_ok_and(|made_from| made_from == wanted)
}

fn versions(interpreter: &Path) -> Option<String> {
    let output = Command::new(interpreter).args(["-c", VERSIONS]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn make(environment: &Path) -> Result<(), Failure> {
    let python = packages::find_or_install("python3", &packages::PYTHON)?;
    let venv = || {
        let output =
            Command::new(&python).args(["-m", "venv", "--clear"]).arg(environment).output();
        match output {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err([output.stdout, output.stderr]
                .map(|text| String::from_utf8_lossy(&text).into_owned())),
            Err(error) => Err([error.to_string(), String::new()]),
        }
    };
    // Debian ships python3 without the module that fills an environment.
    venv().or_else(|_| {
        packages::install("Python's venv module", &packages::PYTHON).and_then(|()| {
            venv().map_err(|said| {
                Failure::new(
                    format!("`python3 -m venv` failed: {}", said.concat().trim()),
                    "repair the installed Python",
                )
            })
        })
    })
}

fn install(interpreter: &Path, requirements: &Path) -> Result<(), Failure> {
    let status = Command::new(interpreter)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(requirements)
        .status();
    if status.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    Err(Failure::new(
        "pip could not install the Python packages; its reason is above",
        "check the network, pip's configuration, and that python3 is 3.10 or later",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_current_only_for_the_very_requirements_it_was_made_from() {
        let folder = std::env::temp_dir().join(format!("xtask-python-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert!(!is_current(&folder, "celery==5.7.0\n"), "it was never finished");
        fs::write(folder.join(STAMP), "celery==5.7.0\n").unwrap();
        assert!(is_current(&folder, "celery==5.7.0\n"));
        assert!(!is_current(&folder, "celery==5.7.1\n"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn an_interpreter_that_is_gone_has_no_versions() {
        assert_eq!(versions(Path::new("no-such-python")), None);
    }

    #[test]
    fn every_requirement_is_pinned() {
        let text = include_str!("../../tests/python/requirements.txt");
        let requirements = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in requirements {
            assert!(line.contains("=="), "{line} is not pinned");
        }
        assert!(text.contains("celery[redis]=="));
    }
}
