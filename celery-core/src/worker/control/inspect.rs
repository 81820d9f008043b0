//! Commands that only look.

use jiff::Timestamp;
use serde_json::json;

use super::{
    command::{Answer, ok},
    panel::Panel,
};
use crate::{
    arguments::Bound,
    options::Options,
    repr,
    value::Value,
    worker::requests::{Held, Stage},
};

pub(super) async fn ping(_: &Panel, _: Bound) -> Answer {
    ok("pong")
}

pub(super) async fn clock(panel: &Panel, _: Bound) -> Answer {
    Ok(Some(json!({ "clock": panel.node.app.clock().value() })))
}

/// A worker that starts asks the others what they know. Nothing is revoked here.
pub(super) async fn hello(panel: &Panel, mut given: Bound) -> Answer {
    let node = &panel.node;
    if given.take::<Value>(0)?.as_str() == Some(node.hostname.as_str()) {
        return Ok(Some(Value::Null));
    }
    Ok(Some(json!({ "revoked": [], "clock": node.app.clock().forward() })))
}

/// The requests that run; with `safe`, their arguments as they are shown in logs.
pub(super) async fn active(panel: &Panel, mut given: Bound) -> Answer {
    let safe = given.take::<Option<bool>>(0)?.unwrap_or(false);
    Ok(Some(requests(panel, safe, |stage| stage != Stage::Reserved)))
}

/// The requests that wait for a slot.
pub(super) async fn reserved(panel: &Panel, _: Bound) -> Answer {
    Ok(Some(requests(panel, false, |stage| stage == Stage::Reserved)))
}

fn requests(panel: &Panel, safe: bool, wanted: impl Fn(Stage) -> bool) -> Value {
    let held = panel.node.requests.all();
    let wanted = held.iter().filter(|held| wanted(held.stage()));
    wanted.map(|held| request(held, &panel.node.hostname, safe)).collect()
}

/// A request as Celery shows it.
fn request(held: &Held, hostname: &str, safe: bool) -> Value {
    let message = &held.message;
    let (args, kwargs) = if safe {
        let limits = repr::Limits::default();
        let (args, kwargs) = (&message.headers.argsrepr, &message.headers.kwargsrepr);
        let args = args.clone().unwrap_or_else(|| repr::args(&message.args, &limits));
        let kwargs = kwargs.clone().unwrap_or_else(|| repr::kwargs(&message.kwargs, &limits));
        (Value::from(args), Value::from(kwargs))
    } else {
        (Value::Array(message.args.clone()), Value::Object(message.kwargs.clone()))
    };
    let (since, pid) = match held.stage() {
        Stage::Reserved => (None, None),
        Stage::Active { since, pid } => (Some(seconds(since)), Some(pid)),
    };
    let info = &message.delivery_info;
    json!({
        "id": message.id,
        "name": message.task,
        "args": args,
        "kwargs": kwargs,
        "type": message.task,
        "hostname": hostname,
        "time_start": since,
        "acknowledged": held.is_acknowledged(),
        "delivery_info": {
            "exchange": info.exchange,
            "routing_key": info.routing_key,
            "priority": message.priority,
            "redelivered": info.redelivered,
        },
        "worker_pid": pid,
    })
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of this century fit into a float")]
fn seconds(at: Timestamp) -> f64 {
    at.as_microsecond() as f64 / 1e6
}

/// The names of the tasks, with the attributes asked for behind them, as Celery shows them.
pub(super) async fn registered(panel: &Panel, mut given: Bound) -> Answer {
    let items = given.take::<Option<Vec<Value>>>(0)?.unwrap_or_default();
    let items: Vec<_> = items.iter().filter_map(Value::as_str).collect();
    let show = |name: &str, options: &Options| {
        let shown: Vec<_> = items
            .iter()
            .filter_map(|item| Some(format!("{item}={}", attribute(options, item)?)))
            .collect();
        if shown.is_empty() { name.to_owned() } else { format!("{name} [{}]", shown.join(" ")) }
    };
    let tasks = panel.node.registry().iter();
    Ok(Some(tasks.map(|task| Value::from(show(task.name, &task.options))).collect()))
}

/// An attribute of a task under Celery's name, where it is set.
fn attribute(options: &Options, name: &str) -> Option<String> {
    let python = |on: bool| if on { "True" } else { "False" }.to_owned();
    match name {
        "max_retries" => options.max_retries.map(|retries| retries.to_string()),
        "default_retry_delay" => Some(options.default_retry_delay.as_secs().to_string()),
        "time_limit" => options.time_limit.map(|limit| limit.as_secs().to_string()),
        "soft_time_limit" => options.soft_time_limit.map(|limit| limit.as_secs().to_string()),
        "acks_late" => options.acks_late.map(python),
        "ignore_result" => options.ignore_result.map(python),
        "track_started" => options.track_started.map(python),
        "serializer" => options.serializer.map(str::to_owned),
        "compression" => options.compression.map(str::to_owned),
        "queue" => options.queue.map(str::to_owned),
        "priority" => options.priority.map(|priority| priority.to_string()),
        "expires" => options.expires.map(|limit| limit.as_secs().to_string()),
        _ => None,
    }
}
