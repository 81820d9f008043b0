//! Channels, and the bindings of those who listen.

use std::time::Duration;

use celery_core::broker::{Exchange, Publication, Queue};
use serde_json::json;

use crate::server::{Space, message, within};

fn listener(exchange: &str, routing_key: &str) -> Queue {
    Queue {
        exchange: Exchange::fanout(exchange),
        routing_key: routing_key.to_owned(),
        expires: Some(Duration::from_secs(10)),
        ..Queue::named("listener")
    }
}

fn to(exchange: &str, routing_key: &str, body: &str) -> Publication {
    Publication {
        exchange: Exchange::fanout(exchange),
        routing_key: routing_key.to_owned(),
        message: message(body),
    }
}

/// The channel that a message goes to, as somebody who listens to everything sees it.
async fn channel(options: serde_json::Value, exchange: &str, routing_key: &str) -> String {
    use futures_util::StreamExt;
    let space = Space::with(options).await;
    let client = deadpool_redis::redis::Client::open(crate::server::url().expose()).unwrap();
    let mut pubsub = client.get_async_pubsub().await.unwrap();
    pubsub.psubscribe(space.key("*")).await.unwrap();
    space.broker.publish(&[to(exchange, routing_key, "x")]).await.unwrap();
    let message = within("the message", pubsub.on_message().next()).await.unwrap();
    message.get_channel_name().strip_prefix(&space.prefix).unwrap().to_owned()
}

#[tokio::test]
async fn the_channel_is_kombus_under_every_option() {
    assert_eq!(channel(json!({}), "celery.pidbox", "").await, "/0.celery.pidbox");
    assert_eq!(
        channel(json!({}), "celeryev", "worker.heartbeat").await,
        "/0.celeryev/worker.heartbeat"
    );
    let mine = json!({ "fanout_prefix": "/mine." });
    assert_eq!(channel(mine, "celery.pidbox", "").await, "/mine.celery.pidbox");
    assert_eq!(
        channel(json!({ "fanout_prefix": false }), "celery.pidbox", "").await,
        "celery.pidbox"
    );
    assert_eq!(
        channel(json!({ "fanout_patterns": false }), "celeryev", "task.custom").await,
        "/0.celeryev"
    );
}

#[tokio::test]
async fn a_pattern_takes_what_it_matches_and_skips_what_is_no_message() {
    let space = Space::new().await;
    let mut events = space.broker.subscribe(&listener("celeryev", "worker.#")).await.unwrap();
    let _: u32 = space.ask("PUBLISH", "/0.celeryev/worker.online", &["{broken"]).await;
    space
        .broker
        .publish(&[to("celeryev", "task.sent", "no"), to("celeryev", "worker.online", "yes")])
        .await
        .unwrap();
    let received = within("the event", events.next()).await.unwrap();
    assert_eq!(&received.body[..], b"yes");
    assert_eq!(received.properties.delivery_info.routing_key, "worker.online");
}

#[tokio::test]
async fn who_listens_is_bound_until_it_closes() {
    let space = Space::new().await;
    let subscription = space.broker.subscribe(&listener("celery.pidbox", "")).await.unwrap();
    let members: Vec<String> = space.ask("SMEMBERS", "_kombu.binding.celery.pidbox", &[]).await;
    assert_eq!(members, ["\u{6}\u{16}\u{6}\u{16}listener"]);
    assert_eq!(space.ask::<u32>("EXISTS", "_kombu.binding_permanent.celery.pidbox", &[]).await, 0);
    subscription.close().await.unwrap();
    assert_eq!(space.keys().await, ["_kombu.binding_deadlines"]);
}
