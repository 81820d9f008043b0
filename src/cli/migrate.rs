//! `migrate`: takes messages from one broker to another.

mod route;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, io::Write, num::NonZeroU32, sync::Arc, time::Duration};

use celery_core::{
    app::Celery,
    broker::{Broker, Consumer, Delivery, Exchange, Publication},
    codec,
    config::ServerUrl,
    error::Error,
    exception::with_sources,
    message::Message,
    repr, transport,
    value::Value,
};
use tokio::{task::JoinSet, time::timeout};

use self::route::{Rename, Route};
use super::{
    Session,
    failure::{Failure, USAGE},
    output::{Output, pluralize},
    progress::Progress,
    remote::seconds,
    signals::Signals,
};

/// How many messages are out at once while each is acknowledged as soon as it is at its destination.
const WINDOW: u32 = 1000;

/// Copies messages from one broker to another; with `--ack-messages`, moves them.
///
/// Each is published to the queue of the same name, as it is, before it is acknowledged: what ends the command in
/// between leaves a message at both brokers, never at none. Those that workers hold or defer (an ETA) stay where they
/// are.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// URL of the broker that has the messages.
    source: String,
    /// URL of the broker that is to have them.
    destination: String,
    /// How many messages to take at most.
    #[arg(short = 'n', long, value_name = "NUMBER", env = "CELERY_MIGRATE_LIMIT")]
    limit: Option<u64>,
    /// Seconds without a message after which it is over.
    #[arg(short, long, value_name = "SECONDS", default_value = "1.0", value_parser = seconds, env = "CELERY_MIGRATE_TIMEOUT")]
    timeout: Duration,
    /// Acknowledge the messages at the source, so that they are gone there.
    #[arg(short, long, env = "CELERY_MIGRATE_ACK_MESSAGES")]
    ack_messages: bool,
    /// Names of tasks, separated by commas: the messages of others stay.
    #[arg(
        short = 'T',
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        env = "CELERY_MIGRATE_TASKS"
    )]
    tasks: Vec<String>,
    /// Names of queues, separated by commas, in place of those of the settings; `from:to` gives one another name.
    #[arg(
        short = 'Q',
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        env = "CELERY_MIGRATE_QUEUES"
    )]
    queues: Vec<Rename>,
    /// Go on when there is no message left, until it is stopped.
    #[arg(short = 'F', long, env = "CELERY_MIGRATE_FOREVER")]
    forever: bool,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<(), Failure> {
    let app = &session.app;
    let routes =
        Route::all(&args.queues, app.queues()).map_err(|why| Failure::new(why).code(USAGE))?;
    if let Some(route) = routes.iter().find(|route| {
        args.source == args.destination
            && routes.iter().any(|other| other.from.name == route.to.name)
    }) {
        let name = &route.to.name;
        let why = format!(
            "the messages would go back into the queue `{name}` that they are taken from: name another broker, or another queue, as in `-Q {name}:other`"
        );
        return Err(Failure::new(why).code(USAGE));
    }
    let (source, destination) =
        (connect(app, &args.source).await?, connect(app, &args.destination).await?);
    let moved = migrate(session, &args, &routes, &source, &destination).await;
    // What was published is on its way, and what was not settled on its way back, until the connections are closed.
    let closed = (destination.close().await, source.close().await);
    let unreadable = moved?;
    closed.0.and(closed.1).map_err(Error::from)?;
    if unreadable > 0 {
        return Err(Failure::new(format!(
            "{unreadable} {} cannot be read, and stayed at the source",
            pluralize(unreadable, "message")
        )));
    }
    Ok(())
}

/// Connects with the options of the settings, over which those of the URL have the last word.
async fn connect(app: &Celery, url: &str) -> Result<Arc<dyn Broker>, Failure> {
    let url =
        ServerUrl::parse(url).map_err(|error| Failure::new(with_sources(&error)).code(USAGE))?;
    Ok(transport::connect_broker(&url, app.config()).await.map_err(Error::from)?)
}

/// Takes messages over until there are none; returns how many could not be read.
async fn migrate(
    session: &Session,
    args: &Args,
    routes: &[Route],
    source: &Arc<dyn Broker>,
    destination: &Arc<dyn Broker>,
) -> Result<u64, Failure> {
    let mut total = 0;
    for route in routes {
        destination.declare(&route.to).await.map_err(Error::from)?;
        total += source.queue_len(&route.from.name).await.map_err(Error::from)?;
    }
    let limit = args.limit.filter(|limit| *limit != 0);
    // What is not acknowledged is held until the end: it would come again.
    let is_bounded = args.ack_messages && args.tasks.is_empty();
    let prefetch = if is_bounded { NonZeroU32::new(WINDOW) } else { None };
    let queues: Vec<_> = routes.iter().map(|route| route.from.clone()).collect();
    let mut consumer = source.consume(&queues, prefetch).await.map_err(Error::from)?;
    let mut migration = Migration {
        app: &session.app,
        output: session.output,
        tasks: args.tasks.iter().map(|name| name.trim().to_owned()).collect(),
        routes,
        acknowledges: args.ack_messages,
        destination,
        progress: Progress::new(
            session.output,
            "Migrating",
            limit.map_or(total, |most| most.min(total)),
        ),
        total,
        count: 0,
        unreadable: 0,
        held: Vec::new(),
    };
    let done = migration.run(&mut consumer, args, limit).await;
    let unreadable = migration.unreadable;
    migration.put_back();
    let closed = consumer.close().await;
    done?;
    closed.map_err(Error::from)?;
    Ok(unreadable)
}

