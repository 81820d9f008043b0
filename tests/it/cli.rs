//! The `celery` program, as a user runs it.

use std::process::{Command, Output, Stdio};

/// Runs the program with none of this process's settings.
fn celery(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_celery"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().contains("CELERY") || name.to_string_lossy().ends_with("_URL") {
            command.env_remove(name);
        }
    }
    command.args(arguments).output().expect("the program was built with this test")
}

#[track_caller]
fn check(arguments: &[&str], code: i32, complaint: &str) {
    let output = celery(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(said.contains(complaint), "{arguments:?}: {said}");
}

#[test]
fn the_help_lists_the_commands_and_how_to_name_a_package() {
    let output = celery(&["--help"]);
    let help = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success());
    for part in [
        "worker",
        "call",
        "result",
        "chord",
        "inspect",
        "status",
        "purge",
        "quarantine",
        "migrate",
        "list",
        "report",
        "completion",
        "-A, --app <PACKAGE>",
    ] {
        assert!(help.contains(part), "{part} is missing in:\n{help}");
    }
    assert!(!help.contains("beat"), "what is refused is not offered:\n{help}");
    let bare = celery(&[]);
    assert!(bare.status.success() && bare.stdout == output.stdout, "no command is a call for help");
}

#[test]
fn an_option_that_is_not_there_is_refused() {
    check(&["worker", "--autopilot"], 2, "unexpected argument '--autopilot'");
    check(&["worker", "--detach"], 2, "there is no `worker --detach` here: ");
    check(&["celebrate"], 2, "unrecognized subcommand 'celebrate'");
    check(&["beat", "-s", "x"], 2, "there is no `beat` here: ");
}

#[test]
fn without_a_broker_the_remedy_is_told() {
    check(&["status"], 1, "give its URL with `-b`");
}

#[test]
fn a_worker_without_tasks_is_refused_with_the_remedy() {
    check(&["-b", "redis://localhost", "worker"], 2, "celery -A mysite worker");
}

#[test]
fn a_broker_that_cannot_be_reached_is_exit_status_69() {
    // Nothing listens on port 1.
    check(&["-b", "redis://127.0.0.1:1/0", "inspect", "ping"], 69, "Error: ");
}

#[test]
fn a_scheme_that_no_driver_serves_is_named() {
    check(&["-b", "carrier-pigeon://coop", "call", "t.add"], 1, "carrier-pigeon://");
}

#[test]
fn a_package_that_is_not_there_is_reported_with_those_that_there_are() {
    check(&["-A", "mysit", "worker"], 1, "there is no package `mysit`");
    check(&["-A", "celery-core", "worker"], 1, "has no program");
}

#[test]
fn the_report_shows_settings_and_no_password() {
    let output = celery(&["-b", "redis://:hunter2@localhost:6379/0", "report"]);
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(report.contains("settings -> transport:redis results:disabled"), "{report}");
    assert!(report.contains("broker_url"), "{report}");
    assert!(!report.contains("hunter2"), "{report}");
}

/// A package whose program only says how it was called: what `-A` does with a package needs no more.
#[test]
fn the_program_of_a_package_is_built_and_runs_the_command_in_place_of_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| std::fs::write(folder.path().join(path), text).unwrap();
    // A workspace of its own, wherever the folder for temporary files is.
    let manifest = "[package]\nname = \"my-site\"\nedition = \"2024\"\n[workspace]\n";
    std::fs::create_dir(folder.path().join("src")).unwrap();
    write("Cargo.toml", manifest);
    write(
        "src/main.rs",
        r#"fn main() {
    println!("{:?}", std::env::args().skip(1).collect::<Vec<_>>());
    println!("{}", std::process::id());
    std::process::exit(69);
}"#,
    );
    let command = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_celery"));
        command.current_dir(folder.path()).env_remove("CARGO_TARGET_DIR").env_remove("CELERY_APP");
        command.args(["-q", "-A"]);
        command
    };
    let line = ["call", "t.add", "--args", "[2, 2]"];
    for app in ["my_site", "my-site", "."] {
        let program = command().arg(app).args(line).stdout(Stdio::piped()).spawn().unwrap();
        let id = program.id();
        let output = program.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines[0], r#"["-q", "call", "t.add", "--args", "[2, 2]"]"#);
        // It is this very process, so that signals reach it and its exit status is seen.
        assert!(!cfg!(unix) || lines[1] == id.to_string(), "{said}");
        assert_eq!(output.status.code(), Some(69));
    }
}
