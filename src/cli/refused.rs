//! Options and commands of Celery's that have no place here: each is refused with the reason, and with what to do.
//! Those that ask for what is always so are taken, and change nothing.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Command, error::ErrorKind, parser::ValueSource};

/// An option that is refused.
#[derive(Clone, Copy, Debug)]
struct Refusal {
    /// As in `-D, --detach`; the first long one names it.
    flags: &'static [&'static str],
    value: Takes,
    reason: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Nothing,
    Value,
}

const APP: Refusal = Refusal {
    flags: &["--app", "-A"],
    value: Takes::Value,
    reason: "it goes in front of the command, as in `celery -A mysite worker`, and only the `celery` program has it: the program of a package has its app",
};
const DETACH: &str = "a program of this kind is started by a service manager, such as systemd, which also keeps it running; by hand, `nohup … &` does";
const USER: &str =
    "let who starts it say as whom, such as `User=`, `Group=` and `UMask=` of a systemd unit";
const EMBEDDED_BEAT: &str = "this version has no beat yet: run Python's, `celery -A proj beat`, which sends to Rust workers as well";
const CAMERA: &str = "a camera is a Python class: run Python's `celery events --camera` for it, which hears Rust workers as well";

const fn flag(flags: &'static [&'static str], reason: &'static str) -> Refusal {
    Refusal { flags, value: Takes::Nothing, reason }
}

const fn option(flags: &'static [&'static str], reason: &'static str) -> Refusal {
    Refusal { flags, value: Takes::Value, reason }
}

/// Those in front of the command.
const GLOBAL: &[Refusal] = &[
    Refusal {
        reason: "this program has its app: `-A` is for the `celery` program, which looks for one",
        ..APP
    },
    option(
        &["--loader"],
        "a loader is a Python class; a program says in its code where its settings are, as in `.config_from_file(\"settings.toml\", \"CELERY\")`",
    ),
    option(
        &["--config"],
        "it names a Python module; a program says in its code where its settings are, as in `.config_from_file(\"settings.toml\", \"CELERY\")`, and those of the environment are read as `CELERY_…`",
    ),
];

const WORKER: &[Refusal] = &[
    flag(&["--detach", "-D"], DETACH),
    option(&["--uid"], USER),
    option(&["--gid"], USER),
    option(&["--umask"], USER),
    option(&["--executable"], "it is the path of Python, and there is none"),
    option(
        &["--include", "-I"],
        "tasks are part of the program: name their crate in its code, or build the app with `.autodiscover_tasks(celery::installed_apps!())`",
    ),
    flag(
        &["--disable-prefetch"],
        "use `--prefetch-multiplier 1`, with `task_acks_late` for tasks that are to wait in the queue until one ends",
    ),
    flag(&["--beat", "-B"], EMBEDDED_BEAT),
    option(&["--schedule-filename", "--schedule", "-s"], EMBEDDED_BEAT),
    option(&["--scheduler"], EMBEDDED_BEAT),
];

const EVENTS: &[Refusal] = &[
    option(&["--camera", "-c"], CAMERA),
    option(&["--frequency", "--freq", "-F"], CAMERA),
    option(&["--maxrate", "-r"], CAMERA),
    flag(&["--detach"], DETACH),
    option(&["--loglevel", "-l"], "it is for a camera; set RUST_LOG to see more"),
    option(&["--logfile", "-f"], "it is for a camera; this command speaks to a terminal"),
    option(&["--pidfile"], "it is for a camera; this command is run by hand"),
    option(&["--uid"], USER),
    option(&["--gid"], USER),
    option(&["--umask"], USER),
    option(&["--executable"], "it is the path of Python, and there is none"),
];

/// Commands that are refused, whatever follows them.
const COMMANDS: &[(&str, &str)] = &[
    (
        "amqp",
        "this version speaks no AMQP; `list bindings` shows what is bound, `purge` empties queues, and `redis-cli` shows the rest",
    ),
    (
        "beat",
        "this version has no beat yet: run Python's, `celery -A proj beat`, which sends to Rust workers as well",
    ),
    (
        "flower",
        "Flower is a program of its own: run Python's, `celery -b redis://… flower`, which shows Rust workers as well",
    ),
    (
        "graph",
        "a worker has no bootsteps here; `inspect stats` and `list bindings` tell what there is",
    ),
    (
        "logtool",
        "lines of the log are `tracing` events: give your program a subscriber that writes JSON, and search that",
    ),
    (
        "multi",
        "start several workers with a service manager, such as a template unit of systemd (`worker@.service`), each with a node name of its own (`-n w%i@%h`)",
    ),
    (
        "shell",
        "there is no interpreter to open: `call`, `result` and `inspect` do from here what is mostly done in one",
    ),
    (
        "upgrade",
        "it rewrites Python modules; a setting's old name is understood, and docs/settings.md lists the new ones",
    ),
];

/// The refusals of a command. What has become an option of it is none any more.
fn of(command: &str) -> Vec<Refusal> {
    let own = match command {
        "worker" => WORKER,
        "events" => EVENTS,
        _ => &[],
    };
    own.iter().copied().chain([APP]).collect()
}

