//! `status`: which workers are there.

use celery_core::value::Map;

use super::{
    Session,
    failure::Failure,
    inspect::{RemoteArgs, ask, online},
};

/// Shows which workers are online.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    remote: RemoteArgs,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<(), Failure> {
    let nodes = ask(session, "ping", Map::new(), &args.remote, false).await?;
    // Celery's own says it also under `--json` and `--quiet`.
    session.output.line(&online(nodes))?;
    Ok(())
}
