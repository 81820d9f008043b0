//! The package behind `-A`: found with Cargo, built and run by it.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::{self, ExitCode},
};

use celery_core::value::Value;

use super::replace;
use crate::cli::failure::Failure;

/// The program of a package.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Package {
    manifest: PathBuf,
    binary: String,
}

impl Package {
    /// Finds the package of that name in the workspace around here, or the one in that folder.
    pub(super) fn find(app: &OsStr) -> Result<Self, Failure> {
        let folder = Path::new(app);
        let manifest = folder.join("Cargo.toml");
        let is_folder = manifest.is_file();
        let metadata = metadata(is_folder.then_some(manifest.as_path()))?;
        let packages = metadata["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
        if is_folder {
            let manifest = manifest.canonicalize()?;
            let here = packages
                .iter()
                .find(|package| Path::new(text(&package["manifest_path"])) == manifest);
            let missing = || {
                Failure::new(format!(
                    "{} has no package: it is the root of a workspace; name one of its packages",
                    manifest.display()
                ))
            };
            return Self::of(here.ok_or_else(missing)?);
        }
        let name = app.to_string_lossy();
        match packages.iter().find(|package| same_name(text(&package["name"]), &name)) {
            Some(package) => Self::of(package),
            None => Err(Failure::new(unknown(&name, packages))),
        }
    }

    /// The program of a package in `cargo metadata`.
    fn of(package: &Value) -> Result<Self, Failure> {
        let name = text(&package["name"]);
        let targets = package["targets"].as_array().map(Vec::as_slice).unwrap_or_default();
        let is_program = |target: &&Value| {
            target["kind"].as_array().is_some_and(|kinds| kinds.contains(&"bin".into()))
        };
        let programs: Vec<_> =
            targets.iter().filter(is_program).map(|target| text(&target["name"])).collect();
        let binary = match (programs.as_slice(), package["default_run"].as_str()) {
            (_, Some(default)) => default,
            ([only], None) => only,
            ([], None) => {
                return Err(Failure::new(format!(
                    "the package `{name}` has no program: add a `src/main.rs` that calls `celery::cli::run(app).await`"
                )));
            }
            (several, None) => several.iter().find(|program| same_name(program, name)).copied().ok_or_else(|| {
                Failure::new(format!(
                    "the package `{name}` has several programs ({}): say in its Cargo.toml which one is meant, with `default-run`",
                    several.join(", ")
                ))
            })?,
        };
        Ok(Self { manifest: text(&package["manifest_path"]).into(), binary: binary.to_owned() })
    }

    /// Builds the program and runs it with the arguments, in place of this one.
    pub(super) fn run(&self, arguments: &[OsString]) -> Result<ExitCode, Failure> {
        let mut line: Vec<OsString> =
            vec!["run".into(), "--quiet".into(), "--manifest-path".into()];
        line.extend([
            self.manifest.clone().into(),
            "--bin".into(),
            self.binary.clone().into(),
            "--".into(),
        ]);
        line.extend_from_slice(arguments);
        replace(&cargo(), &line)
    }
}

fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn metadata(manifest: Option<&Path>) -> Result<Value, Failure> {
    let mut command = process::Command::new(cargo());
    command.args(["metadata", "--no-deps", "--format-version=1", "--offline"]);
    if let Some(manifest) = manifest {
        command.arg("--manifest-path").arg(manifest);
    }
    let output = command.output().map_err(|error| {
        Failure::new(format!(
            "could not run cargo, which finds and builds the package of `-A`: {error}"
        ))
    })?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!(
            "cargo cannot read the workspace; is there a Cargo.toml here, or above? It said:\n{}",
            complaint.trim_end()
        )));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| {
        Failure::new(format!("could not read what `cargo metadata` printed: {error}"))
    })
}

fn unknown(name: &str, packages: &[Value]) -> String {
    let names: Vec<_> = packages.iter().map(|package| text(&package["name"])).collect();
    let hint = match name.split(['.', ':']).next() {
        Some(first) if first != name && names.iter().any(|package| same_name(package, first)) => {
            format!("; name the package alone, as in `-A {first}`")
        }
        _ => format!("; there are: {}", names.join(", ")),
    };
    format!(
        "there is no package `{name}` in this workspace, and no folder of that name with a Cargo.toml{hint}"
    )
}

/// Packages are written with hyphens or underscores.
fn same_name(a: &str, b: &str) -> bool {
    a.replace('-', "_") == b.replace('-', "_")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(programs: &[&str], default_run: Option<&str>) -> Value {
        let targets: Vec<_> =
            programs.iter().map(|name| json!({ "name": name, "kind": ["bin"] })).collect();
        json!({ "name": "my-site", "manifest_path": "/w/Cargo.toml", "targets": targets, "default_run": default_run })
    }

    #[test]
    fn the_program_is_the_only_one_or_the_default_or_the_one_of_the_packages_name() {
        let check = |programs: &[&str], default: Option<&str>, expected: &str| {
            assert_eq!(Package::of(&package(programs, default)).unwrap().binary, expected);
        };
        check(&["serve"], None, "serve");
        check(&["a", "b"], Some("b"), "b");
        check(&["tool", "my-site"], None, "my-site");
    }

    #[test]
    fn a_package_without_a_program_of_its_own_is_refused_with_the_remedy() {
        let check = |programs: &[&str], expected: &str| {
            let failure = Package::of(&package(programs, None)).unwrap_err();
            assert!(failure.message.contains(expected), "{}", failure.message);
        };
        check(&[], "add a `src/main.rs`");
        check(&["a", "b"], "default-run");
    }

    #[test]
    fn an_unknown_package_is_reported_with_those_that_there_are() {
        let packages = [json!({ "name": "mysite" }), json!({ "name": "emails" })];
        assert!(unknown("mysit", &packages).ends_with("there are: mysite, emails"));
        assert!(unknown("mysite.celery:app", &packages).ends_with("as in `-A mysite`"));
    }
}
