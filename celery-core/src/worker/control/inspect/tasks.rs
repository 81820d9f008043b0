//! The tasks that a worker has.

use super::super::{command::Answer, panel::Panel};
use crate::{arguments::Bound, config::TaskConfig, options::Options, value::Value};

/// The attributes that are shown where none are asked for.
const SHOWN: [&str; 3] = ["exchange", "routing_key", "rate_limit"];

/// The names of the tasks, with the attributes asked for behind them, as Celery shows them.
pub(in super::super) async fn registered(panel: &Panel, mut given: Bound) -> Answer {
    let items = given.take::<Option<Vec<Value>>>(0)?.unwrap_or_default();
    let builtins = given.take::<Option<bool>>(1)?.unwrap_or(false);
    let mut items: Vec<_> = items.iter().filter_map(Value::as_str).collect();
    if items.is_empty() {
        items.extend(SHOWN);
    }
    let config = &panel.node.app.config().task;
    let show = |name: &str, options: &Options| {
        // It may have been changed since.
        let attribute = |item: &str| match item {
            "rate_limit" => panel.node.rates.text(name),
            _ => attribute(options, config, item),
        };
        let shown: Vec<_> =
            items.iter().filter_map(|item| Some(format!("{item}={}", attribute(item)?))).collect();
        if shown.is_empty() { name.to_owned() } else { format!("{name} [{}]", shown.join(" ")) }
    };
    let tasks = panel.node.registry().iter();
    let tasks = tasks.filter(|task| builtins || !task.name.starts_with("celery."));
    Ok(Some(tasks.map(|task| Value::from(show(task.name, &task.options))).collect()))
}

/// An attribute of a task under Celery's name and as Python prints it, where it is set.
fn attribute(options: &Options, config: &TaskConfig, name: &str) -> Option<String> {
    let python = |on: bool| Some(if on { "True" } else { "False" }.to_owned());
    let either = options.acks_on_failure_or_timeout;
    match name {
        "max_retries" => options.max_retries.map(|retries| retries.to_string()),
        "default_retry_delay" => Some(options.default_retry_delay.as_secs().to_string()),
        "time_limit" => options.time_limit.map(|limit| limit.as_secs().to_string()),
        "soft_time_limit" => options.soft_time_limit.map(|limit| limit.as_secs().to_string()),
        "acks_late" => python(options.acks_late.unwrap_or(config.acks_late)),
        "acks_on_failure_or_timeout" => python(either.unwrap_or(config.acks_on_failure_or_timeout)),
        "ignore_result" => python(options.ignore_result.unwrap_or(config.ignore_result)),
        "store_errors_even_if_ignored" => python(
            options.store_errors_even_if_ignored.unwrap_or(config.store_errors_even_if_ignored),
        ),
        "track_started" => python(options.track_started.unwrap_or(config.track_started)),
        "serializer" => Some(options.serializer.unwrap_or(&config.serializer).to_owned()),
        "compression" => {
            options.compression.map(str::to_owned).or_else(|| config.compression.clone())
        }
        "queue" => options.queue.map(str::to_owned),
        "exchange" => options.exchange.map(str::to_owned),
        "routing_key" => options.routing_key.map(str::to_owned),
        "priority" => options.priority.map(|priority| priority.to_string()),
        "expires" => options.expires.map(|limit| limit.as_secs().to_string()),
        _ => None,
    }
}
