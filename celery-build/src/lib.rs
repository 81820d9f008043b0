//! Finds the tasks of a program when it is built.
//!
//! A task registers itself when its crate is linked, and rustc links only crates that are named somewhere. A crate
//! that is only listed in `Cargo.toml` would be silently absent, with all its tasks. So the build script of the
//! program names them:
//!
//! ```no_run
//! // build.rs
//! fn main() {
//!     celery_build::autodiscover();
//! }
//! ```
//!
//! It finds the direct dependencies which declare that they have tasks, or which the program lists itself:
//!
//! ```toml
//! # Cargo.toml of a crate with tasks
//! [package.metadata.celery]
//! tasks = true
//!
//! # or Cargo.toml of the program
//! [package.metadata.celery]
//! installed_apps = ["emails", "uploads"]
//! ```
//!
//! `celery::installed_apps!()` takes up what was found, for `autodiscover_tasks` on the builder of the app.

#![expect(clippy::needless_doctest_main, reason = "the example is a whole build script")]

mod installed;
mod sources;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Writes down which dependencies have tasks, for `celery::installed_apps!()`, and warns of a `tasks.rs` of the
/// package itself that no `mod tasks;` reaches.
///
/// To be called in a build script.
///
/// # Panics
/// When it is called elsewhere, when `cargo metadata` fails, or when an app that is listed is no dependency: the
/// build stops with a message that says what to do.
pub fn autodiscover() {
    if let Err(message) = Package::from_env().and_then(|package| package.autodiscover()) {
        panic!("celery_build::autodiscover(): {message}");
    }
}

/// The package that is being built, as Cargo tells its build script.
struct Package {
    cargo: PathBuf,
    manifest: PathBuf,
    target: String,
    features: String,
    out_dir: PathBuf,
}

impl Package {
    fn from_env() -> Result<Self, String> {
        let var = |name: &str| {
            env::var(name).map_err(|_| {
                format!("Cargo did not set {name}; call it in `build.rs`, where Cargo does")
            })
        };
        Ok(Self {
            cargo: PathBuf::from(var("CARGO")?),
            manifest: Path::new(&var("CARGO_MANIFEST_DIR")?).join("Cargo.toml"),
            target: var("TARGET")?,
            // Not set when no feature is on.
            features: env::var("CARGO_CFG_FEATURE").unwrap_or_default(),
            out_dir: PathBuf::from(var("OUT_DIR")?),
        })
    }

    fn autodiscover(&self) -> Result<(), String> {
        let metadata = self.metadata()?;
        let found = installed::find(&metadata)?;
        let file = self.out_dir.join("celery_installed_apps.rs");
        fs::write(&file, installed::source(&found.apps))
            .map_err(|error| format!("could not write {}: {error}", file.display()))?;
        tell(&format!("rustc-env=CELERY_INSTALLED_APPS={}", file.display()));
        let src = self.manifest.with_file_name("src");
        for path in found.manifests.iter().chain([&src]) {
            tell(&format!("rerun-if-changed={}", path.display()));
        }
        for orphan in sources::unreached_tasks(&src, &found.roots) {
            tell(&format!(
                "warning={}",
                orphan.warning(self.manifest.with_file_name("").as_path())
            ));
        }
        Ok(())
    }

    /// What Cargo knows of the package and its dependencies, with the features that it is built with.
    fn metadata(&self) -> Result<Value, String> {
        let output = Command::new(&self.cargo)
            .args(["metadata", "--format-version=1", "--offline", "--no-default-features"])
            // Without it, Cargo asks for the dependencies of other platforms, which need not be there.
            .args(["--filter-platform", &self.target, "--features", &self.features])
            .arg("--manifest-path")
            .arg(&self.manifest)
            .output()
            .map_err(|error| format!("could not run {}: {error}", self.cargo.display()))?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            return Err(format!(
                "`cargo metadata` failed; does `cargo metadata --offline` work in {}? It said:\n{complaint}",
                self.manifest.with_file_name("").display()
            ));
        }
        serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("could not read what `cargo metadata` printed: {error}"))
    }
}

/// Tells Cargo something, as build scripts do.
#[expect(clippy::print_stdout, reason = "a build script speaks to Cargo on its standard output")]
fn tell(line: &str) {
    println!("cargo::{line}");
}
