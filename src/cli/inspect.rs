//! `inspect`: asks the workers about themselves.

use std::time::Duration;

use celery_core::{
    codec::json,
    value::{Map, Value},
};
use clap::ValueEnum;

use super::{
    Session,
    failure::{Failure, UNAVAILABLE, USAGE},
    output::pluralize,
};

/// Asks the workers about themselves.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to ask.
    #[arg(value_enum)]
    command: Command,
    /// For `registered`: attributes of the tasks to show, such as `max_retries`.
    #[arg(value_name = "ATTRIBUTE")]
    arguments: Vec<String>,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Whom to ask, and how long to wait.
#[derive(Debug, clap::Args)]
pub(super) struct RemoteArgs {
    /// Seconds to wait for replies.
    #[arg(short, long, value_name = "SECONDS", default_value = "1.0", value_parser = seconds, env = "CELERY_INSPECT_TIMEOUT")]
    pub(super) timeout: Duration,
    /// Node names to ask, separated by commas; everyone unless it is given.
    #[arg(
        short,
        long,
        value_name = "NODES",
        value_delimiter = ',',
        env = "CELERY_INSPECT_DESTINATION"
    )]
    pub(super) destination: Vec<String>,
    /// Print the replies as JSON.
    #[arg(short, long)]
    pub(super) json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Command {
    /// Whether they are there.
    Ping,
    /// Which tasks they have.
    Registered,
}

impl Command {
    const fn name(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Registered => "registered",
        }
    }
}

pub(super) async fn run(session: &Session, args: Args) -> Result<(), Failure> {
    let name = args.command.name();
    let arguments = match args.command {
        Command::Ping if args.arguments.is_empty() => Map::new(),
        Command::Ping => return Err(Failure::new("Command 'ping' takes arguments: ").code(USAGE)),
        Command::Registered => {
            Map::from_iter([("taskinfoitems".to_owned(), Value::from(args.arguments))])
        }
    };
    let replies = ask(session, name, arguments, &args.remote, true).await?;
    if !args.remote.json && !session.output.quiet {
        session.output.line(&online(replies))?;
    }
    Ok(())
}

/// Asks the workers, prints their replies as they come, or as JSON in the end, and says how many there were.
pub(super) async fn ask(
    session: &Session,
    method: &str,
    arguments: Map,
    args: &RemoteArgs,
    with_body: bool,
) -> Result<u64, Failure> {
    let output = session.output;
    let broadcast = session.app.control().broadcast(method, arguments).timeout(args.timeout);
    let broadcast = broadcast.destination(args.destination.iter().map(|node| node.trim()));
    let mut written = Ok(());
    let print = |node: &str, reply: &Value| {
        if !args.json && written.is_ok() {
            written = output.line(&output.reply(node, reply, with_body));
        }
    };
    let replies = broadcast.replies_each(print).await.map_err(|error| {
        let command = if with_body { format!("inspect {method}") } else { "status".to_owned() };
        Failure::of_remote_command(&command, &error)
    })?;
    written?;
    if replies.is_empty() {
        return Err(Failure::new("No nodes replied within time constraint").code(UNAVAILABLE));
    }
    let replies = Map::from_iter(replies);
    let nodes = replies.len() as u64;
    if args.json {
        output.line(&json::to_string(&Value::Object(replies)))?;
    }
    Ok(nodes)
}

/// How many nodes there are, in Celery's words.
pub(super) fn online(nodes: u64) -> String {
    format!("\n{nodes} {} online.", pluralize(nodes, "node"))
}

/// A number of seconds, whole or not.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "a number of seconds is needed, such as 1.5".to_owned())
}
