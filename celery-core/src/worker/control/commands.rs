//! The commands of remote control, by name.

use super::{
    command::{Command, Run},
    inspect, operate,
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
    Command::inspect("clock", run!(inspect::clock)).help("Get current logical clock value."),
    Command::inspect("hello", run!(inspect::hello))
        .help("Request mingle sync-data.")
        .parameters(&[required("from_node"), optional("revoked")])
        .hidden(),
    Command::inspect("ping", run!(inspect::ping)).help("Ping worker(s)."),
    Command::inspect("registered", run!(inspect::registered))
        .alias("dump_tasks")
        .help("List of registered tasks.")
        .parameters(&[optional("taskinfoitems"), optional("builtins")])
        .variadic("taskinfoitems")
        .signature("[attr1 [attr2 [... [attrN]]]]"),
    Command::inspect("reserved", run!(inspect::reserved))
        .alias("dump_reserved")
        .help("List of currently reserved tasks, not including scheduled/active."),
    Command::control("shutdown", run!(operate::shutdown))
        .help("Shutdown worker(s).")
        .parameters(&[optional("msg")]),
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
