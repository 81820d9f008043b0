//! `inspect`: asks the workers about themselves.

use std::time::Duration;

use celery_core::{value::Value, worker::CommandKind};

use super::{
    Session,
    failure::Failure,
    remote::{Remote, Show, ask, by_node, compile, list, online, print_json, seconds},
};

/// Asks the workers about themselves.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to ask; `--list` shows what there is.
    #[arg(required_unless_present = "list")]
    command: Option<String>,
    /// What else it takes, as `--list` shows it.
    #[arg(value_name = "ARGUMENT")]
    arguments: Vec<String>,
    /// List what can be asked.
    #[arg(long)]
    list: bool,
    /// Seconds to wait for replies.
    #[arg(short, long, value_name = "SECONDS", default_value = "1.0", value_parser = seconds, env = "CELERY_INSPECT_TIMEOUT")]
    timeout: Duration,
    /// Node names to ask, separated by commas; everyone unless it is given.
    #[arg(
        short,
        long,
        value_name = "NODES",
        value_delimiter = ',',
        env = "CELERY_INSPECT_DESTINATION"
    )]
    destination: Vec<String>,
    /// Print the replies as JSON.
    #[arg(short, long)]
    json: bool,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<(), Failure> {
    let Args { command: Some(name), arguments, list: false, timeout, destination, json } = args
    else {
        return Ok(session.output.line(list(CommandKind::Inspect).trim_end())?);
    };
    let (command, arguments) = compile(CommandKind::Inspect, &name, &arguments)?;
    let remote = Remote { timeout, destination, json };
    let label = format!("inspect {name}");
    let replies = ask(session, &label, command.name, arguments, &remote, Show::Body).await?;
    let replies = by_node(replies);
    if json {
        return print_json(session, &Value::Object(replies));
    }
    if !session.output.quiet {
        session.output.line(&online(replies.len()))?;
    }
    Ok(())
}
