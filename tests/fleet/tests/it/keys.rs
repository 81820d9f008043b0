//! What is left in Redis: each key is in the guide's table, and goes.

use celery::{AsyncResult, Celery, State};
use peers::{LIMIT, Space, celery_command};
use serde_json::{Value, json};

use crate::harness::{call, listens, worker};

/// The keys of the guide's table, each with what removes it.
fn table() -> Vec<(&'static str, &'static str)> {
    let page = include_str!("../../../../docs/delivery.md");
    let rows = page.lines().skip_while(|line| !line.starts_with("| Key |")).skip(2);
    rows.take_while(|line| line.starts_with('|'))
        .map(|row| {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            (cells[1].trim_matches('`'), cells[4])
        })
        .collect()
}

/// Whether a key of the table, with names in `<>`, stands for this one.
fn stands_for(pattern: &str, key: &str) -> bool {
    let pattern = pattern.replace("\\x06\\x16", "\u{6}\u{16}");
    let parts: Vec<&str> = pattern
        .split('<')
        .flat_map(|part| part.split_once('>').map_or(part, |it| it.1).split('\0'))
        .collect();
    let Some(mut rest) = key.strip_prefix(parts[0]) else { return false };
    for (at, part) in parts.iter().enumerate().skip(1) {
        // A name has a character at least.
        let found = if at + 1 == parts.len() && part.is_empty() {
            Some(rest.len())
        } else {
            rest.get(1..).and_then(|after| after.find(part)).map(|at| at + 1 + part.len())
        };
        match found.filter(|end| *end > 0) {
            Some(end) => rest = &rest[end..],
            None => return false,
        }
    }
    rest.is_empty()
}

/// All keys that are no test's own, without the prefix, each with its time to live in milliseconds.
async fn keys(space: &Space) -> Vec<(String, i64)> {
    let prefix: String = space.redis("ECHO", &["{}"]).await;
    let found: Vec<String> = space.redis("KEYS", &["{}*"]).await;
    let mut keys = Vec::new();
    for key in found {
        let name = key.strip_prefix(&prefix).expect("the namespace's").to_owned();
        if !name.starts_with("gate:") && !name.starts_with("entered:") {
            keys.push((name, space.redis("PTTL", &[&key]).await));
        }
    }
    keys.sort();
    keys
}

/// Complains of each key that is in no row, or stays though its row says that it expires.
fn complaints(keys: &[(String, i64)]) -> Vec<String> {
    let table = table();
    assert!(table.len() > 10, "{table:?}");
    let queues = ["celery", "own"];
    let complain = |(key, left): &(String, i64)| {
        let row = table
            .iter()
            .find(|(pattern, _)| !pattern.starts_with("<queue>") && stands_for(pattern, key));
        match row {
            None if queues.contains(&key.as_str()) => None,
            None => Some(format!("`{key}` is in no row of docs/delivery.md")),
            Some((_, by)) if by.contains("expires") && *left < 0 => {
                Some(format!("`{key}` has no time to live, though the guide says: {by}"))
            }
            Some(_) => None,
        }
    };
    keys.iter().filter_map(complain).collect()
}

async fn state(result: &AsyncResult<Value>) -> State {
    let meta = tokio::time::timeout(LIMIT, result.wait()).await.expect("it ends");
    meta.expect("the result is stored").state
}

async fn later(app: &Celery, task: &str, args: Value, seconds: f64) -> AsyncResult<Value> {
    let args = args.as_array().expect("a list of arguments").clone();
    let sent = app.send_task(task).args(args).countdown(seconds).send().await;
    sent.expect("the task is published").typed()
}

#[test]
fn a_key_of_the_table_stands_for_those_of_its_form() {
    for (pattern, key, expected) in [
        ("unacked", "unacked", true),
        ("unacked", "unacked_index", false),
        ("celery-held.<process>", "celery-held.1", true),
        ("celery-held.<process>", "celery-held.", false),
        ("celery-pending.<process>.<batch>", "celery-pending.a-b.12", true),
        ("celery-pending.<process>.<batch>", "celery-pending.a-b", false),
        ("<id>.reply.celery.pidbox", "1-2.reply.celery.pidbox", true),
        ("<id>.reply.celery.pidbox", ".reply.celery.pidbox", false),
        ("<queue>\\x06\\x16<priority>", "celery\u{6}\u{16}3", true),
    ] {
        assert_eq!(stands_for(pattern, key), expected, "{pattern} and {key}");
    }
}

#[tokio::test]
async fn each_key_that_is_left_is_in_the_guide_and_goes() {
    let space = Space::new()
        .with_transport_option("worker_timeout", 3)
        .with("result_expires", 600)
        .with("worker_send_task_events", true);
    let app = space.app();
    let first = worker(&space, &["-n", "first@here", "-c", "2"]).await;
    listens(&app, "first@here").await;
    let second = worker(&space, &["-n", "second@here", "-c", "2", "-Q", "own"]).await;

    // Tasks that succeed, that nobody knows, that wait for their time, and that are revoked meanwhile.
    assert_eq!(state(&call(&app, "fleet.add", json!([1, 2])).await).await, State::Success);
    assert_eq!(state(&call(&app, "fleet.nobody", json!([])).await).await, State::Failure);
    let waited = later(&app, "fleet.add", json!([1, 2]), 1.0).await;
    let revoked = later(&app, "fleet.add", json!([1, 2]), 1.5).await;
    revoked.revoke().await.expect("the broker is told");
    app.control()
        .revoke_by_stamped_headers([("team", "blue")])
        .send()
        .await
        .expect("the broker is told");
    // A worker that dies of what it runs: what it held is given to another one.
    let held = app.send_task("fleet.hold_late").args(("late",)).queue("own").send().await;
    let held: AsyncResult<Value> = held.expect("the task is published").typed();
    space.entered("late").await;
    second.kill();
    let third = worker(&space, &["-n", "third@here", "-c", "2", "-Q", "own"]).await;
    space.entered("late").await;
    space.open("late").await;
    assert_eq!(state(&held).await, State::Success);
    // Whoever asks gets replies in a queue.
    let _: String = celery_command(&space, &["inspect", "ping", "-t", "5"]).await;
    assert_eq!(state(&waited).await, State::Success);
    assert_eq!(state(&revoked).await, State::Revoked);

    let found = complaints(&keys(&space).await);
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(first.stop().await.success());
    assert!(third.stop().await.success());
    // Who has collected replies has been a consumer too.
    app.close().await.expect("the broker answers");
    let left = keys(&space).await;
    let found = complaints(&left);
    assert!(found.is_empty(), "{}", found.join("\n"));
    // Of workers that have stopped, and of one that died, nothing is left; and nothing waits.
    let of_processes =
        ["celery-processes", "celery-held.", "celery-pending.", "unacked", "celery", "own"];
    let stays: Vec<_> = left
        .iter()
        .filter(|(key, _)| {
            of_processes.iter().any(|it| key == it || it.ends_with('.') && key.starts_with(it))
        })
        .collect();
    assert!(stays.is_empty(), "{stays:?} of {left:?}");
}
