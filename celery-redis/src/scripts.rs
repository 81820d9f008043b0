//! The Lua scripts, each of which is one step for everybody else.
//!
//! Keys and arguments are described at the top of each file. Where a set's key is made inside a script (a dead
//! process's tags), it has the same prefix as the declared ones, so that a `{hash-tag}` prefix keeps all in one slot.

use std::sync::{LazyLock, OnceLock};

use deadpool_redis::redis::{
    Arg, Cmd, FromRedisValue, RedisError, RedisResult, Script, ToRedisArgs,
    aio::MultiplexedConnection, cmd, pipe,
};

/// A script, and the commands that run it.
#[derive(Debug)]
pub(crate) struct Lua {
    source: &'static str,
    hash: OnceLock<String>,
}

/// Those that are run so often that the server is to know them.
static KNOWN: [&Lua; 10] =
    [&FETCH, &TAKE, &SETTLE, &ACK, &MOVE, &ADOPT, &BEGIN, &RENEW, &RESCUE, &PUSH];

pub(crate) static PUSH: Lua = Lua::new(include_str!("scripts/push.lua"));
pub(crate) static FETCH: Lua = Lua::new(include_str!("scripts/fetch.lua"));
pub(crate) static TAKE: Lua = Lua::new(include_str!("scripts/take.lua"));
pub(crate) static SETTLE: Lua = Lua::new(include_str!("scripts/settle.lua"));
pub(crate) static ACK: Lua = Lua::new(include_str!("scripts/ack.lua"));
pub(crate) static MOVE: Lua =
    Lua::new(concat!(include_str!("scripts/commands.lua"), include_str!("scripts/move.lua")));
pub(crate) static ONCE: Lua =
    Lua::new(concat!(include_str!("scripts/commands.lua"), include_str!("scripts/once.lua")));
pub(crate) static ADOPT: Lua = Lua::new(include_str!("scripts/adopt.lua"));
pub(crate) static BEGIN: Lua = Lua::new(include_str!("scripts/begin.lua"));
pub(crate) static RENEW: Lua = Lua::new(include_str!("scripts/renew.lua"));
pub(crate) static RESCUE: Lua = Lua::new(include_str!("scripts/rescue.lua"));
pub(crate) static STORE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(include_str!("scripts/stored.lua"), include_str!("scripts/store.lua")))
});
pub(crate) static COUNT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("scripts/stored.lua"),
        include_str!("scripts/joins.lua"),
        include_str!("scripts/count.lua"),
    ))
});
pub(crate) static BEGIN_JOINS: Lua =
    Lua::new(concat!(include_str!("scripts/joins.lua"), include_str!("scripts/begin_joins.lua")));
pub(crate) static OVERDUE_JOINS: Lua =
    Lua::new(concat!(include_str!("scripts/joins.lua"), include_str!("scripts/overdue_joins.lua")));
pub(crate) static TALLY_JOINS: Lua =
    Lua::new(concat!(include_str!("scripts/joins.lua"), include_str!("scripts/tally_joins.lua")));
pub(crate) static FINISH_JOIN: Lua = Lua::new(include_str!("scripts/finish_join.lua"));
pub(crate) static RESTORE: Lua = Lua::new(include_str!("scripts/restore.lua"));
pub(crate) static RESTORE_ONE: Lua = Lua::new(include_str!("scripts/restore_one.lua"));
pub(crate) static HEARTBEAT: Lua = Lua::new(include_str!("scripts/heartbeat.lua"));
pub(crate) static BIND: Lua = Lua::new(include_str!("scripts/bind.lua"));
pub(crate) static REMEMBER: Lua = Lua::new(include_str!("scripts/remember.lua"));
pub(crate) static REMEMBERS: Lua = Lua::new(include_str!("scripts/remembers.lua"));
pub(crate) static REMEMBERED: Lua = Lua::new(include_str!("scripts/remembered.lua"));
pub(crate) static REQUEUE: Lua = Lua::new(include_str!("scripts/requeue.lua"));
pub(crate) static SWEEP_BINDINGS: Lua = Lua::new(include_str!("scripts/sweep_bindings.lua"));

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
        Self { source: source.split_at(at).1, hash: OnceLock::new() }
    }

    /// A command that runs the script within a pipeline. It carries the source, since a pipeline cannot stop in
    /// its middle to load what a server that was restarted does not know.
    pub(crate) fn command(&self, keys: &[String]) -> Cmd {
        let mut command = cmd("EVAL");
        command.arg(self.source).arg(keys.len()).arg(keys);
        command
    }

    /// A command that runs the script by its name. The server may not know it: send it with [`run`], and only where it
    /// may be repeated with all that is sent with it.
    pub(crate) fn call<K: ToRedisArgs>(&self, keys: &[K]) -> Cmd {
        let mut command = cmd("EVALSHA");
        command.arg(self.hash()).arg(keys.len()).arg(keys);
        command
    }

    /// The same, with keys that are borrowed.
    pub(crate) fn call_with<'a>(&self, keys: impl Iterator<Item = &'a String>) -> Cmd {
        let keys: Vec<&str> = keys.map(String::as_str).collect();
        let mut command = cmd("EVALSHA");
        command.arg(self.hash()).arg(keys.len()).arg(keys);
        command
    }

    fn hash(&self) -> &str {
        self.hash.get_or_init(|| Script::new(self.source).get_hash().to_owned())
    }
}

/// Adds a command to those that a script carries out (see `commands.lua`).
pub(crate) fn add(command: &mut Cmd, words: &Cmd) {
    command.arg(words.args_iter().count());
    for word in words.args_iter() {
        match word {
            Arg::Simple(word) => _ = command.arg(word),
            Arg::Cursor => _ = command.arg(0),
            _ => {}
        }
    }
}

/// Runs a script that was [called](Lua::call) by its name, and once more when the server did not know it.
pub(crate) async fn run<T: FromRedisValue>(
    connection: &mut MultiplexedConnection,
    call: &Cmd,
) -> RedisResult<T> {
    match call.query_async(connection).await {
        Err(error) if is_unknown(&error) => {
            load(connection).await?;
            call.query_async(connection).await
        }
        outcome => outcome,
    }
}

/// Whether the server did not know a script: it was started anew, or is another one.
pub(crate) fn is_unknown(error: &RedisError) -> bool {
    error.code() == Some("NOSCRIPT")
        || error
            .clone()
            .into_server_errors()
            .is_some_and(|errors| errors.iter().any(|(_, error)| error.code() == "NOSCRIPT"))
}

/// Makes the scripts known to the server.
pub(crate) async fn load(connection: &mut MultiplexedConnection) -> RedisResult<()> {
    let mut commands = pipe();
    for script in KNOWN {
        commands.cmd("SCRIPT").arg("LOAD").arg(script.source).ignore();
    }
    commands.query_async(connection).await
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
