//! `status`: which workers are there.

use std::time::Duration;

use celery_core::value::Map;

use super::{
    Session,
    failure::Failure,
    inspect::{RemoteArgs, ask, online, seconds},
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
    // The same options as those of `inspect`, with defaults of other names in the environment.
    let Args { timeout, destination, json } = args;
    let remote = RemoteArgs { timeout, destination, json };
    let nodes = ask(session, "ping", Map::new(), &remote, false).await?;
    // Celery's own says it also under `--json` and `--quiet`.
    session.output.line(&online(nodes))?;
    Ok(())
}
