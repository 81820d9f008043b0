//! The Lua scripts, each of which is one step for everybody else.
//!
//! Keys and arguments are described at the top of each file. Where a set's key is made inside a script (a dead
//! process's tags), it has the same prefix as the declared ones, so that a `{hash-tag}` prefix keeps all in one slot.

use std::sync::LazyLock;

use deadpool_redis::redis::{Cmd, Script, cmd};

/// A script, and the command that runs it.
#[derive(Debug)]
pub(crate) struct Lua {
    source: &'static str,
}

pub(crate) static FETCH: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/fetch.lua")));
pub(crate) static STORE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/store.lua")));
pub(crate) const ACK: Lua = Lua { source: include_str!("scripts/ack.lua") };
pub(crate) const PUT_BACK: Lua = Lua { source: include_str!("scripts/put_back.lua") };
pub(crate) const DEFER: Lua = Lua { source: include_str!("scripts/defer.lua") };
pub(crate) const RESTORE: Lua = Lua { source: include_str!("scripts/restore.lua") };
pub(crate) const HEARTBEAT: Lua = Lua { source: include_str!("scripts/heartbeat.lua") };
pub(crate) const RENEW: Lua = Lua { source: include_str!("scripts/renew.lua") };
pub(crate) const BIND: Lua = Lua { source: include_str!("scripts/bind.lua") };
pub(crate) const SWEEP_BINDINGS: Lua = Lua { source: include_str!("scripts/sweep_bindings.lua") };

impl Lua {
    /// A command that runs the script within a pipeline. It carries the source, since a pipeline cannot stop in
    /// its middle to load what a server that was restarted does not know.
    pub(crate) fn command(&self, keys: &[String]) -> Cmd {
        let mut command = cmd("EVAL");
        command.arg(self.source).arg(keys.len()).arg(keys);
        command
    }
}
