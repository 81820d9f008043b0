//! The command line beside that of Python's Celery.

use std::{collections::BTreeMap, process::Stdio};

use peers::{Space, celery_command, python, run, scenario};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::harness::command;

/// How our program exits after the line, and what it says.
async fn ours(space: &Space, line: &str) -> (i32, String) {
    let arguments: Vec<_> = line.split_whitespace().collect();
    let mut command = command(space, &arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut program = command.spawn().expect("the program was built with this test");
    let mut answers = program.stdin.take().expect("it is piped");
    // A program that asks nothing does not listen.
    let _unread = answers.write_all(b"n\n").await;
    drop(answers);
    let output = program.wait_with_output().await.expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().expect("nothing kills it"), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test]
async fn command_lines_exit_as_celerys_do() {
    let space = Space::new();
    let lines = [
        "",
        "--help",
        "--version",
        "celebrate",
        "--celebrate",
        "--skip-checks report",
        "--workdir /no/such/folder report",
        "worker --celebrate",
        "worker -c many",
        "worker -l LOUD",
        "worker -O foul",
        "worker -A proj",
        "worker --help",
        "call",
        "call t.add -a {}",
        "call t.add -a [2",
        "call t.add -k []",
        "call t.add --countdown soon",
        "call t.add -a [2,2] --queue nobody's",
        "result",
        "result --help",
        "inspect",
        "inspect celebrate",
        "inspect ping -t soon",
        "inspect ping -t 0.2",
        "inspect ping -t 0.2 --json",
        "status -t 0.2",
        "purge",
        "purge -Q",
        "purge -f -Q nobody's",
        "list",
        "list everything",
        "list bindings",
        "migrate",
        "migrate redis://localhost",
        "report",
    ];
    let mut theirs = python(&space, "scenarios.py");
    theirs.args(["celery_lines", &json!(lines[..]).to_string()]);
    let codes: Value = serde_json::from_str(&run(&mut theirs).await).expect("it prints JSON");
    let codes = &codes["codes"];
    let mut different = Vec::new();
    for line in lines {
        let (code, said) = ours(&space, line).await;
        if codes[line] != json!(code) {
            different.push(format!(
                "`celery {line}` exits with {}, ours with {code}: {said}",
                codes[line]
            ));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// Celery's own command line is asked for its options, so that one that a later version adds is noticed here.
#[tokio::test]
async fn every_command_and_option_of_celerys_is_taken_or_refused_with_the_reason() {
    let space = Space::new();
    let theirs = run(python(&space, "scenarios.py").arg("celery_options")).await;
    let commands: BTreeMap<String, BTreeMap<String, bool>> =
        serde_json::from_str(&theirs).expect("it prints JSON");
    assert!(commands["worker"].contains_key("--prefetch-multiplier"), "{commands:?}");
    let mut unknown = Vec::new();
    for (name, options) in &commands {
        for (option, takes_value) in options {
            let value = if *takes_value { " 1" } else { "" };
            // The help ends the reading, so that nothing is run; what is not known is complained of before it. What
            // is refused as a whole is not read at all.
            let (code, said) = ours(&space, &format!("{name} {option}{value} --help")).await;
            let refused = said.contains("there is no `") && said.contains("` here: ");
            let is_known = code == 0 || refused || said.contains("invalid value '1' for");
            if !is_known {
                unknown.push(format!("{name} {option}: {said}"));
            }
        }
    }
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
    // And the commands that have no options of their own.
    for name in commands.keys() {
        let (code, said) = ours(&space, &format!("{name} --help")).await;
        assert!(code == 0 || said.contains("` here: "), "{name}: {said}");
    }
}

#[tokio::test]
async fn bindings_are_listed_as_celery_lists_them() {
    let queues = json!({
        "mail": { "exchange": "post", "routing_key": "mail.#", "exchange_type": "topic" },
        "a-queue-with-a-name-that-is-longer-than-its-column": {},
    });
    let space = Space::new().with("task_queues", queues);
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let theirs = celery_command(&space, &["list", "bindings"]).await;
    let ours = run(&mut command(&space, &["list", "bindings"])).await;
    assert_eq!(sorted(&ours), sorted(&theirs));
    assert!(
        ours.contains("mail                         post                         mail.#"),
        "{ours}"
    );
}

/// What waits at a place, as it is on the server, without the tag that each publish gives anew.
async fn messages(space: &Space, queue: &str) -> Vec<Value> {
    let mut messages = Vec::new();
    for list in [format!("{{}}{queue}"), format!("{{}}{queue}\u{6}\u{16}6")] {
        let items: Vec<String> = space.redis("LRANGE", &[&list, "0", "-1"]).await;
        for item in items {
            let mut message: Value = serde_json::from_str(&item).expect("kombu's envelope");
            message["properties"]["delivery_tag"].take();
            messages.push(message);
        }
    }
    messages
}

#[tokio::test]
async fn messages_of_python_are_migrated_as_they_are() {
    let (space, there) = (Space::new().with("task_default_queue", "here"), Space::new());
    scenario(&space, "publish_variety").await;
    let published = messages(&space, "here").await;
    assert_eq!(published.len(), 4);
    let url = |space: &Space| format!("{}?global_keyprefix={}", space.url(), space.prefix);
    let line = ["migrate", &url(&space), &url(&there)];
    let migrate =
        async |options: &[&str]| ours(&space, &[&line[..], options].concat().join(" ")).await;

    let (code, said) = migrate(&["-T", "variety.other", "-t", "0.2"]).await;
    assert_eq!(code, 0, "{said}");
    let embed = "{'callbacks': None, 'errbacks': None, 'chain': None, 'chord': None}";
    assert_eq!(said, format!("Migrating task 1/4: [[3], {{}}, {embed}]\n"));
    let copied = messages(&there, "here").await;
    assert_eq!(
        copied,
        [published.iter().find(|it| it["headers"]["task"] == "variety.other").unwrap().clone()]
    );

    // What was only copied has been given back since, which the messages tell.
    let waiting = messages(&space, "here").await;
    assert_eq!(waiting.len(), 4);
    let (code, said) = migrate(&["--ack-messages", "-Q", "here:elsewhere", "-t", "0.2"]).await;
    assert_eq!((code, said.lines().count()), (0, 4), "{said}");
    assert!(said.contains("'Grüße'"), "{said}");
    let renamed = |mut message: Value| {
        message["properties"]["delivery_info"]["routing_key"] = json!("elsewhere");
        message
    };
    let expected: Vec<_> = waiting.into_iter().map(renamed).collect();
    assert_eq!(messages(&there, "elsewhere").await, expected);
    assert_eq!(messages(&space, "here").await, Vec::<Value>::new());
    let unacked: u64 = space.redis("HLEN", &["{}unacked"]).await;
    assert_eq!(unacked, 0, "nothing is left in the books");
}

#[tokio::test]
async fn a_message_that_cannot_be_read_stays_and_is_told_of() {
    let (space, there) = (Space::new(), Space::new());
    let _: u64 = space.redis("RPUSH", &["{}celery", "no message"]).await;
    scenario(&space, "publish_variety").await;
    let url = |space: &Space| format!("{}?global_keyprefix={}", space.url(), space.prefix);
    let (code, said) =
        ours(&space, &format!("migrate {} {} -a -t 0.2", url(&space), url(&there))).await;
    assert_eq!(code, 1, "{said}");
    assert!(
        said.ends_with("Error: 1 message cannot be read, and stayed at the source\n"),
        "{said}"
    );
    let left: Vec<String> = space.redis("LRANGE", &["{}celery", "0", "-1"]).await;
    assert_eq!(left, ["no message"]);
    assert_eq!(messages(&there, "celery").await.len(), 4);
}
