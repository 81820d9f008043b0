//! What a server's error means for the one who asked: a table, by the words that servers use.

/// What is to be done about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The connection is of no use any more; a fresh one may be.
    Reconnect,
    /// This server is the wrong one, now at least: look for the right one.
    Move,
    /// The server does nothing of what was asked at this moment, and will do it later.
    Wait,
    /// Somebody must change something first.
    Refuse,
    /// What was asked for cannot be had; the server is well.
    Tell,
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) step: Step,
    /// What a person can do about it, where there is something.
    pub(crate) remedy: Option<&'static str>,
}

/// By the code that stands in front of the server's words.
const BY_CODE: &[(&str, Step, &str)] = &[
    // Nothing was done. It will be, soon.
    ("LOADING", Step::Wait, "the server reads its data from disk"),
    (
        "BUSY",
        Step::Wait,
        "a script of somebody runs for too long; `SCRIPT KILL` ends one that has written nothing",
    ),
    ("TRYAGAIN", Step::Wait, "the keys are on their way to another node of the cluster"),
    ("ASK", Step::Wait, "the keys are on their way to another node of the cluster"),
    ("NOSCRIPT", Step::Wait, ""),
    // Nothing was done, and somebody may have to see to it.
    ("OOM", Step::Wait, "the server's memory is full: free some, or raise its `maxmemory`"),
    (
        "MISCONF",
        Step::Wait,
        "the server cannot write to its disk, and takes no changes until it can; its log says why",
    ),
    ("NOREPLICAS", Step::Wait, "the server has fewer replicas than its `min-replicas-to-write`"),
    // Another server has the data.
    ("READONLY", Step::Move, "the server is a replica; the broker must be the master"),
    ("MASTERDOWN", Step::Move, "the server is a replica that has lost its master"),
    ("MOVED", Step::Move, "another node of the cluster has the keys"),
    ("CLUSTERDOWN", Step::Move, "the cluster does not serve the keys at this moment"),
    // Not before something is changed.
    (
        "NOAUTH",
        Step::Refuse,
        "the server wants a password: put it into the URL, as in `redis://user:password@host`",
    ),
    ("WRONGPASS", Step::Refuse, "user or password in the URL is wrong, or the user is disabled"),
    (
        "NOPERM",
        Step::Refuse,
        "the user's rights do not suffice; the guide to connections has the rule that gives them",
    ),
    (
        "DENIED",
        Step::Refuse,
        "the server is in protected mode: give it a password, or bind it to an address that only its clients reach",
    ),
    (
        "CROSSSLOT",
        Step::Refuse,
        "in a cluster all keys of an app are in one slot: set `global_keyprefix` to a text in braces, such as `{app}:`",
    ),
    ("NOPROTO", Step::Refuse, OLD),
];

const OLD: &str = "Redis 6.2 or later is needed, and a proxy in front of it must know RESP3";

/// By words of errors that have no code of their own (`ERR`).
const BY_WORDS: &[(&str, Step, &str)] = &[
    (
        "max number of clients",
        Step::Reconnect,
        "all connections of the server are taken: raise its `maxclients`",
    ),
    (
        "SELECT is not allowed in cluster mode",
        Step::Refuse,
        "a cluster has database 0 only: name no other in the URL",
    ),
    (
        "DB index is out of range",
        Step::Refuse,
        "the server has no such database: name one of its `databases` in the URL",
    ),
    (
        "invalid DB index",
        Step::Refuse,
        "the server has no such database: name one of its `databases` in the URL",
    ),
    ("invalid password", Step::Refuse, "the password in the URL is wrong"),
    (
        "without any password configured",
        Step::Refuse,
        "the server knows no passwords: take it out of the URL",
    ),
    ("unknown command 'HELLO'", Step::Refuse, OLD),
    ("unknown command `HELLO`", Step::Refuse, OLD),
    ("unknown command", Step::Refuse, "the server, or a proxy in front of it, lacks a command"),
    ("unknown subcommand", Step::Refuse, "the server, or a proxy in front of it, lacks a command"),
];

