//! `status`: which workers are there.

use std::time::Duration;

use celery_core::value::{Map, Value};

use super::{
    Session,
    failure::Failure,
    remote::{Remote, Show, ask, by_node, online, print_json, seconds},
};

/// Shows which workers are online.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Seconds to wait for replies.
    #[arg(short, long, value_name = "SECONDS", default_value = "1.0", value_parser = seconds, env = "CELERY_STATUS_TIMEOUT")]
    timeout: Duration,
    /// Node names to ask, separated by commas; everyone unless it is given.
    #[arg(
        short,
        long,
        value_name = "NODES",
        value_delimiter = ',',
        env = "CELERY_STATUS_DESTINATION"
    )]
    destination: Vec<String>,
    /// Print the replies as JSON.
    #[arg(short, long)]
    json: bool,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<(), Failure> {
    let Args { timeout, destination, json } = args;
    let remote = Remote { timeout, destination, json };
    let replies = ask(session, "status", "ping", Map::new(), &remote, Show::Status).await?;
    let nodes = by_node(replies);
    let count = nodes.len();
    if json {
        print_json(session, &Value::Object(nodes))?;
    }
    // Celery's own says it also under `--json` and `--quiet`.
    session.output.line(&online(count))?;
    Ok(())
}
