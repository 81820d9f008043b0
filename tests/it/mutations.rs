//! A thousand good messages, each damaged at random, fed to a live worker.

use std::time::Duration;

use celery::core::{
    codec::{Compression, Serializer},
    envelope::{self, BodyEncoding},
    message::Message,
    protocol::{Embed, TaskMessage},
};
use serde_json::{Map, Value, json};

use crate::{
    harness::{Circle, Log, push_raw},
    tasks::*,
};

const MESSAGES: usize = 1000;

/// A message as Celery sends it.
fn good(random: &mut fastrand::Rng, number: usize) -> Message {
    let callback = json!({"task": "it.tasks.note", "args": [1], "kwargs": {}, "options": {}, "subtask_type": null, "immutable": true});
    let mut message = TaskMessage {
        id: format!("id-{number}"),
        task: "wireapp.add".to_owned(),
        args: vec![json!(number), json!(1)],
        embed: Embed { errbacks: random.bool().then(|| vec![callback]), ..Embed::default() },
        correlation_id: Some(format!("id-{number}")),
        priority: Some(0),
        ..TaskMessage::default()
    };
    message.headers.timelimit = (Some(300.into()), None);
    message.headers.expires = random.bool().then(|| "2199-01-01T00:00:00+00:00".to_owned());
    let compression = (random.u8(0..8) == 0).then(|| Compression::from_name("zlib").unwrap());
    message.encode(Serializer::Json, compression).unwrap()
}

/// Damages it in one to three places: bytes of the body, headers, or what is said of the body.
fn mutate(random: &mut fastrand::Rng, message: &mut Message) {
    for _ in 0..random.usize(1..=3) {
        match random.u8(0..8) {
            0..=2 => message.body = mutate_bytes(random, &message.body).into(),
            3 => {
                let mut headers: Map<String, Value> = std::mem::take(&mut message.headers).into();
                mutate_map(random, &mut headers);
                message.headers = headers.into();
            }
            4 => {
                message.headers.insert(name(random), any(random, 0));
            }
            5 => message.content_type = random.bool().then(|| name(random)),
            6 => message.content_encoding = random.bool().then(|| name(random)),
            _ => {
                let some = random.usize(0..4);
                let args: Vec<_> = (0..some).map(|_| any(random, 0)).collect();
                let kwargs = if random.bool() { json!({"y": any(random, 0)}) } else { json!({}) };
                let body =
                    json!([args, kwargs, if random.bool() { json!({}) } else { any(random, 0) }]);
                message.headers.remove("compression");
                message.body = body.to_string().into();
            }
        }
    }
}

fn mutate_bytes(random: &mut fastrand::Rng, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.is_empty() {
        return vec![random.u8(..)];
    }
    let at = random.usize(..bytes.len());
    match random.u8(0..4) {
        0 => bytes[at] = random.u8(..),
        1 => bytes.truncate(at),
        2 => bytes.insert(at, random.u8(..)),
        _ => drop(bytes.remove(at)),
    }
    bytes
}

fn mutate_map(random: &mut fastrand::Rng, map: &mut Map<String, Value>) {
    let Some(key) = random.choice(map.keys()).cloned() else { return };
    if random.bool() {
        map.remove(&key);
    } else {
        map.insert(key, any(random, 0));
    }
}

fn name(random: &mut fastrand::Rng) -> String {
    let names = [
        "id",
        "task",
        "eta",
        "expires",
        "retries",
        "timelimit",
        "root_id",
        "group",
        "group_index",
        "compression",
        "stamps",
        "stamped_headers",
        "ignore_result",
        "application/json",
        "application/x-python-serialize",
        "application/x-yaml",
        "utf-8",
        "binary",
        "utf-16",
        "x-unknown",
        "",
    ];
    random.choice(names).unwrap_or_default().to_owned()
}

fn any(random: &mut fastrand::Rng, depth: u8) -> Value {
    match random.u8(0..if depth < 3 { 9 } else { 7 }) {
        0 => Value::Null,
        1 => random.bool().into(),
        2 => random.i64(..).into(),
        3 => random.f64().into(),
        4 => (-random.i64(0..100)).into(),
        5 => name(random).into(),
        6 => "2030-13-45T99:00:00".into(),
        7 => (0..random.usize(0..4)).map(|_| any(random, depth + 1)).collect(),
        _ => Value::Object(
            (0..random.usize(0..4)).map(|_| (name(random), any(random, depth + 1))).collect(),
        ),
    }
}

#[tokio::test(start_paused = true)]
async fn each_of_a_thousand_damaged_messages_is_run_or_kept_and_the_worker_serves_on() {
    let mut random = fastrand::Rng::with_seed(7_400_000_001);
    let circle = Circle::new();
    let log = Log::start();
    let worker = circle.worker();
    for number in 0..MESSAGES {
        let mut message = good(&mut random, number);
        mutate(&mut random, &mut message);
        circle.push("celery", message).await;
        if number % 100 == 0 {
            assert_eq!(circle.done(Add::s(1, 1)).await["result"], 2);
        }
    }
    assert_eq!(circle.done(Add::s(2, 2)).await["result"], 4);
    worker.stop().await;
    assert_eq!(circle.waiting("celery").await, 0);

    account(&log.take(), circle.quarantined("celery").await.len(), [50, 50, 300]);
}

/// Each of the thousand was run to some end, or is kept; and the damage was of all kinds.
fn account(log: &str, kept: usize, least: [usize; 3]) {
    // What the test itself sends, and what fails calls, is none of the thousand.
    let lines = log.lines().filter(|line| !line.contains("Task it.tasks."));
    let mut counts = [("] succeeded in ", 0), ("] raised unexpected: ", 0), ("] expired", 0)];
    for line in lines {
        for (end, count) in &mut counts {
            *count += usize::from(line.contains(*end));
        }
    }
    let run: usize = counts.iter().map(|(_, count)| count).sum();
    assert_eq!(run + kept, MESSAGES, "{counts:?} and {kept} kept");
    let found = [counts[0].1, counts[1].1, kept];
    assert!(found.iter().zip(least).all(|(found, least)| *found >= least), "{found:?}");
}

#[tokio::test]
async fn each_of_a_thousand_damaged_items_in_redis_is_run_or_kept_and_the_worker_serves_on() {
    let all = async {
        let mut random = fastrand::Rng::with_seed(7_400_000_002);
        let circle = Circle::redis();
        let log = Log::start();
        let worker = circle.worker();
        let mut items = Vec::new();
        for number in 0..MESSAGES {
            let mut message = good(&mut random, number);
            message.properties.delivery_tag = format!("{:032x}", random.u128(..));
            let mut item = envelope::to_json(&message, BodyEncoding::Base64);
            for _ in 0..random.usize(1..=3) {
                item = mutate_bytes(&mut random, &item);
            }
            items.push(item);
        }
        for some in items.chunks(100) {
            push_raw(&circle, some.iter().map(Vec::as_slice));
            assert_eq!(circle.done(Add::s(1, 1)).await["result"], 2);
        }
        worker.stop().await;
        assert_eq!(circle.waiting("celery").await, 0);
        account(&log.take(), circle.quarantined("celery").await.len(), [50, 0, 300]);
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("a worker that goes on");
}
