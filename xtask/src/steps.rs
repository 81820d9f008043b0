//! `cargo xtask test`: the steps, in order.
//!
//! A lint that fails does not keep the tests from running, for one wants to know both; it does fail the command.
//! The tests come last, so that the last lines of a good run are the test runner's own summary.

use std::env;
use std::ffi::OsString;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Layout;
use crate::failure::Failure;
use crate::packages;
use crate::services::Services;

/// One run of cargo.
#[derive(Debug)]
struct Step {
    args: &'static str,
    environment: Option<(&'static str, &'static str)>,
    remedy: &'static str,
}

const BEFORE: [Step; 4] = [
    Step {
        args: "fmt --all --check",
        environment: None,
        remedy: "run `cargo fmt --all`; if rustfmt is missing, `rustup component add rustfmt`",
    },
    Step {
        args: "clippy --workspace --all-targets --all-features -- -D warnings",
        environment: None,
        remedy: "change the code as clippy says; if clippy is missing, `rustup component add clippy`",
    },
    Step {
        args: "doc --workspace --no-deps --all-features",
        environment: Some(("RUSTDOCFLAGS", "-Dwarnings")),
        remedy: "change the documentation as rustdoc says",
    },
    Step {
        args: "test --doc --workspace --all-features",
        environment: None,
        remedy: "change the example, or the code that it shows",
    },
];

const NEXTEST: Step = Step {
    args: "nextest run --workspace --all-features",
    environment: None,
    remedy: "read the failed tests above; `cargo xtask test -- <name>` runs one alone",
};

/// nextest's work without nextest: everything but the documentation's examples.
const PLAIN: Step = Step {
    args: "test --workspace --all-features --lib --bins --tests --examples --no-fail-fast",
    ..NEXTEST
};

/// The tests of faults, at a size that takes them minutes; each prints a line of counts.
const SOAK: Step = Step {
    args: "nextest run --package fleet --profile soak --success-output immediate -E test(/^faults::/)",
    environment: Some(("CELERY_SOAK", "1")),
    remedy: "read the failed tests above; with the seed that one printed in CELERY_SEED it does the same again",
};

/// The same without nextest.
const PLAIN_SOAK: Step = Step {
    args: "test --package fleet --test it faults:: -- --nocapture --test-threads 1",
    ..SOAK
};

const BENCH: Step = Step {
    args: "bench --package celery --bench fleet",
    environment: None,
    remedy: "read what the benchmark said above",
};

/// Runs the benchmark beside Python's Celery, with those words for it.
pub(crate) fn bench(layout: &Layout, args: &[String]) -> Result<(), Failure> {
    let services = Services::start(layout)?;
    let dashes = (!args.is_empty()).then(|| "--".to_owned());
    let more: Vec<String> = dashes.into_iter().chain(args.iter().cloned()).collect();
    BENCH.run(layout, &services, &more).map(drop)
}

/// Runs the tests of faults at their full size.
pub(crate) fn soak(layout: &Layout) -> Result<(), Failure> {
    let services = Services::start(layout)?;
    let step = if packages::find("cargo-nextest").is_some() { &SOAK } else { &PLAIN_SOAK };
    step.run(layout, &services, &[]).map(drop)
}

/// Runs everything, or, where there is a filter, the tests that it names and nothing else.
pub(crate) fn test(layout: &Layout, filter: &[String]) -> Result<(), Failure> {
    let services = Services::start(layout)?;
    let mut failed = Vec::new();
    if filter.is_empty() {
        for step in &BEFORE {
            match step.run(layout, &services, &[]) {
                Ok(took) => println!("xtask: passed in {took}"),
                Err(failure) => failed.push(failure),
            }
        }
    }
    let has_nextest = packages::find("cargo-nextest").is_some();
    if !has_nextest {
        println!(
            "xtask: cargo-nextest is missing, so `cargo test` runs the tests, without their time limits"
        );
        println!("xtask: to have them, `cargo install cargo-nextest --locked`");
    }
    failed.extend(
        runner(has_nextest).run(layout, &services, &runner_args(has_nextest, filter)).err(),
    );
    drop(services);
    match failed.pop() {
        None => Ok(()),
        Some(last) => {
            for failure in failed {
                eprintln!("{failure}");
            }
            Err(last)
        }
    }
}

fn runner(has_nextest: bool) -> &'static Step {
    if has_nextest { &NEXTEST } else { &PLAIN }
}

/// `cargo test` takes names and its harness's options after two dashes, nextest as they are.
fn runner_args(has_nextest: bool, filter: &[String]) -> Vec<String> {
    let dashes = (!has_nextest && !filter.is_empty()).then(|| "--".to_owned());
    dashes.into_iter().chain(filter.iter().cloned()).collect()
}

impl Step {
    /// Returns how long it took.
    fn run(
        &self,
        layout: &Layout,
        services: &Services,
        more: &[String],
    ) -> Result<String, Failure> {
        println!("xtask: cargo {}", [&[self.args.to_owned()], more].concat().join(" "));
        let start = now();
        let status = cargo()
            .args(self.args.split(' '))
            .args(more)
            .current_dir(&layout.root)
            .envs(services.environment())
            .envs(self.environment)
            .status();
        let took = seconds(now() - start);
        match status {
            Ok(status) if status.success() => Ok(took),
            Ok(status) => {
                println!("xtask: FAILED in {took}: cargo {}", self.args);
                Err(Failure::new(
                    format!("`cargo {}` failed with {status}", self.args),
                    self.remedy,
                ))
            }
            Err(error) => {
                Err(Failure::new(format!("cannot run cargo: {error}"), "install Rust with rustup"))
            }
        }
    }
}

/// The cargo that runs xtask, without what it set for xtask alone: some build scripts ask for these variables,
/// and would run again on every change between `cargo xtask test` and plain `cargo test`.
fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os().filter(|(name, _)| is_xtasks_own(name)) {
        command.env_remove(name);
    }
    command
}

fn is_xtasks_own(name: &OsString) -> bool {
    let name = name.to_string_lossy();
    ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.starts_with(prefix))
}

#[expect(clippy::disallowed_methods, reason = "times other programs")]
fn now() -> Instant {
    Instant::now()
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_a_remedy() {
        for step in BEFORE.iter().chain([&NEXTEST, &PLAIN, &SOAK, &PLAIN_SOAK, &BENCH]) {
            assert!(!step.remedy.is_empty(), "cargo {}", step.args);
        }
    }

    #[test]
    fn both_runners_take_the_filter_in_their_own_way() {
        let filter = ["a_name".to_owned()];
        assert_eq!(runner_args(true, &filter), ["a_name"]);
        assert_eq!(runner_args(false, &filter), ["--", "a_name"]);
        assert!(runner_args(false, &[]).is_empty());
    }

    #[test]
    fn cargos_words_for_xtask_are_not_passed_on() {
        assert!(is_xtasks_own(&"CARGO_PKG_NAME".into()));
        assert!(is_xtasks_own(&"CARGO_MANIFEST_DIR".into()));
        assert!(!is_xtasks_own(&"CARGO_TARGET_DIR".into()));
        assert!(!is_xtasks_own(&"CARGO_HOME".into()));
    }

    #[test]
    fn a_time_is_readable() {
        assert_eq!(seconds(Duration::from_millis(1_260)), "1.3 s");
    }
}
