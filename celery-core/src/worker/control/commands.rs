//! The commands of remote control, by name.

use super::{
    command::{
        ArgumentType::{Bool, Float, Int, Text},
        Command, Run,
    },
    events, inspect, operate, revoke,
};
use crate::arguments::Parameter;

const fn required(name: &'static str) -> Parameter {
    Parameter::required(name)
}

const fn optional(name: &'static str) -> Parameter {
    Parameter::optional(name)
}

/// An `async fn(&Panel, Bound) -> Answer` as a plain function.
macro_rules! run {
    ($function:path) => {{
        const RUN: Run = |panel, given| Box::pin($function(panel, given));
        RUN
    }};
}

/// Celery's own, each with Celery's parameters and words.
pub(super) const COMMANDS: &[Command] = &[
    Command::inspect("active", run!(inspect::active))
        .alias("dump_active")
        .help("List of tasks currently being executed.")
        .parameters(&[optional("safe")]),
    Command::inspect("active_queues", run!(inspect::active_queues))
        .help("List the task queues a worker is currently consuming from.")
        .strict(),
    Command::control("add_consumer", run!(operate::add_consumer))
        .help("Tell worker(s) to consume from task queue by name.")
        .parameters(&[
            required("queue"),
            optional("exchange"),
            optional("exchange_type"),
            optional("routing_key"),
        ])
        .args(&[
            ("queue", Text),
            ("exchange", Text),
            ("exchange_type", Text),
            ("routing_key", Text),
        ])
        .signature("<queue> [exchange [type [routing_key]]]"),
    Command::control("autoscale", run!(operate::autoscale))
        .help("Modify autoscale settings.")
        .parameters(&[optional("max"), optional("min")])
        .args(&[("max", Int), ("min", Int)])
        .signature("[max [min]]")
        .strict(),
    Command::control("cancel_consumer", run!(operate::cancel_consumer))
        .help("Tell worker(s) to stop consuming from task queue by name.")
        .parameters(&[required("queue")])
        .args(&[("queue", Text)])
        .signature("<queue>"),
    Command::inspect("clock", run!(inspect::clock)).help("Get current logical clock value."),
    Command::inspect("conf", run!(inspect::conf))
        .alias("dump_conf")
        .help("List configuration.")
        .parameters(&[optional("with_defaults")])
        .args(&[("with_defaults", Bool)])
        .signature("[include_defaults=False]"),
    Command::control("disable_events", run!(events::disable))
        .help("Tell worker(s) to stop sending task-related events.")
        .strict(),
    Command::control("election", run!(operate::election)).help("Hold election.").parameters(&[
        required("id"),
        required("topic"),
        optional("action"),
    ]),
    Command::control("enable_events", run!(events::enable))
        .help("Tell worker(s) to send task-related events.")
        .strict(),
    Command::control("heartbeat", run!(events::heartbeat))
        .help("Tell worker(s) to send event heartbeat immediately.")
        .strict(),
    Command::inspect("hello", run!(inspect::hello))
        .help("Request mingle sync-data.")
        .parameters(&[required("from_node"), optional("revoked")])
        .hidden(),
    Command::inspect("memdump", run!(inspect::memdump))
        .help("Dump statistics of previous memsample requests.")
        .parameters(&[optional("samples")])
        .args(&[("samples", Int)])
        .signature("[n_samples=10]"),
    Command::inspect("memsample", run!(inspect::memsample))
        .help("Sample current RSS memory usage."),
    Command::inspect("objgraph", run!(inspect::objgraph))
        .help("Create graph of uncollected objects (memory-leak debugging).")
        .parameters(&[optional("num"), optional("max_depth"), optional("type")])
        .args(&[("type", Text), ("num", Int), ("max_depth", Int)])
        .signature("[object_type=Request] [num=200 [max_depth=10]]")
        .strict(),
    Command::inspect("ping", run!(inspect::ping)).help("Ping worker(s)."),
    Command::control("pool_grow", run!(operate::pool_grow))
        .help("Grow pool by n processes/threads.")
        .parameters(&[optional("n")])
        .args(&[("n", Int)])
        .signature("[N=1]"),
    Command::control("pool_restart", run!(operate::pool_restart))
        .help("Restart execution pool.")
        .parameters(&[optional("modules"), optional("reload"), optional("reloader")]),
    Command::control("pool_shrink", run!(operate::pool_shrink))
        .help("Shrink pool by n processes/threads.")
        .parameters(&[optional("n")])
        .args(&[("n", Int)])
        .signature("[N=1]"),
    Command::inspect("query_task", run!(inspect::query_task))
        .help("Query for task information by id.")
        .parameters(&[required("ids")])
        .variadic("ids")
        .signature("[id1 [id2 [... [idN]]]]"),
    Command::control("rate_limit", run!(operate::rate_limit))
        .help("Tell worker(s) to modify the rate limit for a task by type.")
        .parameters(&[required("task_name"), required("rate_limit")])
        .args(&[("task_name", Text), ("rate_limit", Text)])
        .signature("<task_name> <rate_limit (e.g., 5/s | 5/m | 5/h)>"),
    Command::inspect("registered", run!(inspect::registered))
        .alias("dump_tasks")
        .help("List of registered tasks.")
        .parameters(&[optional("taskinfoitems"), optional("builtins")])
        .variadic("taskinfoitems")
        .signature("[attr1 [attr2 [... [attrN]]]]"),
    Command::inspect("report", run!(inspect::report))
        .help("Information about Celery installation for bug reports.")
        .strict(),
    Command::inspect("reserved", run!(inspect::reserved))
        .alias("dump_reserved")
        .help("List of currently reserved tasks, not including scheduled/active."),
    Command::control("revoke", run!(revoke::revoke))
        .help("Revoke task by task id (or list of ids).")
        .parameters(&[required("task_id"), optional("terminate"), optional("signal")])
        .variadic("task_id")
        .signature("[id1 [id2 [... [idN]]]]"),
    Command::control("revoke_by_stamped_headers", run!(revoke::revoke_by_stamped_headers))
        .help("Revoke task by header (or list of headers).")
        .parameters(&[required("headers"), optional("terminate"), optional("signal")])
        .variadic("headers")
        .signature("[key1=value1 [key2=value2 [... [keyN=valueN]]]]"),
    Command::inspect("revoked", run!(revoke::revoked))
        .alias("dump_revoked")
        .help("List of revoked task-ids."),
    Command::inspect("scheduled", run!(inspect::scheduled))
        .alias("dump_schedule")
        .help("List of currently scheduled ETA/countdown tasks."),
    Command::control("shutdown", run!(operate::shutdown))
        .help("Shutdown worker(s).")
        .parameters(&[optional("msg")]),
    Command::inspect("stats", run!(inspect::stats)).help("Request worker statistics/information."),
    Command::control("terminate", run!(revoke::terminate))
        .help("Terminate task by task id (or list of ids).")
        .parameters(&[required("signal"), required("task_id")])
        .args(&[("signal", Text)])
        .variadic("task_id")
        .signature("<signal> [id1 [id2 [... [idN]]]]"),
    Command::control("time_limit", run!(operate::time_limit))
        .help("Tell worker(s) to modify the time limit for task by type.")
        .parameters(&[optional("task_name"), optional("hard"), optional("soft")])
        .args(&[("task_name", Text), ("soft", Float), ("hard", Float)])
        .signature("<task_name> <soft_secs> [hard_secs]"),
];

/// The command of that name.
pub(super) fn find(name: &str) -> Option<&'static Command> {
    all().find(|command| command.is_called(name))
}

/// All commands of this program: Celery's own, and those of `#[control_command]` and `#[inspect_command]`.
///
/// One of the program goes before one of Celery's that has the same name.
pub fn all() -> impl Iterator<Item = &'static Command> {
    inventory::iter::<Command>().chain(COMMANDS)
}

inventory::collect!(Command);
