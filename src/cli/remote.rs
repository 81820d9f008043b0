//! What `inspect`, `control` and `status` share: the commands of remote control on the command line, and their replies.

use std::{collections::BTreeMap, time::Duration};

use celery_core::{
    codec::json,
    value::{Map, Value},
    worker::{ArgumentType, Command, CommandKind, commands},
};

use super::{
    Session,
    failure::{Failure, UNAVAILABLE, USAGE},
    output::pluralize,
};

/// Whom to ask, and how.
#[derive(Debug)]
pub(super) struct Remote {
    /// For how long replies are waited for.
    pub(super) timeout: Duration,
    /// Node names to ask; everyone where there are none.
    pub(super) destination: Vec<String>,
    /// Whether the replies are printed as JSON.
    pub(super) json: bool,
}

/// A command of that kind, and its arguments.
pub(super) fn compile(
    kind: CommandKind,
    name: &str,
    words: &[String],
) -> Result<(&'static Command, Map), Failure> {
    let listed = listed(kind);
    let Some(command) = listed.get(name) else {
        let (kind, names) = (word(kind), listed.into_keys().collect::<Vec<_>>().join(", "));
        return Err(Failure::new(format!(
            "Command {name} not recognized. Available {kind} commands: {names}"
        ))
        .code(USAGE));
    };
    let (given, rest) = words.split_at(words.len().min(command.args.len()));
    if command.variadic.is_none() && !rest.is_empty() {
        return Err(Failure::new(format!(
            "Command '{name}' takes arguments: {}",
            command.signature.unwrap_or("None")
        ))
        .code(USAGE));
    }
    let mut arguments = Map::new();
    for ((parameter, kind), word) in command.args.iter().zip(given) {
        arguments.insert((*parameter).to_owned(), read(*kind, word)?);
    }
    if let Some(parameter) = command.variadic {
        arguments.insert(parameter.to_owned(), rest.into());
    }
    Ok((command, arguments))
}

/// A word of the command line as the argument that it is.
fn read(kind: ArgumentType, word: &str) -> Result<Value, Failure> {
    let value = match kind {
        ArgumentType::Text => Some(word.into()),
        ArgumentType::Int => word.parse::<i64>().ok().map(Value::from),
        ArgumentType::Float => word.parse::<f64>().ok().map(Value::from),
        ArgumentType::Bool => match word.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(true.into()),
            "false" | "no" | "off" | "0" => Some(false.into()),
            _ => None,
        },
        ArgumentType::Json => Some(serde_json::from_str(word).unwrap_or_else(|_| word.into())),
    };
    let wanted = match kind {
        ArgumentType::Int => "a whole number",
        ArgumentType::Float => "a number",
        _ => "true or false",
    };
    value.ok_or_else(|| Failure::new(format!("'{word}' is not {wanted}")).code(USAGE))
}

/// The commands of a kind, by name.
fn listed(kind: CommandKind) -> BTreeMap<&'static str, &'static Command> {
    let mut listed = BTreeMap::new();
    for command in commands().filter(|command| command.kind == kind && command.visible) {
        // The first one of a name is the one that is run.
        listed.entry(command.name).or_insert(command);
    }
    listed
}

const fn word(kind: CommandKind) -> &'static str {
    match kind {
        CommandKind::Inspect => "inspect",
        CommandKind::Control => "control",
    }
}

/// What `--list` shows: each command with its arguments, and what it is for.
pub(super) fn list(kind: CommandKind) -> String {
    /// As wide as Celery prints where there is no terminal.
    const WIDTH: usize = 78;
    const WIDEST_FIRST: usize = 30;
    let title = match kind {
        CommandKind::Inspect => "Inspect",
        CommandKind::Control => "Control",
    };
    let rows: Vec<_> = listed(kind)
        .into_values()
        .map(|command| match command.signature {
            Some(signature) => (format!("{} {signature}", command.name), command.help),
            None => (command.name.to_owned(), command.help),
        })
        .collect();
    let widest = rows.iter().map(|(first, _)| first.chars().count()).max().unwrap_or(0);
    let column = widest.min(WIDEST_FIRST) + 2;
    let mut text = format!("{title} Commands:\n");
    for (first, help) in rows {
        let length = first.chars().count();
        let gap = if length + 2 <= column {
            " ".repeat(column - length)
        } else {
            format!("\n{}", " ".repeat(column + 2))
        };
        let lines = wrap(help, WIDTH.saturating_sub(column + 2).max(10));
        let next = format!("\n{}", " ".repeat(column + 2));
        text.push_str(&format!("  {first}{gap}{}\n", lines.join(&next)));
    }
    text
}

