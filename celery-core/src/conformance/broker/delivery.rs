//! What is published arrives: once, in order, unharmed.

use std::{collections::HashSet, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    broker::Broker,
    message::{Message, Properties},
    value::Map,
};

use super::*;

/// A message is delivered, and only once, to its queue, with where it was published to.
pub async fn a_message_is_delivered_once(broker: Arc<dyn Broker>) {
    publish(&broker, "letters", "hello").await;
    let mut consumer = consume(&broker, &["letters"], 0).await;
    let delivery = take_one(&mut consumer).await;
    assert_eq!(body(&delivery), "hello");
    assert_eq!(delivery.queue, "letters");
    let info = &read(&delivery).properties.delivery_info;
    assert_eq!(
        (info.exchange.as_str(), info.routing_key.as_str(), info.redelivered),
        ("", "letters", false)
    );
    nothing_comes(&mut consumer).await;
    ack(delivery).await;
    nothing_comes(&mut consumer).await;
}

/// A consumer that already waits is woken, whether it began to wait this moment or a while ago.
pub async fn a_publish_is_visible_to_a_waiting_consumer(broker: Arc<dyn Broker>) {
    let mut consumer = consume(&broker, &["letters"], 0).await;
    let ((), delivery) =
        tokio::join!(publish(&broker, "letters", "at once"), take_one(&mut consumer));
    assert_eq!(body(&delivery), "at once");
    ack(delivery).await;

    let mut waiting = pin!(take_one(&mut consumer));
    assert!(
        tokio::time::timeout(WATCH, &mut waiting).await.is_err(),
        "there is nothing to deliver"
    );
    publish(&broker, "letters", "later").await;
    let delivery = waiting.await;
    assert_eq!(body(&delivery), "later");
    ack(delivery).await;
}

/// Within a queue and a priority the first comes first.
pub async fn a_queue_is_first_in_first_out(broker: Arc<dyn Broker>) {
    let numbers: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    for number in &numbers {
        publish(&broker, "letters", number).await;
    }
    let mut consumer = consume(&broker, &["letters"], 7).await;
    let mut seen = Vec::new();
    while seen.len() < numbers.len() {
        let delivery = take_one_of_many(&mut consumer, &mut seen).await;
        ack_all(delivery).await;
    }
    assert_eq!(seen, numbers);
}

async fn take_one_of_many(
    consumer: &mut Box<dyn Consumer>,
    seen: &mut Vec<String>,
) -> Vec<Delivery> {
    let batch = within(LIMIT, "the next deliveries", consumer.next()).await;
    let batch = batch.expect("a consumer can be asked for deliveries");
    seen.extend(bodies(&batch));
    batch
}

/// The messages of a batch are delivered in the order of the batch.
pub async fn a_batch_keeps_its_order(broker: Arc<dyn Broker>) {
    let numbers: Vec<_> = (0..50).map(|number| number.to_string()).collect();
    let batch: Vec<_> = numbers.iter().map(|number| to_queue("letters", message(number))).collect();
    publish_all(&broker, &batch).await;
    let mut consumer = consume(&broker, &["letters"], 0).await;
    let deliveries = take(&mut consumer, 50).await;
    assert_eq!(bodies(&deliveries), numbers);
    ack_all(deliveries).await;
}

/// A batch may be empty.
pub async fn an_empty_batch_publishes_nothing(broker: Arc<dyn Broker>) {
    publish_all(&broker, &[]).await;
}

/// The same message published twice is two messages.
pub async fn each_publish_has_a_tag_of_its_own(broker: Arc<dyn Broker>) {
    let twice = to_queue("letters", message("same"));
    publish_all(&broker, &[twice.clone(), twice]).await;
    let mut consumer = consume(&broker, &["letters"], 0).await;
    let mut deliveries = take(&mut consumer, 2).await;
    assert_ne!(tag(&deliveries[0]), tag(&deliveries[1]));
    assert!(!tag(&deliveries[0]).is_empty());
    ack(deliveries.remove(0)).await;
    drop(deliveries);
    ack(take_one(&mut consumer).await).await;
    nothing_is_left(&broker, "letters").await;
}