struct Migration<'a> {
    app: &'a Celery,
    output: Output,
    tasks: BTreeSet<String>,
    routes: &'a [Route],
    acknowledges: bool,
    destination: &'a Arc<dyn Broker>,
    progress: Progress,
    total: u64,
    count: u64,
    unreadable: u64,
    /// What stays at the source, in the order in which it came.
    held: Vec<Delivery>,
}

impl Migration<'_> {
    async fn run(
        &mut self,
        consumer: &mut Box<dyn Consumer>,
        args: &Args,
        limit: Option<u64>,
    ) -> Result<(), Failure> {
        let mut signals = Signals::listen()?;
        let patience = if args.forever { Duration::MAX } else { args.timeout };
        while limit.is_none_or(|limit| self.count < limit) {
            let batch = tokio::select! {
                batch = timeout(patience, consumer.next()) => batch,
                _ = signals.next() => {
                    writeln!(std::io::stderr(), "Aborted!")?;
                    return Err(Failure::new(""));
                }
            };
            // Nothing came for so long: it is over.
            let Ok(batch) = batch else { return Ok(()) };
            self.take(batch.map_err(Error::from)?, limit).await?;
        }
        Ok(())
    }

    /// Takes those over that are meant, and holds the others.
    async fn take(&mut self, batch: Vec<Delivery>, limit: Option<u64>) -> Result<(), Failure> {
        let room = limit
            .map_or(usize::MAX, |limit| usize::try_from(limit - self.count).unwrap_or(usize::MAX));
        let (mut chosen, mut publications) = (Vec::new(), Vec::new());
        for delivery in batch {
            match &delivery.message {
                Ok(message) if publications.len() < room && self.is_meant(message) => {
                    publications.push(self.publication(message, &delivery.queue));
                    chosen.push(delivery);
                }
                Ok(_) => self.held.push(delivery),
                Err(_) => {
                    self.unreadable += 1;
                    self.held.push(delivery);
                }
            }
        }
        if let Err(error) = self.destination.publish(&publications).await {
            self.held.append(&mut chosen);
            return Err(Error::from(error).into());
        }
        for delivery in &chosen {
            self.count += 1;
            if let Ok(message) = &delivery.message
                && !self.output.quiet
            {
                self.progress.line(&line(self.app, self.count, self.total, message))?;
            }
            self.progress.advance(1);
        }
        if !self.acknowledges {
            self.held.append(&mut chosen);
            return Ok(());
        }
        let mut settling = JoinSet::new();
        for delivery in chosen {
            settling.spawn(delivery.ack());
        }
        while let Some(settled) = settling.join_next().await {
            settled.map_err(|error| Failure::new(error.to_string()))?.map_err(Error::from)?;
        }
        Ok(())
    }

    fn is_meant(&self, message: &Message) -> bool {
        self.tasks.is_empty()
            || task(self.app, message).is_some_and(|task| self.tasks.contains(&task))
    }

    /// The message as it is, for the queue itself: what an exchange would copy into several is in each of them already.
    fn publication(&self, message: &Message, queue: &str) -> Publication {
        let route = self.routes.iter().find(|route| route.from.name == queue);
        let queue = route.map_or(queue, |route| &route.to.name);
        Publication {
            exchange: Exchange::anonymous(),
            routing_key: queue.to_owned(),
            message: message.clone(),
        }
    }

    /// Gives back what stays, the last that came first, so that each queue has its order again.
    fn put_back(mut self) {
        while let Some(delivery) = self.held.pop() {
            drop(delivery);
        }
    }
}

/// The name of the task: among the headers, or in a body of the first protocol.
fn task(app: &Celery, message: &Message) -> Option<String> {
    let of_headers = message.headers.get("task").and_then(Value::as_str);
    of_headers
        .map(str::to_owned)
        .or_else(|| body(app, message)?["task"].as_str().map(str::to_owned))
}

fn body(app: &Celery, message: &Message) -> Option<Value> {
    let compression = message.headers.get("compression").and_then(Value::as_str);
    let (kind, encoding) = (message.content_type.as_deref(), message.content_encoding.as_deref());
    codec::decode(&message.body, kind, encoding, compression, app.accept_content()).ok()
}

/// Celery's line: the body as Python shows it. What cannot be decoded here is taken over all the same.
fn line(app: &Celery, count: u64, total: u64, message: &Message) -> String {
    let total = if total == 0 { "?".to_owned() } else { total.to_string() };
    let body = body(app, message).map_or_else(
        || {
            let kind = message.content_type.as_deref().unwrap_or("no content type");
            format!("<{} bytes of {kind}>", message.body.len())
        },
        |body| repr::python(&body),
    );
    format!("Migrating task {count}/{total}: {body}")
}