/// Looks up what a server has answered: its code, and the words behind it.
pub(crate) fn look_up(code: &str, words: &str) -> Row {
    let row = |(_, step, remedy): &(&str, Step, &'static str)| Row {
        step: *step,
        remedy: Some(*remedy).filter(|remedy| !remedy.is_empty()),
    };
    let by_code = |code: &str| BY_CODE.iter().find(|(known, ..)| *known == code).map(row);
    // Before Redis 7 what ended a script stands behind the words of the script's error.
    let within = || by_code(words.split(" -").nth(1)?.split(' ').next()?);
    by_code(code)
        .or_else(|| BY_WORDS.iter().find(|(known, ..)| words.contains(known)).map(row))
        .or_else(within)
        .unwrap_or(Row { step: Step::Tell, remedy: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answer: &str, step: Step, remedy: &str) {
        let (code, words) = answer.split_once(' ').unwrap();
        let row = look_up(code, words);
        assert_eq!(row.step, step, "{answer}");
        let found = row.remedy.unwrap_or_default();
        assert!(found.contains(remedy), "{answer}: {found}");
    }

    #[test]
    fn a_server_that_is_busy_is_waited_for() {
        check("LOADING Redis is loading the dataset in memory", Step::Wait, "from disk");
        check(
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
            Step::Wait,
            "SCRIPT KILL",
        );
        check("TRYAGAIN Multiple keys request during rehashing of slot", Step::Wait, "cluster");
        check("ASK 3999 127.0.0.1:6381", Step::Wait, "cluster");
        check("NOSCRIPT No matching script. Please use EVAL.", Step::Wait, "");
    }

    #[test]
    fn a_server_that_takes_no_writes_is_waited_for_and_a_person_is_told_why() {
        check("OOM command not allowed when used memory > 'maxmemory'.", Step::Wait, "maxmemory");
        check(
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
            Step::Wait,
            "its log",
        );
        check("NOREPLICAS Not enough good replicas to write.", Step::Wait, "min-replicas");
    }

    #[test]
    fn a_server_that_has_not_got_the_data_is_left() {
        check("READONLY You can't write against a read only replica.", Step::Move, "master");
        check(
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            Step::Move,
            "lost its master",
        );
        check("MOVED 3999 127.0.0.1:6381", Step::Move, "cluster");
        check("CLUSTERDOWN Hash slot not served", Step::Move, "cluster");
    }

    #[test]
    fn what_somebody_must_change_is_refused_with_the_remedy() {
        check("NOAUTH Authentication required.", Step::Refuse, "redis://user:password@host");
        check(
            "WRONGPASS invalid username-password pair or user is disabled.",
            Step::Refuse,
            "wrong",
        );
        check(
            "NOPERM this user has no permissions to run the 'eval' command",
            Step::Refuse,
            "the guide to connections",
        );
        check("DENIED Redis is running in protected mode", Step::Refuse, "protected mode");
        check("CROSSSLOT Keys in request don't hash to the same slot", Step::Refuse, "`{app}:`");
        check("NOPROTO unsupported protocol version", Step::Refuse, "Redis 6.2");
        check("ERR DB index is out of range", Step::Refuse, "`databases`");
        check("ERR invalid DB index", Step::Refuse, "`databases`");
        check("ERR SELECT is not allowed in cluster mode", Step::Refuse, "database 0");
        check("ERR invalid password", Step::Refuse, "password");
        check(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
            Step::Refuse,
            "take it out",
        );
        check(
            "ERR unknown command 'HELLO', with args beginning with: '3' ",
            Step::Refuse,
            "Redis 6.2",
        );
        check("ERR unknown command `HELLO`, with args beginning with: `3`, ", Step::Refuse, "6.2");
        check(
            "ERR unknown command 'CLIENT', with args beginning with: 'TRACKING' ",
            Step::Refuse,
            "lacks a command",
        );
    }

    #[test]
    fn a_server_whose_connections_are_all_taken_is_connected_to_again() {
        check("ERR max number of clients reached", Step::Reconnect, "maxclients");
    }

    #[test]
    fn what_ended_a_script_counts_also_before_redis_7() {
        check(
            "ERR Error running script (call to f_0f): @user_script:3: @user_script: 3: -OOM command not allowed when used memory > 'maxmemory'.",
            Step::Wait,
            "maxmemory",
        );
        check(
            "ERR Error running script (call to f_0f): @user_script:3: @user_script: 3: -READONLY You can't write against a read only replica.",
            Step::Move,
            "master",
        );
    }

    #[test]
    fn anything_else_is_told() {
        check("WRONGTYPE Operation against a key holding the wrong kind of value", Step::Tell, "");
        check("ERR value is not an integer or out of range", Step::Tell, "");
    }
}
