//! Deferred messages: they wait in the broker for their time.

use std::{sync::Arc, time::Duration};

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    broker::{Broker, Scheduled},
    clock, date,
};

use super::*;

const SOON: Duration = Duration::from_millis(300);

async fn defer(delivery: Delivery, due: Timestamp) {
    within(LIMIT, "to defer", delivery.defer(due)).await.expect("a delivery can be deferred");
}

#[track_caller]
fn assert_due(due: Timestamp) {
    // Drivers may write the time in whole milliseconds.
    let early = due.duration_since(clock::now());
    assert!(early.as_millis() <= 1, "it was delivered {early:?} too early");
}

/// A deferred message comes at its time or soon after, never before, and to a consumer that already waits.
pub async fn a_deferred_message_is_delivered_when_due(broker: Arc<dyn Broker>) {
    publish(&broker, "letters", "later").await;
    publish(&broker, "letters", "sooner").await;
    let mut consumer = consume(&broker, &["letters"], 0).await;
    let mut deliveries = take(&mut consumer, 2).await;
    let sooner = clock::now() + SOON;
    let later = sooner + SOON;
    let tag_of_later = tag(&deliveries[0]);
    defer(deliveries.remove(0), later).await;
    defer(deliveries.remove(0), sooner).await;

    let delivery = take_one(&mut consumer).await;
    assert_due(sooner);
    assert_eq!(body(&delivery), "sooner");
    ack(delivery).await;
    let delivery = take_one(&mut consumer).await;
    assert_due(later);
    assert_eq!(body(&delivery), "later");
    assert_eq!(tag(&delivery), tag_of_later, "it is the same copy");
    ack(delivery).await;
    close(consumer).await;
    nothing_is_left(&broker, "letters").await;
}

/// What is due already is delivered without delay.
pub async fn a_message_deferred_to_the_past_is_delivered_at_once(broker: Arc<dyn Broker>) {
    publish(&broker, "letters", "overdue").await;
    let mut consumer = consume(&broker, &["letters"], 1).await;
    defer(take_one(&mut consumer).await, clock::now() - Duration::from_secs(3600)).await;
    let delivery = take_one(&mut consumer).await;
    assert_eq!(body(&delivery), "overdue");
    ack(delivery).await;
}

/// Deferred messages neither use up the prefetch nor count as waiting.
pub async fn a_deferred_message_takes_no_room_and_is_not_counted(broker: Arc<dyn Broker>) {
    let mut consumer = consume(&broker, &["letters"], 1).await;
    let due = clock::now() + Duration::from_secs(3600);
    for body in ["one", "two", "three"] {
        publish(&broker, "letters", body).await;
        defer(take_one(&mut consumer).await, due).await;
    }
    assert_eq!(queue_len(&broker, "letters").await, 0);
    publish(&broker, "letters", "in between").await;
    let delivery = take_one(&mut consumer).await;
    assert_eq!(body(&delivery), "in between");
    ack(delivery).await;
    nothing_comes(&mut consumer).await;
}

/// The broker keeps deferred messages, not the consumer that deferred them.
pub async fn a_deferred_message_survives_its_consumer(broker: Arc<dyn Broker>) {
    publish(&broker, "letters", "patient").await;
    let mut consumer = consume(&broker, &["letters"], 1).await;
    let due = clock::now() + SOON;
    defer(take_one(&mut consumer).await, due).await;
    close(consumer).await;

    let mut another = consume(&broker, &["letters"], 1).await;
    let delivery = take_one(&mut another).await;
    assert_due(due);
    assert_eq!(body(&delivery), "patient");
    ack(delivery).await;
    close(another).await;
    nothing_is_left(&broker, "letters").await;
}

/// What is deferred to its `eta` can be looked at, the soonest first, and is gone from the list when it is due.
pub async fn what_waits_for_its_eta_is_listed(broker: Arc<dyn Broker>) {
    let at = |delay: Duration| clock::now() + delay;
    let dues = [at(SOON), at(Duration::from_secs(7200)), at(Duration::from_secs(60))];
    for (number, due) in dues.iter().enumerate() {
        let mut message = message(&format!("{number}"));
        let eta = date::format(*due, &TimeZone::UTC);
        message.headers.insert("eta", eta.into());
        publish_all(&broker, &[to_queue("letters", message)]).await;
    }
    publish(&broker, "letters", "held").await;
    let mut consumer = consume(&broker, &["letters"], 0).await;
    let mut deliveries = take(&mut consumer, 4).await;
    let held = deliveries.pop();
    for (delivery, due) in deliveries.into_iter().zip(dues) {
        defer(delivery, due).await;
    }

    let letters = ["parcels".to_owned(), "letters".to_owned()];
    let listed = async |queues: &[String], limit: usize| {
        let listed = within(LIMIT, "to look at what waits", broker.scheduled(queues, limit)).await;
        let listed = listed.expect("what waits can be looked at");
        let body = |waits: &Scheduled| {
            assert_eq!(waits.queue, "letters");
            let at: usize = waits.message.headers["id"]
                .as_str()
                .and_then(|id| id.parse().ok())
                .expect("a number");
            assert!(waits.due.duration_since(dues[at]).as_millis().abs() <= 1);
            at
        };
        listed.iter().map(body).collect::<Vec<_>>()
    };
    assert_eq!(listed(&letters, 2).await.first(), Some(&0));
    assert_eq!(listed(&letters[..1], 10).await, Vec::<usize>::new());
    let due = take_one(&mut consumer).await;
    assert_eq!(body(&due), "0");
    assert_eq!(listed(&letters, 10).await, [2, 1]);
    assert_eq!(listed(&letters, 1).await, [2]);
    ack(due).await;
    drop(held);
}