/// Adds what is refused, hidden from the help, to the command line.
fn with(command: Command) -> Command {
    // There are no checks of Django to skip, and a task always goes to who is free, which Celery calls `fair`.
    let skip_checks = Arg::new("skip-checks").long("skip-checks").action(ArgAction::SetTrue);
    let optimization = Arg::new("optimization")
        .short('O')
        .long("optimization")
        .value_parser(["default", "fair"])
        .hide(true);
    // Child processes are started anew, and never forked.
    let start_method =
        Arg::new("pool-start-method").long("pool-start-method").value_parser(["spawn"]).hide(true);
    let mut command = command
        .arg(skip_checks.hide(true))
        .mut_subcommand("worker", |worker| worker.arg(optimization).arg(start_method));
    for refusal in GLOBAL {
        command = add(command, refusal);
    }
    let names: Vec<_> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names {
        command = command.mut_subcommand(&name, |sub| of(&name).iter().fold(sub, add));
    }
    for (name, _) in COMMANDS {
        // Whatever follows is not looked at.
        let rest = Arg::new("rest")
            .num_args(0..)
            .trailing_var_arg(true)
            .allow_hyphen_values(true)
            .value_parser(clap::value_parser!(OsString));
        command =
            command.subcommand(Command::new(*name).hide(true).disable_help_flag(true).arg(rest));
    }
    command
}

/// Adds one, unless the command has an option of that name: the `celery` program has `-A`.
fn add(command: Command, refusal: &Refusal) -> Command {
    let (long, short) = (refusal.long(), refusal.short());
    if command.get_arguments().any(|arg| arg.get_long() == Some(long)) {
        return command;
    }
    let aliases = refusal.flags.iter().filter_map(|flag| flag.strip_prefix("--"));
    let arg = Arg::new(refusal.id())
        .long(long)
        .aliases(aliases.filter(|alias| *alias != long))
        .hide(true)
        .action(match refusal.value {
            Takes::Nothing => ArgAction::SetTrue,
            Takes::Value => ArgAction::Append,
        });
    command.arg(match short {
        Some(short) => arg.short(short),
        None => arg,
    })
}

/// Reads a command line; what is refused is an error that says why.
pub(super) fn parse(
    command: Command,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<ArgMatches, clap::Error> {
    let mut command = with(command);
    let matches = command.try_get_matches_from_mut(arguments)?;
    let refused = complaint("", GLOBAL, &matches).or_else(|| {
        let (name, of_command) = matches.subcommand()?;
        let refused = COMMANDS.iter().find(|(command, _)| *command == name);
        match refused {
            Some((name, reason)) => Some(format!("there is no `{name}` here: {reason}")),
            None => complaint(name, &of(name), of_command),
        }
    });
    match refused {
        Some(complaint) => Err(command.error(ErrorKind::UnknownArgument, complaint)),
        None => Ok(matches),
    }
}

fn complaint(command: &str, refusals: &[Refusal], matches: &ArgMatches) -> Option<String> {
    let is_given = |refusal: &&Refusal| {
        // It is not there where the command has an option of that name.
        let source = matches
            .try_contains_id(&refusal.id())
            .ok()
            .and_then(|_| matches.value_source(&refusal.id()));
        source == Some(ValueSource::CommandLine)
    };
    let refusal = refusals.iter().find(is_given)?;
    let option = format!("{command} --{}", refusal.long());
    Some(format!("there is no `{}` here: {}", option.trim_start(), refusal.reason))
}

impl Refusal {
    fn long(&self) -> &'static str {
        self.flags.iter().find_map(|flag| flag.strip_prefix("--")).unwrap_or_default()
    }

    fn short(&self) -> Option<char> {
        let short = self.flags.iter().find(|flag| !flag.starts_with("--"))?;
        short.chars().nth(1)
    }

    /// Told apart from the ids of options that there are.
    fn id(&self) -> String {
        format!("refused-{}", self.long())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[track_caller]
    fn refuses(line: &str, complaint: &str) {
        let error = parse(Cli::command(), line.split(' ').map(OsString::from)).unwrap_err();
        let said = error.to_string();
        assert_eq!(error.exit_code(), 2, "{line}");
        assert!(said.contains(complaint), "{line}: {said}");
    }

    #[test]
    fn the_command_line_with_what_is_refused_has_no_contradictions() {
        with(Cli::command()).debug_assert();
    }

    #[test]
    fn an_option_that_does_not_apply_is_refused_with_the_reason() {
        refuses(
            "mysite worker --detach",
            "there is no `worker --detach` here: a program of this kind is started by a service manager",
        );
        refuses("mysite worker -D", "there is no `worker --detach` here");
        refuses(
            "mysite worker --schedule x",
            "there is no `worker --schedule-filename` here: this version has no beat yet",
        );
        refuses("mysite worker -c 3 --uid 12", "`User=`");
        refuses("mysite worker -I proj.tasks", "`.autodiscover_tasks(");
        refuses(
            "mysite --config celeryconfig status",
            "there is no `--config` here: it names a Python module",
        );
        refuses("mysite status -A mysite", "as in `celery -A mysite worker`");
        refuses("mysite -A mysite status", "this program has its app");
    }

    #[test]
    fn a_command_that_does_not_apply_is_refused_whatever_follows_it() {
        refuses("celery beat", "there is no `beat` here: this version has no beat yet");
        refuses("celery multi start w1 -A proj -l INFO", "a template unit of systemd");
        refuses("celery shell --help", "there is no interpreter");
        for (name, reason) in COMMANDS {
            refuses(&format!("celery {name} -x --y z"), reason);
        }
    }

    #[test]
    fn what_is_always_so_can_be_asked_for() {
        for line in [
            "mysite worker -O fair",
            "mysite worker --pool-start-method spawn",
            "mysite worker --optimization=default",
            "mysite --skip-checks status",
        ] {
            assert!(parse(Cli::command(), line.split(' ').map(OsString::from)).is_ok(), "{line}");
        }
        refuses("mysite worker -O foul", "[possible values: default, fair]");
    }
}
