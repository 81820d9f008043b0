//! `completion`: what makes a shell complete the command line.

use std::{ffi::OsStr, io::Write, path::Path};

use clap_complete::{Shell, generate};

use super::failure::Failure;

/// Prints a script that makes a shell complete this command line.
///
/// For the shell that runs: `source <(celery completion bash)`. For good, put it where the shell looks: for bash
/// `~/.local/share/bash-completion/completions/celery`, for zsh a file `_celery` in `$fpath`, for fish
/// `~/.config/fish/completions/celery.fish`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &Args, form: clap::Command, program: &OsStr) -> Result<(), Failure> {
    Ok(std::io::stdout().write_all(&script(args, form, program))?)
}

/// The script for a command line of that form, of a program that was called by this name.
pub(super) fn script(args: &Args, mut form: clap::Command, program: &OsStr) -> Vec<u8> {
    let name = Path::new(program)
        .file_stem()
        .map_or_else(|| "celery".to_owned(), |name| name.to_string_lossy().into_owned());
    let mut script = Vec::new();
    generate(args.shell, &mut form, name, &mut script);
    script
}
