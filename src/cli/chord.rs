//! `chord`: which chords are not finished, and which parts they wait for.

use celery_core::{
    backend::{Backend, Counted, Joins, Tally, Unfinished},
    error::Error,
    exception::Exception,
    state::State,
    value::Value,
};
use serde_json::json;

use super::{
    Session,
    failure::Failure,
    output::{Style, pluralize},
    remote::print_json,
};

/// Shows the chords that are not finished, and which parts are missing.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Shows the chords that are not finished, the oldest first. Those that Python began, and of which no worker of this kind has
    /// run a part, are not among them.
    List {
        /// Print JSON.
        #[arg(short, long)]
        json: bool,
    },
    /// Shows which parts of a chord are missing, and what is known of them. Results are not shown.
    Show {
        /// The id of the header's group.
        group_id: String,
        /// Print JSON.
        #[arg(short, long)]
        json: bool,
    },
}

pub(super) async fn run(session: &Session, args: Args) -> Result<(), Failure> {
    let backend: &dyn Backend = session.app.backend().await?.as_ref();
    let Some(joins) = backend.joins() else {
        let why = "this result backend counts no parts of chords; name one that does with `--result-backend` or in the settings (`result_backend`), for example a Redis server";
        return Err(Failure::new(why));
    };
    match args.what {
        What::List { json } => list(session, joins, json).await,
        What::Show { group_id, json } => show(session, backend, joins, (&group_id, json)).await,
    }
}

async fn list(session: &Session, joins: &dyn Joins, as_json: bool) -> Result<(), Failure> {
    let found = joins.unfinished().await.map_err(Error::from)?;
    if as_json {
        return print_json(session, &found.iter().map(tally_json).collect());
    }
    for tally in &found {
        let name = session.output.style(&format!("{}:", tally.group_id), Style::Node);
        session.output.line(&format!("{name} {}", progress(tally)))?;
    }
    if found.is_empty() {
        session.output.line("Every chord that is known is finished.")?;
    }
    Ok(())
}

async fn show(
    session: &Session,
    backend: &dyn Backend,
    joins: &dyn Joins,
    (group_id, as_json): (&str, bool),
) -> Result<(), Failure> {
    let Some(found) = joins.look(group_id).await.map_err(Error::from)? else {
        let why = format!(
            "nothing is known of a chord `{group_id}`: it is finished, or has expired, or is none; its id is that of the header's group, as `chord list` shows it"
        );
        return Err(Failure::new(why));
    };
    let missing = missing(backend, &found).await?;
    if as_json {
        return print_json(session, &to_json(&found, missing.as_deref()));
    }
    let output = &session.output;
    let name = output.style(&format!("{}:", found.tally.group_id), Style::Node);
    output.line(&format!("{name} {}", progress(&found.tally)))?;
    if let Some((task, id)) = body(&found) {
        output.line(&format!("  body: {task}  {id}"))?;
    }
    let bullet = output.style("*", Style::Bullet);
    match &missing {
        Some(missing) if missing.is_empty() => {}
        Some(missing) => {
            output.line("  missing:")?;
            for part in missing {
                output.line(&format!("    {bullet} {}", part.shown()))?;
            }
        }
        None => output.line(
            "  which parts are missing is not known, since Python's client keeps no list of them",
        )?,
    }
    let failed: Vec<&Counted> =
        found.counted.iter().filter(|part| part.state.is_propagated()).collect();
    if !failed.is_empty() {
        output.line("  counted, and failed:")?;
    }
    for part in failed {
        let exception = Exception::from_value(&part.result);
        output.line(&format!("    {bullet} {}  {}  {exception}", part.task_id, part.state))?;
    }
    Ok(())
}

/// A part that is not counted.
struct Missing {
    task_id: String,
    state: State,
    /// The name of its task, where results are stored with it.
    task: Option<String>,
}

impl Missing {
    fn shown(&self) -> String {
        let task = self.task.as_ref().map(|task| format!("  {task}")).unwrap_or_default();
        let meaning = match &self.state {
            State::Pending => "  (waits in a queue, or was lost)",
            state if state.is_ready() => "  (done, and not counted)",
            _ => "",
        };
        format!("{}  {}{task}{meaning}", self.task_id, self.state)
    }
}

/// The parts that are not counted, with what is stored of each; nothing where the header is not known.
async fn missing(
    backend: &dyn Backend,
    found: &Unfinished,
) -> Result<Option<Vec<Missing>>, Failure> {
    let Some(header) = &found.header else { return Ok(None) };
    let mut counted: Vec<&str> = found.counted.iter().map(|part| part.task_id.as_str()).collect();
    let mut missing = Vec::new();
    for id in header.leaves() {
        // One task may be in the header twice.
        if let Some(at) = counted.iter().position(|counted| *counted == id) {
            counted.swap_remove(at);
            continue;
        }
        let meta = backend.get(id).await.map_err(Error::from)?;
        let state = meta.as_ref().map_or(State::Pending, |meta| meta.state.clone());
        let task = meta.and_then(|meta| meta.extended).and_then(|extended| extended.name);
        missing.push(Missing { task_id: id.to_owned(), state, task });
    }
    Ok(Some(missing))
}

/// How far it is, in words.
fn progress(tally: &Tally) -> String {
    let counted = tally.counted;
    let parts = match tally.size {
        Some(size) => format!("{counted} of {size} {}", pluralize(size, "part")),
        None => {
            format!("{counted} {}, of a number that is not known yet", pluralize(counted, "part"))
        }
    };
    let since = tally.since.map(|since| format!(", since {since}")).unwrap_or_default();
    let state = match (tally.is_complete(), tally.claimed) {
        (true, true) => ", its body is being sent",
        (true, false) => ", its body is not sent: a worker will",
        (false, _) => "",
    };
    format!("{parts}{since}{state}")
}

/// The name and the id of the body, where they are known.
fn body(found: &Unfinished) -> Option<(&str, &str)> {
    let body = &found.callback.as_ref()?.body;
    let id = body["options"]["task_id"].as_str().unwrap_or_default();
    Some((body["task"].as_str()?, id))
}

fn tally_json(tally: &Tally) -> Value {
    json!({
        "group_id": tally.group_id,
        "size": tally.size,
        "counted": tally.counted,
        "since": tally.since.map(|since| since.to_string()),
        "complete": tally.is_complete(),
        "claimed": tally.claimed,
    })
}

fn to_json(found: &Unfinished, missing: Option<&[Missing]>) -> Value {
    let mut shown = tally_json(&found.tally);
    shown["body"] = body(found).map_or(Value::Null, |(task, id)| json!({ "task": task, "id": id }));
    let part = |part: &Missing| json!({ "task_id": part.task_id, "state": part.state.as_str(), "task": part.task });
    shown["missing"] = missing.map_or(Value::Null, |parts| parts.iter().map(part).collect());
    let counted = |part: &Counted| json!({ "task_id": part.task_id, "state": part.state.as_str() });
    shown["parts"] = found.counted.iter().map(counted).collect();
    shown
}
