//! What options of the transport do to what is in Redis. Those of priorities, fanout, bindings and connections have tests of
//! their own.

use std::time::Duration;

use celery_core::{broker::Settlement, clock};
use jiff::ToSpan;
use serde_json::{Value, json};

use crate::server::{Space, body, take, take_one};

#[tokio::test]
async fn the_books_have_the_names_that_the_options_say() {
    let space = Space::with(json!({ "unacked_key": "mine", "unacked_index_key": "times" })).await;
    let mut consumer = space.consume("q").await;
    space.publish("q", "waits").await;
    take_one(&mut consumer).await.defer(clock::now() + 1.hours()).await.unwrap();
    assert_eq!(space.ask::<u32>("HLEN", "mine", &[]).await, 1);
    assert_eq!(space.ask::<u32>("ZCARD", "times", &[]).await, 1);
    let keys = space.keys().await;
    assert!(!keys.iter().any(|key| key.starts_with("unacked")), "{keys:?}");
}

#[tokio::test]
async fn however_few_are_put_back_at_once_all_are() {
    let space = Space::with(json!({ "unacked_restore_limit": 2 })).await;
    let mut consumer = space.consume("q").await;
    for number in 0..7 {
        space.publish("q", &number.to_string()).await;
    }
    let due = clock::now() + 300.milliseconds();
    for (number, delivery) in (0..).zip(take(&mut consumer, 7).await) {
        delivery.settle_later(Settlement::Defer(due + number.milliseconds()));
    }
    let mut found: Vec<String> = take(&mut consumer, 7).await.iter().map(body).collect();
    found.sort();
    assert_eq!(found, ["0", "1", "2", "3", "4", "5", "6"]);
}

#[tokio::test]
async fn a_body_is_text_where_that_is_asked_for() {
    for (encoding, expected) in
        [(json!("utf-8"), "[1]"), (Value::Null, "[1]"), (json!("base64"), "WzFd")]
    {
        let space = Space::with(json!({ "body_encoding": encoding })).await;
        space.publish("q", "[1]").await;
        let item: String = space.ask("LINDEX", "q", &["0"]).await;
        let envelope: Value = serde_json::from_str(&item).unwrap();
        assert_eq!(envelope["body"], expected, "{encoding}");
        let mut consumer = space.consume("q").await;
        assert_eq!(body(&take_one(&mut consumer).await), "[1]");
    }
}

#[tokio::test]
async fn connections_have_the_name_that_the_options_say() {
    let name = format!("app-{}", uuid::Uuid::new_v4());
    let space = Space::with(json!({ "client_name": name })).await;
    let mut consumer = space.consume("q").await;
    let waits = tokio::time::timeout(Duration::from_millis(1), consumer.next()).await;
    assert!(waits.is_err());
    let clients: String = space.raw(&["CLIENT", "LIST"]).await;
    let named = clients.lines().filter(|line| line.contains(&format!(" name={name} "))).count();
    assert!(named >= 2, "the shared connection and the consumer's: {clients}");
}
