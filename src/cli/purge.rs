//! `purge`: drops the messages that wait in queues.

use std::{
    collections::BTreeSet,
    io::{self, BufRead, Write},
};

use celery_core::error::Error;

use super::{
    Session,
    failure::Failure,
    output::{Style, pluralize},
    progress::Progress,
};

/// Drops all messages that wait in the queues of the settings. There is no way back.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Do not ask whether it is meant.
    #[arg(short, long)]
    force: bool,
    /// Names of queues to purge, separated by commas, in place of those of the settings.
    #[arg(
        short = 'Q',
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        env = "CELERY_PURGE_QUEUES"
    )]
    queues: Vec<String>,
    /// Names of queues not to purge, separated by commas.
    #[arg(
        short = 'X',
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        env = "CELERY_PURGE_EXCLUDE_QUEUES"
    )]
    exclude_queues: Vec<String>,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<(), Failure> {
    let names = chosen(&args, session.app.queues().iter().map(|queue| queue.name.as_str()));
    let output = session.output;
    let count = names.len() as u64;
    if names.is_empty() {
        return Ok(());
    }
    let queues = pluralize(count, "queue");
    if !args.force {
        let question = question(&output.style("WARNING", Style::Warning), &queues, &names);
        if !confirm(&question, io::stdin().lock())? {
            output.line("")?;
            writeln!(io::stderr(), "Aborted!")?;
            return Err(Failure::new(""));
        }
    }
    let messages = drop_all(session, &names).await?;
    let report = match messages {
        0 => format!("No messages purged from {count} {queues}."),
        _ => format!(
            "Purged {messages} {} from {count} known task {queues}.",
            pluralize(messages, "message")
        ),
    };
    Ok(output.line(&report)?)
}

/// Empties the queues; returns how many messages there were.
async fn drop_all(session: &Session, names: &BTreeSet<&str>) -> Result<u64, Failure> {
    let broker = session.app.publisher().await?;
    let mut waiting = 0;
    for name in names {
        waiting += broker.queue_len(name).await.map_err(Error::from)?;
    }
    let progress = Progress::new(session.output, "Purging", waiting);
    let mut messages = 0;
    for name in names {
        progress.at(name);
        let purged = broker.purge(name).await.map_err(Error::from)?;
        progress.advance(purged);
        messages += purged;
    }
    Ok(messages)
}

/// The names of the queues that are meant, in their order.
fn chosen<'a>(args: &'a Args, known: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let trimmed = |name: &'a String| name.trim();
    let mut names: BTreeSet<&str> = if args.queues.is_empty() {
        known.collect()
    } else {
        args.queues.iter().map(trimmed).collect()
    };
    for excluded in args.exclude_queues.iter().map(trimmed) {
        names.remove(excluded);
    }
    names
}

fn question(warning: &str, queues: &str, names: &BTreeSet<&str>) -> String {
    let names: Vec<_> = names.iter().copied().collect();
    format!(
        "{warning}:This will remove all tasks from {queues}: {}.\n         There is no undo for this operation!\n\n(to skip this prompt use the -f option)\nAre you sure you want to delete all tasks? [y/N]: ",
        names.join(", ")
    )
}

/// Asks until the answer is yes or no. No answer is no.
pub(super) fn confirm(question: &str, mut answers: impl BufRead) -> io::Result<bool> {
    loop {
        write!(io::stdout(), "{question}")?;
        io::stdout().flush()?;
        let mut answer = String::new();
        let is_over = answers.read_line(&mut answer)? == 0;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => return Ok(true),
            "n" | "no" | "" => return Ok(false),
            _ if is_over => return Ok(false),
            _ => writeln!(io::stdout(), "Error: invalid input")?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        let check = |answers: &str, expected: bool| {
            assert_eq!(confirm("", answers.as_bytes()).unwrap(), expected, "{answers:?}");
        };
        check("y\n", true);
        check("YES\n", true);
        check("n\n", false);
        check("\n", false);
        check("", false);
        check("perhaps\ny\n", true);
    }

    #[test]
    fn the_queues_that_are_meant_are_those_named_or_known_but_for_the_excluded() {
        let args = |queues: &[&str], excluded: &[&str]| Args {
            force: true,
            queues: queues.iter().map(|&name| name.to_owned()).collect(),
            exclude_queues: excluded.iter().map(|&name| name.to_owned()).collect(),
        };
        let names = |args: &Args| {
            chosen(args, ["celery", "mail"].into_iter()).into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(&args(&[], &[])), "celery mail");
        assert_eq!(names(&args(&[], &[" mail"])), "celery");
        assert_eq!(names(&args(&["slow", " celery"], &["mail"])), "celery slow");
    }
}
