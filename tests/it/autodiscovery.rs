//! Programs whose task crates are only listed in `Cargo.toml`: with the build script their tasks are there, in debug and
//! in release; without it they are not, and it is said why.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The fixture, as a workspace that can be built.
struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// A copy under the target folder, so that building it leaves nothing in the project. Files that did not change
    /// are left alone, and so is what was built of them.
    fn new() -> Self {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("autodiscovery");
        copy(&project.join("tests/fixtures/autodiscovery"), &root, &|text| {
            text.replace("path = \"../../..", &format!("path = \"{}", project.display()))
        });
        // The same versions of everything, which are there without a network.
        let lock = fs::read_to_string(project.join("Cargo.lock")).unwrap();
        write_if_changed(&root.join("Cargo.lock.project"), &lock, || {
            fs::write(root.join("Cargo.lock"), &lock).unwrap();
        });
        Self { root }
    }

    fn cargo(&self, arguments: &[&str]) -> Output {
        let output = Command::new(env!("CARGO"))
            .args(arguments)
            .arg("--offline")
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", self.root.join("target"))
            // Set for this test by the Cargo that runs it, and not meant for another project.
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "cargo {arguments:?}:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }

    /// Builds all programs, and returns what Cargo said.
    fn build(&self, profile: &str) -> String {
        String::from_utf8(self.cargo(&["build", "--workspace", "--profile", profile]).stderr)
            .unwrap()
    }

    /// What the program printed, line by line.
    fn run(&self, folder: &str, program: &str) -> Vec<String> {
        let program = self
            .root
            .join("target")
            .join(folder)
            .join(program)
            .with_extension(std::env::consts::EXE_EXTENSION);
        let output = Command::new(&program).env_remove("CELERY_BROKER_URL").output().unwrap();
        assert!(
            output.status.success(),
            "{}: {}",
            program.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }
}

fn copy(from: &Path, to: &Path, change: &dyn Fn(String) -> String) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target, change);
        } else {
            write_if_changed(&target, &change(fs::read_to_string(&path).unwrap()), || {});
        }
    }
}

fn write_if_changed(path: &Path, text: &str, then: impl FnOnce()) {
    if fs::read_to_string(path).ok().as_deref() != Some(text) {
        fs::write(path, text).unwrap();
        then();
    }
}

#[test]
fn tasks_of_crates_that_are_only_listed_are_found_by_the_build_script() {
    let workspace = Workspace::new();
    for (profile, folder) in [("dev", "debug"), ("release", "release")] {
        let said = workspace.build(profile);

        let found = workspace.run(folder, "site");
        assert_eq!(
            found,
            [
                "emails.tasks.send_welcome_email",
                "site.tasks.tidy_up",
                "uploads.tasks.process_upload"
            ],
            "{profile}"
        );

        // Cargo shows the warnings of a build script each time, as rustc's.
        assert!(
            said.contains(
                "src/reports/tasks.rs is not part of the program, so its tasks are missing: add `mod tasks;` to src/reports.rs"
            ),
            "{said}"
        );

        let twice = workspace.run(folder, "twice");
        assert_eq!(twice.len(), 1, "{twice:?}");
        assert!(
            twice[0].starts_with(
                "two tasks are named `emails.tasks.send_welcome_email`, in `emails::tasks` and in `twice`; rename"
            ),
            "{twice:?}"
        );

        let without = workspace.run(folder, "site-without-build");
        assert_eq!(without.len(), 2, "{without:?}");
        assert_eq!(without[0], "[]", "{profile}");
        assert!(
            without[1].starts_with("installed apps without a task: emails, uploads; "),
            "{without:?}"
        );
    }
}
