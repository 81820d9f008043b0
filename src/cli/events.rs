//! `events`: what workers and clients tell, as it happens.

mod dump;

use std::time::Duration;

use celery_core::{
    broker::BrokerError, error::Error, events::EventReceiver, exception::with_sources,
};

use self::dump::Dumper;
#[cfg(not(feature = "tui"))]
use super::failure::USAGE;
use super::{Session, failure::Failure, signals::Signals};

/// Shows the tasks of a fleet, and its workers, as their events tell of them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print each event on a line, until Ctrl-C, in place of the view on a whole terminal.
    #[arg(short, long)]
    dump: bool,
}

impl Args {
    /// Whether the whole terminal is taken, so that nothing else may write there.
    pub(super) fn takes_terminal(&self) -> bool {
        !self.dump
    }
}

pub(super) async fn run(session: &Session, args: Args) -> Result<(), Failure> {
    if !args.dump {
        return view(session).await;
    }
    let mut signals = Signals::listen()?;
    tokio::select! {
        dumped = dump(session) => dumped,
        // As with Celery's, that is how it ends.
        _ = signals.next() => Ok(()),
    }
}

#[cfg(feature = "tui")]
async fn view(session: &Session) -> Result<(), Failure> {
    Box::pin(super::monitor::run(session)).await
}

#[cfg(not(feature = "tui"))]
async fn view(_: &Session) -> Result<(), Failure> {
    let remedy = "this program was built without the feature `tui` of the crate `celery`, which is the view on a whole terminal: add `--dump` for a line an event";
    Err(Failure::new(remedy).code(USAGE))
}

/// Prints events until they cannot be printed.
async fn dump(session: &Session) -> Result<(), Failure> {
    let mut dumper = Dumper::default();
    session.output.line("-> evdump: starting capture...")?;
    loop {
        let mut events = connect(session).await?;
        loop {
            match events.next().await {
                Ok(event) => session.output.line(&dumper.line(&event))?,
                Err(Error::Broker(BrokerError::ConnectionLost(_))) => break,
                Err(error) => return Err(error.into()),
            }
        }
        session.output.line("-> Connection lost, attempting reconnect")?;
    }
}

/// Begins to listen, and tries again as often as it takes.
async fn connect(session: &Session) -> Result<EventReceiver, Failure> {
    let mut pause = Duration::from_secs(2);
    loop {
        let error = match session.app.events().receive("#").await {
            Ok(events) => return Ok(events),
            Err(error @ Error::Broker(BrokerError::ConnectionLost(_))) => error,
            Err(error) => return Err(error.into()),
        };
        let urls: Vec<_> = session.app.broker_urls().iter().map(ToString::to_string).collect();
        session.output.line(&format!(
            "-> Cannot connect to {}: {}.\nTrying again in {:.2} seconds\n",
            urls.join(";"),
            with_sources(&error),
            pause.as_secs_f64(),
        ))?;
        tokio::time::sleep(pause).await;
        pause = (pause + Duration::from_secs(2)).min(Duration::from_secs(30));
    }
}
