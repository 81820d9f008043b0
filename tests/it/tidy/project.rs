//! The project as the rules see it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde_json::Value;

/// A text file: its path from the root, with `/`, and what it says.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

impl File {
    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// The folder of the workspace.
#[derive(Debug)]
pub(super) struct Project {
    root: PathBuf,
}

impl Project {
    pub(super) fn find() -> Self {
        let root =
            env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        Self { root: root.into() }
    }

    pub(super) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path))
            .unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
    }

    /// What cargo knows of the workspace's own packages.
    pub(super) fn metadata(&self) -> Value {
        let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["metadata", "--offline", "--no-deps", "--format-version", "1"])
            .current_dir(&self.root)
            .output()
            .expect("cargo runs the tests, so it can be run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
    }

    pub(super) fn rust_files(&self) -> Vec<File> {
        self.text_files().into_iter().filter(File::is_rust).collect()
    }

    /// The tracked files that are text; without git, all files but those that are built.
    pub(super) fn text_files(&self) -> Vec<File> {
        let paths = self.tracked().unwrap_or_else(|| {
            let mut paths = Vec::new();
            walk(&self.root, "", &mut paths);
            paths
        });
        // A tracked file may have been removed, and an image is not UTF-8: neither can be read, nor has rules.
        let read = |path: String| {
            fs::read_to_string(self.root.join(&path)).ok().map(|text| File { path, text })
        };
        paths.into_iter().filter_map(read).collect()
    }

    fn tracked(&self) -> Option<Vec<String>> {
        let output =
            Command::new("git").args(["ls-files", "-z"]).current_dir(&self.root).output().ok()?;
        let list = String::from_utf8(output.stdout).ok()?;
        let paths: Vec<String> = list.split_terminator('\0').map(str::to_owned).collect();
        (output.status.success() && !paths.is_empty()).then_some(paths)
    }
}

fn walk(folder: &Path, prefix: &str, paths: &mut Vec<String>) {
    let entries = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()));
    for entry in entries {
        let entry = entry.expect("a listed folder can be listed to its end");
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        match entry.file_type().expect("a listed file has a type") {
            kind if kind.is_dir() && !matches!(name.as_str(), ".git" | "target") => {
                walk(&entry.path(), &format!("{path}/"), paths);
            }
            kind if kind.is_file() => paths.push(path),
            _ => {}
        }
    }
}

#[test]
fn without_git_the_same_files_are_found_but_those_that_are_built() {
    let folder = tempfile::tempdir().unwrap();
    for path in ["Cargo.toml", "src/lib.rs", "target/debug/out.rs", ".git/config"] {
        let file = folder.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "").unwrap();
    }
    let project = Project { root: folder.path().to_owned() };
    let mut paths: Vec<String> = project.text_files().into_iter().map(|file| file.path).collect();
    paths.sort();
    assert_eq!(paths, ["Cargo.toml", "src/lib.rs"]);
}
