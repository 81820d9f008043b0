//! What is to be measured, and how often.

use std::{fmt, path::PathBuf};

use crate::Outcome;

const USAGE: &str = "\
usage: cargo xtask bench [-- <section>… <option>…]

sections, all of them by default:
  enqueue        messages sent a second, one by one and many at once
  drain          tasks run a second, and the worker's CPU for each
  trip           from sending a task to its result, on an idle worker
  eta            how late tasks run that have an ETA, and the memory of those that wait
  load           tasks that wait for something, and tasks that compute
  idle           start, memory and CPU of a worker that has nothing to do
  chain          tasks that follow each other
  chord          many tasks, and one that follows all of them

options:
  --runs N       measures all of it N times, in turn, and prints the medians (5)
  --save FILE    writes the table there too
  --long         idle for a minute, and with a million messages in the queue
  --no-python    leaves Python out, which takes most of the time";

/// A part of the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Section {
    Enqueue,
    Drain,
    Trip,
    Eta,
    Load,
    Idle,
    Chain,
    Chord,
}

impl Section {
    const ALL: [Self; 8] = [
        Self::Enqueue,
        Self::Drain,
        Self::Trip,
        Self::Eta,
        Self::Load,
        Self::Idle,
        Self::Chain,
        Self::Chord,
    ];
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enqueue => "enqueue",
            Self::Drain => "drain",
            Self::Trip => "trip",
            Self::Eta => "eta",
            Self::Load => "load",
            Self::Idle => "idle",
            Self::Chain => "chain",
            Self::Chord => "chord",
        })
    }
}

/// The words after the command.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) sections: Vec<Section>,
    pub(crate) runs: usize,
    pub(crate) save: Option<PathBuf>,
    pub(crate) has_python: bool,
    /// Whether what takes minutes is measured too.
    pub(crate) is_long: bool,
}

impl Arguments {
    /// # Errors
    /// The usage, where a word is none of it.
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Outcome<Self> {
        let mut arguments =
            Self { sections: vec![], runs: 5, save: None, has_python: true, is_long: false };
        let mut words = words;
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value\n{USAGE}"));
            match word.as_str() {
                // Cargo's own word for its benchmarks.
                "--bench" => {}
                "--runs" => {
                    let runs = value()?.parse().ok().filter(|runs| *runs > 0);
                    arguments.runs = runs.ok_or("--runs is a number from 1")?;
                }
                "--save" => arguments.save = Some(value()?.into()),
                "--long" => arguments.is_long = true,
                "--no-python" => arguments.has_python = false,
                name => {
                    let named = Section::ALL.into_iter().find(|it| it.to_string() == name);
                    let section = named.ok_or_else(|| format!("there is no `{name}`\n{USAGE}"))?;
                    arguments.sections.push(section);
                }
            }
        }
        if arguments.sections.is_empty() {
            arguments.sections = Section::ALL.to_vec();
        }
        Ok(arguments)
    }
}
