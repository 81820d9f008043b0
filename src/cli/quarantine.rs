//! `quarantine`: what workers set aside, since they could not run it or died of it; shown, put back, or dropped.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
};

use celery_core::{
    broker::Quarantined, codec::AcceptContent, error::Error, protocol::TaskMessage, value::Value,
};
use serde_json::json;

use super::{
    Session,
    failure::Failure,
    output::{Style, pluralize},
    purge::confirm,
    remote::print_json,
};

/// Shows the messages that workers have set aside, and puts them back or drops them.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Shows what was set aside, when and why. Arguments of tasks are not shown.
    List {
        #[command(flatten)]
        queues: Queues,
        /// Print JSON.
        #[arg(short, long)]
        json: bool,
    },
    /// Puts messages back at the end of their queues, as if they had not been run before.
    Requeue(Which),
    /// Drops messages. There is no way back.
    Drop(Which),
}

#[derive(Debug, clap::Args)]
struct Queues {
    /// Names of queues, separated by commas, in place of those of the settings.
    #[arg(short = 'Q', long, value_name = "NAMES", value_delimiter = ',')]
    queues: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct Which {
    /// Ids of tasks, or of messages, as `quarantine list` shows them.
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<String>,
    /// All that is there.
    #[arg(long)]
    all: bool,
    /// Do not ask whether it is meant.
    #[arg(short, long)]
    force: bool,
    #[command(flatten)]
    queues: Queues,
}

/// What is done to messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Requeue,
    Drop,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<(), Failure> {
    match args.what {
        What::List { queues, json } => list(session, &queues, json).await,
        What::Requeue(which) => act(session, Action::Requeue, &which).await,
        What::Drop(which) => act(session, Action::Drop, &which).await,
    }
}

async fn list(session: &Session, queues: &Queues, as_json: bool) -> Result<(), Failure> {
    let found = find(session, queues).await?;
    if as_json {
        let items = found.iter().map(Item::to_json).collect();
        return print_json(session, &Value::Array(items));
    }
    let mut queue = None;
    for item in &found {
        if queue != Some(&item.kept.queue) {
            queue = Some(&item.kept.queue);
            let count = found.iter().filter(|it| it.kept.queue == item.kept.queue).count() as u64;
            let name = session.output.style(&format!("{}:", item.kept.queue), Style::Node);
            session.output.line(&format!("{name} {count} {}", pluralize(count, "message")))?;
        }
        let bullet = session.output.style("*", Style::Bullet);
        session.output.line(&format!("    {bullet} {}", item.shown()))?;
        session.output.line(&format!("      {}", item.kept.reason))?;
    }
    if found.is_empty() {
        session.output.line("Nothing is in quarantine.")?;
    }
    Ok(())
}

async fn act(session: &Session, action: Action, which: &Which) -> Result<(), Failure> {
    let found = find(session, &which.queues).await?;
    let chosen: Vec<&Item> =
        found.iter().filter(|item| which.all || which.ids.iter().any(|id| item.is(id))).collect();
    let missing: Vec<_> =
        which.ids.iter().filter(|id| !chosen.iter().any(|item| item.is(id))).collect();
    if let Some(id) = missing.first() {
        let why = format!(
            "there is no message `{id}` in quarantine; `quarantine list` shows what there is, and `-Q` names queues that the settings do not"
        );
        return Err(Failure::new(why));
    }
    let count = chosen.len() as u64;
    let messages = pluralize(count, "message");
    let (done, meant) = match action {
        Action::Requeue => ("requeued", "put back into their queues"),
        Action::Drop => ("dropped", "removed. There is no undo for this operation"),
    };
    if count > 0 && !which.force {
        let warning = session.output.style("WARNING", Style::Warning);
        let question = format!(
            "{warning}:{count} {messages} will be {meant}!\n\n(to skip this prompt use the -f option)\nAre you sure? [y/N]: "
        );
        if !confirm(&question, io::stdin().lock())? {
            session.output.line("")?;
            writeln!(io::stderr(), "Aborted!")?;
            return Err(Failure::new(""));
        }
    }
    let mut by_queue: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for item in chosen {
        by_queue.entry(&item.kept.queue).or_default().push(item.kept.id.clone());
    }
    let broker = session.app.broker().await?;
    let mut total = 0;
    for (queue, ids) in by_queue {
        let acted = match action {
            Action::Requeue => broker.requeue_quarantined(queue, &ids).await,
            Action::Drop => broker.drop_quarantined(queue, &ids).await,
        };
        total += acted.map_err(Error::from)?;
    }
    Ok(session.output.line(&format!("{total} {} {done}.", pluralize(total, "message")))?)
}

/// What is in quarantine, queue by queue, the oldest first.
async fn find(session: &Session, queues: &Queues) -> Result<Vec<Item>, Failure> {
    let known = session.app.queues();
    let names: BTreeSet<&str> = if queues.queues.is_empty() {
        known.iter().map(|queue| queue.name.as_str()).collect()
    } else {
        queues.queues.iter().map(|name| name.trim()).collect()
    };
    let broker = session.app.broker().await?;
    let mut found = Vec::new();
    for name in names {
        let kept = broker.quarantined(name).await.map_err(Error::from)?;
        found.extend(kept.into_iter().map(|kept| Item::new(kept, session.app.accept_content())));
    }
    Ok(found)
}

/// A message in quarantine, and what can be told of it.
struct Item {
    kept: Quarantined,
    task: Option<String>,
    task_id: Option<String>,
    /// How often it was delivered, those times apart when it was handed back.
    deliveries: u32,
}

impl Item {
    fn new(kept: Quarantined, accept: &AcceptContent) -> Self {
        let message = kept.message().ok();
        let header = |name: &str| message.as_ref()?.headers.get(name)?.as_str().map(str::to_owned);
        let (mut task, mut task_id) = (header("task"), header("id"));
        if let (None, Some(message)) = (&task, &message)
            && let Ok(older) = TaskMessage::decode(message, accept)
        {
            // Of protocol 1, which has both in its body.
            (task, task_id) = (Some(older.task), Some(older.id));
        }
        let lost = message.map_or(0, |message| message.properties.delivery_info.delivery_count);
        Self { kept, task, task_id, deliveries: lost.saturating_add(1) }
    }

    fn is(&self, id: &str) -> bool {
        self.kept.id == id || self.task_id.as_deref() == Some(id)
    }

    fn shown(&self) -> String {
        let id = self.task_id.as_deref().unwrap_or(&self.kept.id);
        let times = pluralize(self.deliveries.into(), "time");
        format!(
            "{id}  {}  {}  delivered {} {times}",
            self.task.as_deref().unwrap_or("(no task)"),
            self.kept.at,
            self.deliveries
        )
    }

    fn to_json(&self) -> Value {
        json!({
            "id": self.kept.id,
            "queue": self.kept.queue,
            "task": self.task,
            "task_id": self.task_id,
            "at": self.kept.at.to_string(),
            "reason": self.kept.reason,
            "deliveries": self.deliveries,
        })
    }
}