/// Whatever a message says arrives, known or not; only the delivery's own properties are the driver's.
pub async fn every_field_of_a_message_survives(broker: Arc<dyn Broker>) {
    let headers = json!({
        "id": "1f2c", "task": "proj.tasks.add", "retries": 3, "timelimit": [null, 1.5], "eta": null,
        "utc": true, "a custom header": { "nested": ["ünïcode ✓ 🥬", { "deep": -1 }] }, "big": 9_007_199_254_740_993_u64,
    });
    let sent = Message {
        body: Bytes::from_static(br#"[[1, "\u00e9"], {}, {"chain": null}]"#),
        content_type: Some("application/json".to_owned()),
        content_encoding: Some("utf-8".to_owned()),
        headers: object(headers).into(),
        properties: Properties {
            correlation_id: Some("the correlation".to_owned()),
            reply_to: Some("the answers".to_owned()),
            expiration: Some("86400000".to_owned()),
            delivery_mode: Some(2),
            priority: Some(3),
            extra: object(json!({ "app_id": "another client", "unknown": { "a": [1] } })),
            ..Properties::default()
        },
        extra: object(json!({ "x-of-a-later-version": [1, { "b": "c" }] })),
        ..Message::default()
    };
    publish_all(&broker, &[to_queue("letters", sent.clone())]).await;
    let mut consumer = consume(&broker, &["letters"], 0).await;
    let delivery = take_one(&mut consumer).await;

    let mut came = read(&delivery).clone();
    assert_eq!(came.properties.delivery_info.routing_key, "letters");
    // What the driver fills in is not compared.
    came.properties.delivery_info = sent.properties.delivery_info.clone();
    came.properties.delivery_tag = sent.properties.delivery_tag.clone();
    assert_eq!(came, sent);
    ack(delivery).await;
}

fn object(value: Value) -> Map {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

/// A body is bytes: any of them, or none.
pub async fn bodies_may_be_binary_or_empty(broker: Arc<dyn Broker>) {
    let all_bytes: Bytes = (0..=u8::MAX).collect();
    let sent =
        [all_bytes, Bytes::new(), Bytes::from_static(b"\0"), Bytes::from_static(b"\xff\xfe\0text")];
    let mut consumer = consume(&broker, &["letters"], 0).await;
    for body in sent {
        let binary = Message {
            body: body.clone(),
            content_type: Some("application/x-python-serialize".to_owned()),
            content_encoding: Some("binary".to_owned()),
            ..message("binary")
        };
        publish_all(&broker, &[to_queue("letters", binary)]).await;
        let delivery = take_one(&mut consumer).await;
        assert_eq!(read(&delivery).body, body);
        assert_eq!(read(&delivery).content_encoding.as_deref(), Some("binary"));
        ack(delivery).await;
    }
}

/// Five megabytes are no trouble.
pub async fn a_large_message_survives(broker: Arc<dyn Broker>) {
    let large: Bytes =
        (0..5_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let sent = Message {
        body: large.clone(),
        content_encoding: Some("binary".to_owned()),
        ..message("large")
    };
    publish_all(&broker, &[to_queue("letters", sent)]).await;
    let mut consumer = consume(&broker, &["letters"], 0).await;
    let delivery = take_one(&mut consumer).await;
    assert!(read(&delivery).body == large, "the body was changed on its way");
    ack(delivery).await;
    nothing_is_left(&broker, "letters").await;
}

/// `next` is cancelled again and again while messages arrive, and each message is delivered once all the same.
pub async fn cancelling_next_loses_nothing(broker: Arc<dyn Broker>) {
    const MESSAGES: usize = 300;
    let mut consumer = consume(&broker, &["letters"], 5).await;
    let publisher = {
        let broker = Arc::clone(&broker);
        tokio::spawn(async move {
            for number in 0..MESSAGES {
                publish(&broker, "letters", &number.to_string()).await;
                tokio::task::yield_now().await;
            }
        })
    };
    let mut seen = HashSet::new();
    let mut round = 0_u32;
    within(3 * LIMIT, "all messages", async {
        while seen.len() < MESSAGES {
            round = round.wrapping_add(1);
            let Some(batch) = next_for_a_moment(&mut consumer, round).await else { continue };
            for delivery in batch {
                assert!(seen.insert(body(&delivery)), "{} was delivered twice", body(&delivery));
                ack(delivery).await;
            }
        }
    })
    .await;
    within(LIMIT, "the publisher to end", publisher).await.expect("publishing does not fail");
    close(consumer).await;
    nothing_is_left(&broker, "letters").await;
}

/// Asks for deliveries, and gives up after a moment that differs from round to round: so many turns of the runtime,
/// which a driver in memory is caught by, or so many microseconds, which one with a server is caught by.
async fn next_for_a_moment(consumer: &mut Box<dyn Consumer>, round: u32) -> Option<Vec<Delivery>> {
    let next = consumer.next();
    let given_up = async {
        if round.is_multiple_of(2) {
            for _ in 0..round % 7 {
                tokio::task::yield_now().await;
            }
        } else {
            // The runtime's timer counts milliseconds.
            tokio::time::sleep(Duration::from_micros(u64::from(round * 137 % 4000))).await;
        }
    };
    tokio::select! {
        biased;
        batch = next => Some(batch.expect("a consumer can be asked for deliveries")),
        () = given_up => None,
    }
}
