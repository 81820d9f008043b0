//! The requests that a worker holds, and those that wait in the broker until they are due.

use jiff::Timestamp;
use serde_json::json;

use super::super::{command::Answer, panel::Panel};
use crate::{
    arguments::Bound,
    broker::Scheduled,
    control::TaskInfo,
    date,
    error::Error,
    protocol::TaskMessage,
    repr,
    value::{Map, Value, from_value},
    worker::requests::{Held, Stage},
};

/// How many of the messages that wait in the broker are shown.
const MOST_SCHEDULED: usize = 1000;

/// The priority that a waiting task has in the timer of a Python worker, which has one for all.
const TIMER_PRIORITY: u8 = 6;

/// The requests that run; with `safe`, their arguments as they are shown in logs.
pub(in super::super) async fn active(panel: &Panel, mut given: Bound) -> Answer {
    let safe = given.take::<Option<bool>>(0)?.unwrap_or(false);
    Ok(Some(held(panel, safe, |stage| stage != Stage::Reserved)))
}

/// The requests that wait for a slot.
pub(in super::super) async fn reserved(panel: &Panel, _: Bound) -> Answer {
    Ok(Some(held(panel, false, |stage| stage == Stage::Reserved)))
}

/// What waits in the broker until it is due, of the queues that are consumed. It is not this worker's alone, so each
/// worker of the queues shows it.
pub(in super::super) async fn scheduled(panel: &Panel, _: Bound) -> Answer {
    let zone = panel.node.app.time_zone();
    let waiting = waiting(panel).await?;
    let show = |(due, message): &(Timestamp, TaskMessage)| {
        json!({
            "eta": date::format(*due, &zone),
            "priority": TIMER_PRIORITY,
            "request": request(panel, message, false, None),
        })
    };
    Ok(Some(waiting.iter().map(show).collect()))
}

/// What the tasks of these ids are doing here, by id. What is not known is left out.
pub(in super::super) async fn query_task(panel: &Panel, mut given: Bound) -> Answer {
    let ids = match given.take::<Value>(0)? {
        Value::Array(ids) => ids,
        one => vec![one],
    };
    let held = panel.node.requests.all();
    let is_held = |id: &Value| held.iter().any(|held| id.as_str() == Some(&held.message.id));
    let waiting = if ids.iter().all(is_held) { Vec::new() } else { waiting(panel).await? };
    let mut found = Map::new();
    for id in ids.iter().filter_map(Value::as_str) {
        let known = if let Some(held) = held.iter().find(|held| held.message.id == id) {
            let state = if held.stage() == Stage::Reserved { "reserved" } else { "active" };
            json!([state, request(panel, &held.message, false, Some(held))])
        } else if let Some((_, message)) = waiting.iter().find(|(_, message)| message.id == id) {
            json!(["scheduled", request(panel, message, false, None)])
        } else {
            continue;
        };
        found.insert(id.to_owned(), known);
    }
    Ok(Some(Value::Object(found)))
}

fn held(panel: &Panel, safe: bool, wanted: impl Fn(Stage) -> bool) -> Value {
    let held = panel.node.requests.all();
    let wanted = held.iter().filter(|held| wanted(held.stage()));
    wanted.map(|held| request(panel, &held.message, safe, Some(held))).collect()
}

/// What waits in the broker, the soonest first.
async fn waiting(panel: &Panel) -> Result<Vec<(Timestamp, TaskMessage)>, Error> {
    let (app, queues) = (&panel.node.app, panel.node.intake.queue_names());
    let waiting = app.broker().await?.scheduled(&queues, MOST_SCHEDULED).await?;
    let read = |Scheduled { due, message, .. }: Scheduled| {
        // One that cannot be read is told of when it is due.
        TaskMessage::from_message(message, app.accept_content()).ok().map(|message| (due, message))
    };
    Ok(waiting.into_iter().filter_map(read).collect())
}

/// A request as commands of the program see it.
pub(in super::super) fn task_info(panel: &Panel, held: &Held) -> Option<TaskInfo> {
    from_value(request(panel, &held.message, false, Some(held))).ok()
}

/// A request as Celery shows it.
fn request(panel: &Panel, message: &TaskMessage, safe: bool, held: Option<&Held>) -> Value {
    let (args, kwargs) = if safe {
        let limits = repr::Limits::default();
        let (args, kwargs) = (&message.headers.argsrepr, &message.headers.kwargsrepr);
        let args = args.clone().unwrap_or_else(|| repr::args(&message.args, &limits));
        let kwargs = kwargs.clone().unwrap_or_else(|| repr::kwargs(&message.kwargs, &limits));
        (Value::from(args), Value::from(kwargs))
    } else {
        let (args, kwargs) = panel.node.app.shown(message);
        (Value::Array(args.into_owned()), Value::Object(kwargs.into_owned()))
    };
    let (since, pid) = match held.map(Held::stage) {
        None | Some(Stage::Reserved) => (None, None),
        Some(Stage::Active { since, pid }) => (Some(date::unix_seconds(since)), Some(pid)),
    };
    let info = &message.delivery_info;
    json!({
        "id": message.id,
        "name": message.task,
        "args": args,
        "kwargs": kwargs,
        "type": message.task,
        "hostname": panel.node.hostname,
        "time_start": since,
        "acknowledged": held.is_some_and(Held::is_acknowledged),
        "delivery_info": {
            "exchange": info.exchange,
            "routing_key": info.routing_key,
            "priority": message.priority,
            "redelivered": info.redelivered,
        },
        "worker_pid": pid,
    })
}
