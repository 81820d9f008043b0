//! Rust clients and workers beside Python's, and beside bare loops of the same Redis commands, on one server in one
//! run: `cargo xtask bench [-- <section>… --runs N --save FILE]`.
//!
//! Each section measures each side in turn, and all of it as often as it is told; the table has the medians. Workers
//! are processes of their own, so that what they use of processors and memory is theirs alone. The absolute numbers are
//! those of the machine: what counts are the ratios to Python, and the shares of the bare loops. `docs/benchmarks.md`
//! says what each row means.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark is read on a terminal")]

mod arguments;
mod ceiling;
mod chain;
mod chord;
mod drain;
mod enqueue;
mod eta;
mod idle;
mod load;
mod messages;
mod process;
mod python;
mod space;
mod table;
mod tasks;
mod trip;
mod worker;

use std::{io::Write as _, process::ExitCode, time::Duration};

use self::{
    arguments::{Arguments, Section},
    space::Space,
    table::Table,
};

/// What went wrong is read by a person, and ends the run.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let ended = match std::env::args().nth(1).as_deref() {
        Some(worker::ROLE) => worker::serve(),
        Some(ceiling::ROLE) => ceiling::respond(),
        _ => measure(),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Outcome<()> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Runtime::new()?;
    let table = runtime.block_on(run(&arguments))?;
    // What is left of it waits for nobody.
    runtime.shutdown_timeout(Duration::from_secs(1));
    println!("{table}");
    if let Some(file) = &arguments.save {
        writeln!(std::fs::File::create(file)?, "{table}")?;
    }
    Ok(())
}

async fn run(arguments: &Arguments) -> Outcome<Table> {
    let space = Space::new(arguments.has_python)?;
    let mut table = Table::default();
    for number in 1..=arguments.runs {
        for section in &arguments.sections {
            eprintln!("run {number} of {}: {section}", arguments.runs);
            let ended = match section {
                Section::Enqueue => enqueue::measure(&space, &mut table).await,
                Section::Drain => drain::measure(&space, &mut table).await,
                Section::Trip => trip::measure(&space, &mut table).await,
                Section::Eta => eta::measure(&space, &mut table).await,
                Section::Load => load::measure(&space, &mut table).await,
                Section::Idle => idle::measure(&space, &mut table, arguments).await,
                Section::Chain => chain::measure(&space, &mut table).await,
                Section::Chord => chord::measure(&space, &mut table).await,
            };
            space.clear().await?;
            ended?;
        }
    }
    Ok(table)
}
