//! `list`: what the broker tells of itself.

use celery_core::{broker::Binding, error::Error};

use super::{Session, failure::Failure};

/// Shows what the broker knows.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Shows which queue is bound to which exchange, by which routing key.
    Bindings,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<(), Failure> {
    let What::Bindings = args.what;
    let broker = session.app.publisher().await?;
    // As Celery does, so that the queues of the settings are among them also before a worker has begun.
    for queue in session.app.queues().iter() {
        broker.declare(queue).await.map_err(Error::from)?;
    }
    let bindings = broker.bindings().await.map_err(Error::from)?;
    Ok(session.output.line(&table(&bindings))?)
}

/// Celery's table.
fn table(bindings: &[Binding]) -> String {
    let row = |queue: &str, exchange: &str, key: &str| format!("{queue:<28} {exchange:<28} {key}");
    let rule = "-".repeat(16);
    let mut rows = vec![row("Queue", "Exchange", "Routing Key"), row(&rule, &rule, &rule)];
    rows.extend(
        bindings.iter().map(|bound| row(&bound.queue, &bound.exchange, &bound.routing_key)),
    );
    rows.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_celerys() {
        let bound = Binding {
            queue: "celery".into(),
            exchange: "celery".into(),
            routing_key: "a.#".into(),
        };
        assert_eq!(
            table(&[bound]),
            "Queue                        Exchange                     Routing Key\n\
             ----------------             ----------------             ----------------\n\
             celery                       celery                       a.#"
        );
    }
}
