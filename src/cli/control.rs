//! `control`: tells the workers to change something.

use std::time::Duration;

use celery_core::{
    value::{Map, Value},
    worker::CommandKind,
};

use super::{
    Session,
    failure::Failure,
    remote::{Remote, Show, ask, compile, list, print_json, seconds},
};

/// Tells the workers to change something.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to do; `--list` shows what there is.
    #[arg(required_unless_present = "list")]
    command: Option<String>,
    /// What else it takes, as `--list` shows it.
    #[arg(value_name = "ARGUMENT")]
    arguments: Vec<String>,
    /// List what can be done.
    #[arg(long)]
    list: bool,
    /// Seconds to wait for replies.
    #[arg(short, long, value_name = "SECONDS", default_value = "1.0", value_parser = seconds, env = "CELERY_CONTROL_TIMEOUT")]
    timeout: Duration,
    /// Node names to tell, separated by commas; everyone unless it is given.
    #[arg(
        short,
        long,
        value_name = "NODES",
        value_delimiter = ',',
        env = "CELERY_CONTROL_DESTINATION"
    )]
    destination: Vec<String>,
    /// Print the replies as JSON.
    #[arg(short, long)]
    json: bool,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<(), Failure> {
    let Args { command: Some(name), arguments, list: false, timeout, destination, json } = args
    else {
        return Ok(session.output.line(list(CommandKind::Control).trim_end())?);
    };
    let (command, arguments) = compile(CommandKind::Control, &name, &arguments)?;
    let remote = Remote { timeout, destination, json };
    let label = format!("control {name}");
    let replies = ask(session, &label, command.name, arguments, &remote, Show::Body).await?;
    if json {
        let replies = replies.into_iter().map(|reply| Value::Object(Map::from_iter([reply])));
        return print_json(session, &replies.collect());
    }
    Ok(())
}
