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
pub(crate) const ACK: Lua = Lua::new(include_str!("scripts/ack.lua"));
pub(crate) const PUT_BACK: Lua = Lua::new(include_str!("scripts/put_back.lua"));
pub(crate) const DEFER: Lua = Lua::new(include_str!("scripts/defer.lua"));
pub(crate) const RESTORE: Lua = Lua::new(include_str!("scripts/restore.lua"));
pub(crate) const RESTORE_ONE: Lua = Lua::new(include_str!("scripts/restore_one.lua"));
pub(crate) const HEARTBEAT: Lua = Lua::new(include_str!("scripts/heartbeat.lua"));
pub(crate) const RENEW: Lua = Lua::new(include_str!("scripts/renew.lua"));
pub(crate) const BIND: Lua = Lua::new(include_str!("scripts/bind.lua"));
pub(crate) const REMEMBER: Lua = Lua::new(include_str!("scripts/remember.lua"));
pub(crate) const REMEMBERS: Lua = Lua::new(include_str!("scripts/remembers.lua"));
pub(crate) const REMEMBERED: Lua = Lua::new(include_str!("scripts/remembered.lua"));
pub(crate) const REQUEUE: Lua = Lua::new(include_str!("scripts/requeue.lua"));
pub(crate) const SWEEP_BINDINGS: Lua = Lua::new(include_str!("scripts/sweep_bindings.lua"));

impl Lua {
    /// The script without the comment at its top, which the server has no use for.
    const fn new(source: &'static str) -> Self {
        let bytes = source.as_bytes();
        let mut at = 0;
        while at + 1 < bytes.len() && bytes[at] == b'-' && bytes[at + 1] == b'-' {
            while at < bytes.len() && bytes[at] != b'\n' {
                at += 1;
            }
            at += 1;
        }
        Self { source: source.split_at(at).1 }
    }

    /// A command that runs the script within a pipeline. It carries the source, since a pipeline cannot stop in
    /// its middle to load what a server that was restarted does not know.
    pub(crate) fn command(&self, keys: &[String]) -> Cmd {
        let mut command = cmd("EVAL");
        command.arg(self.source).arg(keys.len()).arg(keys);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_comment_at_the_top_stays_here() {
        assert_eq!(
            Lua::new("-- What it is.\n--\n-- More.\nlocal a = 1 -- one\n").source,
            "local a = 1 -- one\n"
        );
        assert_eq!(Lua::new("return 1").source, "return 1");
        assert!(ACK.source.starts_with("local was_silent"));
    }
}
