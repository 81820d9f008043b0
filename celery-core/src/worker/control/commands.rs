//! The commands of remote control, by name.

use std::sync::Arc;

use super::{inspect, operate};
use crate::{
    transport::BoxFuture,
    value::{Map, Value},
    worker::{Shutdown, node::Node},
};

/// What a command is given: the worker.
pub(super) struct Panel {
    pub(super) node: Arc<Node>,
    pub(super) shutdown: Shutdown,
}

/// A command.
pub(super) struct Command {
    name: &'static str,
    /// The name that it had before Celery 3.
    alias: Option<&'static str>,
    /// Runs it on its keyword arguments. What it returns is the reply; nothing is none.
    pub(super) run: for<'a> fn(&'a Panel, &'a Map) -> BoxFuture<'a, Option<Value>>,
}

impl Command {
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name == name || self.alias == Some(name)
    }
}

/// Lays out rows: `"name" or "alias" => function;`.
macro_rules! commands {
    (@alias) => { None };
    (@alias $alias:literal) => { Some($alias) };
    ($($name:literal $(or $alias:literal)? => $function:path;)*) => {
        &[$(Command {
            name: $name,
            alias: commands!(@alias $($alias)?),
            run: |panel, arguments| Box::pin($function(panel, arguments)),
        }),*]
    };
}

/// All of them.
pub(super) const COMMANDS: &[Command] = commands! {
    "ping" => inspect::ping;
    "registered" or "dump_tasks" => inspect::registered;
    "active" or "dump_active" => inspect::active;
    "reserved" or "dump_reserved" => inspect::reserved;
    "clock" => inspect::clock;
    "hello" => inspect::hello;
    "shutdown" => operate::shutdown;
};
