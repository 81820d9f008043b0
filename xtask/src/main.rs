//! The project's own commands: `cargo xtask test`, `cargo xtask soak`, `cargo xtask bench` and `cargo xtask services`.
//!
//! One command sets up what the tests need and passes them: it finds or installs the programs, starts servers
//! of its own on ports of its own in folders of its own, runs the checks and the tests, and stops the servers.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

mod failure;
mod guard;
mod packages;
mod python;
mod redis;
mod services;
mod steps;
mod tls;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use failure::Failure;

const USAGE: &str = "\
usage: cargo xtask <command>

  test              sets up what the tests need, then runs the lints, the documentation and all tests
  test -- <args>    runs the tests alone, with <args> for the test runner, for example a name
  soak              runs the tests of real faults alone, at their full size, and prints what they count
  bench             measures Rust clients and workers beside Python's and bare loops, on one Redis
  bench -- <args>   the same with <args>, for example a section alone and how often
  services          starts the servers, prints the environment of the tests and waits for Ctrl-C";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let outcome = match Command::parse(&args) {
        Some(Command::Test { filter }) => {
            Layout::find().and_then(|layout| steps::test(&layout, &filter))
        }
        Some(Command::Soak) => Layout::find().and_then(|layout| steps::soak(&layout)),
        Some(Command::Bench { args }) => {
            Layout::find().and_then(|layout| steps::bench(&layout, &args))
        }
        Some(Command::Services) => Layout::find().and_then(|layout| services::hold(&layout)),
        Some(Command::Guard { folder, program, args }) => guard::run(&folder, &program, &args),
        None => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, PartialEq)]
enum Command {
    Test {
        filter: Vec<String>,
    },
    Soak,
    Bench {
        args: Vec<String>,
    },
    Services,
    /// What [`redis`] starts, not a command for people: see [`guard`].
    Guard {
        folder: PathBuf,
        program: PathBuf,
        args: Vec<String>,
    },
}

impl Command {
    fn parse(args: &[String]) -> Option<Self> {
        let (command, rest) = args.split_first()?;
        match (command.as_str(), rest) {
            ("test", []) => Some(Self::Test { filter: Vec::new() }),
            ("test", [dashes, filter @ ..]) if dashes == "--" => {
                Some(Self::Test { filter: filter.to_vec() })
            }
            ("soak", []) => Some(Self::Soak),
            ("bench", []) => Some(Self::Bench { args: Vec::new() }),
            ("bench", [dashes, args @ ..]) if dashes == "--" => {
                Some(Self::Bench { args: args.to_vec() })
            }
            ("services", []) => Some(Self::Services),
            ("guard", [folder, program, args @ ..]) => Some(Self::Guard {
                folder: folder.into(),
                program: program.into(),
                args: args.to_vec(),
            }),
            _ => None,
        }
    }
}

/// Where the project is, and where xtask keeps what it makes.
#[derive(Debug)]
struct Layout {
    /// The folder of the workspace's `Cargo.toml`.
    root: PathBuf,
    /// `target/xtask`, so that `cargo clean` takes it along.
    own: PathBuf,
}

impl Layout {
    fn find() -> Result<Self, Failure> {
        let remedy = "run it as `cargo xtask`, from inside the project";
        let manifest = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let root = manifest
            .as_deref()
            .and_then(|folder| folder.parent())
            .ok_or_else(|| Failure::new("CARGO_MANIFEST_DIR is not set", remedy))?;
        // The program itself is `target/<profile>/xtask`, wherever the user has put the target folder.
        let program = env::current_exe()
            .map_err(|error| Failure::new(format!("cannot find xtask: {error}"), remedy))?;
        let target = program
            .ancestors()
            .nth(2)
            .ok_or_else(|| Failure::new("xtask lies outside a target folder", remedy))?;
        Ok(Self { root: root.to_owned(), own: target.join("xtask") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Option<Command> {
        Command::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn the_arguments_after_two_dashes_are_the_test_runners() {
        assert_eq!(parse("test"), Some(Command::Test { filter: vec![] }));
        let filter = vec!["a_name".to_owned(), "--no-capture".to_owned()];
        assert_eq!(parse("test -- a_name --no-capture"), Some(Command::Test { filter }));
    }

    #[test]
    fn the_arguments_after_two_dashes_are_the_benchmarks() {
        assert_eq!(parse("bench"), Some(Command::Bench { args: vec![] }));
        let args = ["drain", "--runs", "1"].map(str::to_owned).to_vec();
        assert_eq!(parse("bench -- drain --runs 1"), Some(Command::Bench { args }));
    }

    #[test]
    fn what_is_no_command_is_refused() {
        assert_eq!(parse(""), None);
        assert_eq!(parse("tset"), None);
        assert_eq!(parse("test a_name"), None, "a forgotten `--` must not run everything");
        assert_eq!(parse("services now"), None);
    }
}
