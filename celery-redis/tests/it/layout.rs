//! What a publisher leaves in Redis, held against captures of Celery: key by key, type, lifetime and members.

use std::{collections::BTreeMap, time::Duration};

use celery_core::{
    broker::{Exchange, Publication, Queue},
    envelope,
    value::Value,
};
use serde_json::json;

use crate::server::{Space, message, to_queue};

fn capture(name: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("../fixtures/layouts.json")).unwrap();
    all[name].clone()
}

/// Publishes the capture's messages anew.
fn publications(capture: &Value, exchange: Option<&(Exchange, &str)>) -> Vec<Publication> {
    let messages = capture["messages"].as_array().unwrap().iter();
    let messages =
        messages.map(|it| envelope::from_json(it["raw"].as_str().unwrap().as_bytes()).unwrap());
    let publish = |message: celery_core::message::Message| {
        let info = &message.properties.delivery_info;
        let (exchange, key) =
            exchange.cloned().unwrap_or((Exchange::anonymous(), &info.routing_key));
        Publication { exchange, routing_key: key.to_owned(), message: message.clone() }
    };
    messages.map(publish).collect()
}

#[track_caller]
fn same(found: &BTreeMap<String, Value>, expected: &BTreeMap<String, Value>) {
    assert_eq!(found, expected);
}

async fn layout(space: &Space) -> BTreeMap<String, Value> {
    let mut layout = BTreeMap::new();
    for key in space.keys().await {
        let kind: String = space.ask("TYPE", &key, &[]).await;
        let ttl: i64 = space.ask("TTL", &key, &[]).await;
        let mut entry = json!({ "type": kind, "ttl": if ttl < 0 { ttl } else { tens(ttl) } });
        if kind == "set" {
            let mut members: Vec<String> = space.ask("SMEMBERS", &key, &[]).await;
            members.sort();
            entry["members"] = json!(members);
        }
        layout.insert(key, entry);
    }
    layout
}

/// Seconds to the nearest ten: the capture was read at once, ours a moment later.
fn tens(seconds: i64) -> i64 {
    (seconds + 5).div_euclid(10)
}

fn expected(capture: &Value) -> BTreeMap<String, Value> {
    let keys = capture["redis_after"].as_object().unwrap().iter();
    let coarse = |(key, entry): (&String, &Value)| {
        let mut entry = entry.clone();
        if let Some(ttl) = entry["ttl"].as_i64().filter(|ttl| *ttl >= 0) {
            entry["ttl"] = tens(ttl).into();
        }
        (key.clone(), entry)
    };
    keys.map(coarse).collect()
}

async fn check(
    name: &str,
    queues: &[Queue],
    exchange: Option<(Exchange, &str)>,
    number: usize,
) -> (Space, Value) {
    let capture = capture(name);
    let space = Space::with(capture["transport_options"].clone()).await;
    for queue in queues {
        space.broker.declare(queue).await.unwrap();
    }
    let batch = publications(&capture, exchange.as_ref());
    space.broker.publish(&batch[..number]).await.unwrap();
    same(&layout(&space).await, &expected(&capture));
    (space, capture)
}

#[tokio::test]
async fn a_message_to_the_default_queue() {
    let (space, capture) = check("unix_socket", &[], None, 1).await;
    // Byte for byte but for the tag, which is new for each copy.
    let mut items: Vec<String> = space.ask("LRANGE", "celery", &["0", "-1"]).await;
    let found = items.remove(0);
    let raw = capture["messages"][0]["raw"].as_str().unwrap();
    let tag = |text: &str| envelope::from_json(text.as_bytes()).unwrap().properties.delivery_tag;
    assert_ne!(tag(&found), tag(raw));
    assert_eq!(found.replace(&tag(&found), &tag(raw)), raw);
}

#[tokio::test]
async fn ten_priorities_with_steps_and_a_separator_of_their_own() {
    check("priority_steps", &[], None, 10).await;
}

#[tokio::test]
async fn a_queue_that_expires() {
    let queue = Queue {
        exchange: Exchange::direct("celery"),
        expires: Some(Duration::from_secs(30)),
        ..Queue::named("short")
    };
    let (space, _) = check("queue_expires", &[queue], None, 1).await;
    let deadlines: Vec<(String, f64)> =
        space.ask("ZRANGE", "_kombu.binding_deadlines", &["0", "-1", "WITHSCORES"]).await;
    let in_an_hour = celery_core::clock::now().as_millisecond() as f64 + 3_600_000.0;
    assert_eq!(deadlines[0].0, "celery");
    assert!((deadlines[0].1 - in_an_hour).abs() < 60_000.0, "{deadlines:?}");
}

#[tokio::test]
async fn a_topic_exchange_with_three_queues() {
    let exchange = Exchange::topic("tx");
    let queue = |name: &str, key: &str| Queue {
        exchange: exchange.clone(),
        routing_key: key.to_owned(),
        ..Queue::named(name)
    };
    let queues = [queue("q1", "a.*"), queue("q2", "a.#"), queue("q3", "b.c")];
    check("topic_exchange", &queues, Some((exchange.clone(), "a.b")), 1).await;
}

#[tokio::test]
async fn a_dead_letter_queue_gets_what_no_binding_matches() {
    let exchange = Exchange::direct("nowhere");
    check("deadletter_queue", &[Queue::named("celery")], Some((exchange, "nokey")), 1).await;
}

#[tokio::test]
async fn deleting_a_queue_leaves_nothing() {
    let space = Space::new().await;
    let queue = Queue::named("q");
    space.broker.declare(&queue).await.unwrap();
    let mut urgent = message("urgent");
    urgent.properties.priority = Some(9);
    space.broker.publish(&[to_queue("q", message("one")), to_queue("q", urgent)]).await.unwrap();
    space.broker.delete(&queue).await.unwrap();
    assert_eq!(space.keys().await, Vec::<String>::new());
}

#[tokio::test]
async fn replies_to_a_client_that_died_expire() {
    let space = Space::new().await;
    let exchange = Exchange::direct("reply.celery.pidbox");
    let queue = Queue {
        exchange: exchange.clone(),
        routing_key: "an-oid".to_owned(),
        expires: Some(Duration::from_secs(10)),
        ..Queue::named("an-oid.reply.celery.pidbox")
    };
    // The client makes its queue known, and dies. A worker knows no more of it than where it is bound.
    space.broker.declare(&queue).await.unwrap();
    let worker = Space::another(&space.prefix, json!({})).await;
    let reply =
        Publication { exchange, routing_key: "an-oid".to_owned(), message: message("pong") };
    worker.publish(&[reply]).await.unwrap();
    let left: i64 = space.ask("PTTL", &queue.name, &[]).await;
    assert!((1..=3_600_000).contains(&left), "{left}");
    // A queue of tasks that is called alike is none of those.
    space.publish("reply.celery", "a task").await;
    assert_eq!(space.ask::<i64>("PTTL", "reply.celery", &[]).await, -1);
}
