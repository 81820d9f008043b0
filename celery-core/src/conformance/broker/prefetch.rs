//! How much a consumer takes, and what it leaves when it goes.

use std::{sync::Arc, time::Duration};

use crate::{
    broker::{Broker, Settlement},
    clock,
};

use super::*;

/// No more is out than the prefetch says, until something is settled.
pub async fn the_prefetch_is_a_limit_and_settling_makes_room(broker: Arc<dyn Broker>) {
    for body in ["a", "b", "c", "d"] {
        publish(&broker, "letters", body).await;
    }
    let mut consumer = consume(&broker, &["letters"], 2).await;
    let mut out = take(&mut consumer, 2).await;
    assert_eq!(bodies(&out), ["a", "b"]);
    nothing_comes(&mut consumer).await;

    // Room is made while `next` already waits for it.
    let (delivery, ()) = tokio::join!(take_one(&mut consumer), ack(out.remove(0)));
    assert_eq!(body(&delivery), "c");
    nothing_comes(&mut consumer).await;
    ack(delivery).await;
    ack_all(out).await;
    ack(take_one(&mut consumer).await).await;
}

/// Each way of settling, and dropping, ends the delivery's part in the prefetch.
pub async fn every_way_of_settling_makes_room(broker: Arc<dyn Broker>) {
    let far_off = clock::now() + Duration::from_secs(3600);
    let ways = [
        Some(Settlement::Ack),
        Some(Settlement::Reject),
        Some(Settlement::Defer(far_off)),
        Some(Settlement::Quarantine("for the test".to_owned())),
        Some(Settlement::Requeue),
        Some(Settlement::HandBack),
        None,
    ];
    for _ in &ways {
        publish(&broker, "letters", "a letter").await;
    }
    let mut consumer = consume(&broker, &["letters"], 1).await;
    for how in ways {
        let delivery = take_one(&mut consumer).await;
        match how {
            Some(how) => within(LIMIT, "to settle", delivery.settle(how))
                .await
                .expect("a delivery can be settled"),
            None => drop(delivery),
        }
    }
    ack(take_one(&mut consumer).await).await;
}

/// A consumer's prefetch can be raised and lowered.
pub async fn a_changed_prefetch_takes_effect(broker: Arc<dyn Broker>) {
    for body in ["a", "b", "c", "d", "e"] {
        publish(&broker, "letters", body).await;
    }
    let mut consumer = consume(&broker, &["letters"], 1).await;
    let first = take_one(&mut consumer).await;
    consumer.set_prefetch(at_most(3));
    let mut out = take(&mut consumer, 2).await;
    nothing_comes(&mut consumer).await;

    consumer.set_prefetch(at_most(1));
    ack(first).await;
    nothing_comes(&mut consumer).await;
    ack(out.remove(0)).await;
    nothing_comes(&mut consumer).await;
    ack_all(out).await;
    let out = take_one(&mut consumer).await;
    assert_eq!(body(&out), "d");

    consumer.set_prefetch(None);
    let last = take_one(&mut consumer).await;
    assert_eq!(body(&last), "e");
    ack(out).await;
    ack(last).await;
}

/// What was not handed over is back in the queue when `close` returns.
pub async fn a_closed_consumer_hands_back_what_it_fetched(broker: Arc<dyn Broker>) {
    for body in ["a", "b", "c"] {
        publish(&broker, "letters", body).await;
    }
    let mut consumer = consume(&broker, &["letters"], 1).await;
    let out = take_one(&mut consumer).await;
    close(consumer).await;
    assert_eq!(queue_len(&broker, "letters").await, 2);
    let mut consumer = consume(&broker, &["letters"], 0).await;
    let rest = take(&mut consumer, 2).await;
    assert_eq!(bodies(&rest), ["b", "c"]);
    ack(out).await;
    ack_all(rest).await;
}

/// Closing a consumer stops the fetching, not the work that is under way.
pub async fn deliveries_out_at_close_can_still_be_settled(broker: Arc<dyn Broker>) {
    for body in ["acknowledged", "handed back", "dropped"] {
        publish(&broker, "letters", body).await;
    }
    let mut consumer = consume(&broker, &["letters"], 0).await;
    let mut out = take(&mut consumer, 3).await.into_iter();
    let mut out = || out.next().expect("three were taken");
    close(consumer).await;
    assert_eq!(queue_len(&broker, "letters").await, 0, "what is out stays out");

    ack(out()).await;
    within(LIMIT, "to hand back", out().hand_back()).await.expect("a delivery can be handed back");
    drop(out());
    let mut consumer = consume(&broker, &["letters"], 0).await;
    let again = take(&mut consumer, 2).await;
    let mut came = bodies(&again);
    came.sort();
    assert_eq!(came, ["dropped", "handed back"]);
    ack_all(again).await;
    close(consumer).await;
    nothing_is_left(&broker, "letters").await;
}