/// Lines of at most so many characters, broken as Python breaks them: at spaces, and behind hyphens within words.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut space = " ";
        for part in word.split_inclusive('-') {
            let last = lines.last_mut().expect("there is always a line");
            let length = last.chars().count() + space.len() + part.chars().count();
            if last.is_empty() {
                last.push_str(part);
            } else if length <= width {
                last.push_str(space);
                last.push_str(part);
            } else {
                lines.push(part.to_owned());
            }
            space = "";
        }
    }
    lines
}

/// What is said of each reply as it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    /// Whether it is well.
    Status,
    /// What it says, too.
    Body,
}

/// Asks the workers and prints their replies as they come, unless they are wanted as JSON. Returns them all.
pub(super) async fn ask(
    session: &Session,
    command: &str,
    method: &str,
    arguments: Map,
    remote: &Remote,
    show: Show,
) -> Result<Vec<(String, Value)>, Failure> {
    let output = session.output;
    let broadcast = session.app.control().broadcast(method, arguments).timeout(remote.timeout);
    let broadcast = broadcast.destination(remote.destination.iter().map(|node| node.trim()));
    let mut written = Ok(());
    let print = |node: &str, reply: &Value| {
        if !remote.json && written.is_ok() {
            written = output.line(&output.reply(node, reply, show == Show::Body));
        }
    };
    let replies = broadcast
        .replies_each(print)
        .await
        .map_err(|error| Failure::of_remote_command(command, &error))?;
    written?;
    if replies.is_empty() {
        return Err(Failure::new("No nodes replied within time constraint").code(UNAVAILABLE));
    }
    Ok(replies)
}

/// The replies by node. Where two workers of one name replied, that is said.
pub(super) fn by_node(replies: Vec<(String, Value)>) -> Map {
    let mut nodes = Map::new();
    for (node, reply) in replies {
        if nodes.insert(node.clone(), reply).is_some() {
            tracing::warn!(
                "DuplicateNodenameWarning: Received multiple replies from node name: {node}. Please make sure you give each node a unique nodename using the celery worker `-n` option."
            );
        }
    }
    nodes
}

/// The replies as one line of JSON.
pub(super) fn print_json(session: &Session, replies: &Value) -> Result<(), Failure> {
    Ok(session.output.line(&json::to_string(replies))?)
}

/// How many nodes there are, in Celery's words.
pub(super) fn online(nodes: usize) -> String {
    format!("\n{nodes} {} online.", pluralize(nodes as u64, "node"))
}

/// A number of seconds, whole or not.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "a number of seconds is needed, such as 1.5".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(kind: CommandKind, line: &str, expected: &Value) {
        let mut words = line.split(' ').map(str::to_owned);
        let name = words.next().unwrap();
        let arguments = compile(kind, &name, &words.collect::<Vec<_>>());
        let found = arguments.map_or_else(
            |failure| json!([failure.code, failure.message]),
            |(_, arguments)| json!(arguments),
        );
        assert_eq!(found, *expected, "{line}");
    }

    #[test]
    fn words_become_the_arguments_that_the_command_has() {
        use CommandKind::{Control, Inspect};
        check(Inspect, "ping", &json!({}));
        check(Inspect, "conf yes", &json!({"with_defaults": true}));
        check(Inspect, "conf perhaps", &json!([2, "'perhaps' is not true or false"]));
        check(Inspect, "query_task a b", &json!({"ids": ["a", "b"]}));
        check(Inspect, "registered", &json!({"taskinfoitems": []}));
        check(Inspect, "objgraph Request 5", &json!({"type": "Request", "num": 5}));
        check(Inspect, "ping now", &json!([2, "Command 'ping' takes arguments: None"]));
        check(
            Control,
            "add_consumer q ex topic a.* more",
            &json!([
                2,
                "Command 'add_consumer' takes arguments: <queue> [exchange [type [routing_key]]]"
            ]),
        );
        check(Control, "add_consumer q ex", &json!({"queue": "q", "exchange": "ex"}));
        let refused = compile(Control, "ping", &[]).unwrap_err();
        assert!(
            refused.message.starts_with(
                "Command ping not recognized. Available control commands: add_consumer, "
            ),
            "{}",
            refused.message
        );
    }

    #[test]
    fn the_list_has_two_columns() {
        let list = list(CommandKind::Inspect);
        let lines: Vec<_> = list.lines().collect();
        assert_eq!(lines[0], "Inspect Commands:");
        assert_eq!(
            lines[1],
            "  active                          List of tasks currently being executed."
        );
        assert!(lines.contains(&"  conf [include_defaults=False]   List configuration."), "{list}");
    }
}
