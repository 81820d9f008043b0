//! Beside kombu itself, on the same keys.

use std::process::Stdio;

use celery_core::{clock, value::Value};
use jiff::ToSpan;
use serde_json::json;

use crate::server::{Space, body, take, take_one, url, variable, within};

/// Has kombu do something in the namespace, and returns what it prints.
async fn kombu(space: &Space, words: &[&str]) -> String {
    let (action, rest) = words.split_first().unwrap();
    let command = std::process::Command::new(variable("CELERY_TEST_PYTHON"))
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/kombu_peer.py"))
        .args([action, url().expose(), &space.prefix])
        .args(rest)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = within("kombu", tokio::task::spawn_blocking(|| command.wait_with_output()))
        .await
        .unwrap()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn kombu_consumes_what_we_publish() {
    let space = Space::new().await;
    space.publish("q", "hello").await;
    let seen: Value = serde_json::from_str(&kombu(&space, &["consume", "q"]).await).unwrap();
    assert_eq!(seen["body"], "hello");
    assert_eq!(seen["info"], json!({ "exchange": "", "routing_key": "q" }));
    assert_eq!(space.ask::<u32>("HLEN", "unacked", &[]).await, 0);
}

#[tokio::test]
async fn we_consume_what_kombu_publishes() {
    let space = Space::new().await;
    let mut consumer = space.consume("q").await;
    kombu(&space, &["publish", "q", "5"]).await;
    let delivery = take_one(&mut consumer).await;
    assert_eq!(body(&delivery), r#"{"from": "python"}"#);
    let message = delivery.message.as_ref().unwrap();
    assert_eq!((message.properties.priority, &message.headers["é"]), (Some(5), &json!(1)));
    delivery.ack().await.unwrap();
}

#[tokio::test]
async fn kombu_restores_what_we_deferred_and_leaves_what_we_hold() {
    let space = Space::new().await;
    let mut consumer = space.consume("q").await;
    let _: u32 = space.ask("LPUSH", "q", &["{broken"]).await;
    let broken = take_one(&mut consumer).await;
    space.publish("q", "held").await;
    let held = take_one(&mut consumer).await;
    space.publish("q", "deferred").await;
    take_one(&mut consumer).await.defer(clock::now() + 1.hours()).await.unwrap();
    consumer.close().await.unwrap();
    space.recorded(3).await;
    // An hour passes for the two that are not ours any more; our keeper has no part in it, since it looks only
    // when something is due by what it read last.
    let tags: Vec<String> = space.ask("ZRANGE", "unacked_index", &["0", "-1"]).await;
    let held_tag = &held.message.as_ref().unwrap().properties.delivery_tag;
    for tag in tags.iter().filter(|tag| *tag != held_tag) {
        let _: u32 = space.ask("ZADD", "unacked_index", &["1000", tag]).await;
    }
    kombu(&space, &["restore", "q"]).await;

    assert_eq!(space.broker.queue_len("q").await.unwrap(), 2);
    assert_eq!(
        space.ask::<Vec<String>>("HKEYS", "unacked", &[]).await,
        std::slice::from_ref(held_tag)
    );
    held.ack().await.unwrap();
    drop(broken);

    let mut consumer = space.consume("q").await;
    for delivery in take(&mut consumer, 2).await {
        match &delivery.message {
            Ok(message) => {
                assert_eq!(&message.body[..], b"deferred");
                assert!(message.properties.delivery_info.redelivered);
            }
            // It came back in its wrapping, and is seen through it.
            Err(malformed) => assert_eq!(&malformed.raw[..], b"{broken"),
        }
        delivery.ack().await.unwrap();
    }
}
