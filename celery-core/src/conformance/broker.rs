//! What every broker must do.
//!
//! The cases go through `dyn Broker`, `dyn Consumer` and `dyn Subscription` alone, so they also show that the seam is
//! object safe.

mod deferral;
mod delivery;
mod exchanges;
mod prefetch;
mod queues;
mod sets;
mod settling;

use std::{num::NonZeroU32, sync::Arc};

use serde_json::json;

use crate::{
    broker::{Broker, Consumer, Delivery, Exchange, Prefetch, Publication, Queue},
    message::{Message, Properties},
};

use super::{LIMIT, WATCH, within};

pub use self::{
    deferral::*, delivery::*, exchanges::*, prefetch::*, queues::*, sets::*, settling::*,
};

/// Makes a test of each case of the broker suite; see [`conformance`](crate::conformance).
#[macro_export]
macro_rules! broker_conformance {
    ($setup:expr) => {
        $crate::__conformance_cases! { broker, $setup,
            a_message_is_delivered_once
            a_publish_is_visible_to_a_waiting_consumer
            a_queue_is_first_in_first_out
            a_batch_keeps_its_order
            an_empty_batch_publishes_nothing
            each_publish_has_a_tag_of_its_own
            every_field_of_a_message_survives
            bodies_may_be_binary_or_empty
            a_large_message_survives
            cancelling_next_loses_nothing

            an_ack_is_final
            a_reject_without_requeue_is_final
            a_requeue_goes_to_the_back
            a_hand_back_goes_to_the_front
            a_dropped_delivery_comes_back
            what_comes_back_is_marked_and_keeps_its_tag
            what_is_lost_is_counted
            what_is_settled_later_is_settled
            what_follows_is_published_with_the_settlement
            what_has_a_name_is_published_once
            what_has_a_name_is_published_once_with_a_settlement_or_without
            a_quarantined_message_is_kept_and_not_delivered_again
            what_is_requeued_from_the_quarantine_starts_anew
            what_is_dropped_from_the_quarantine_is_gone

            the_prefetch_is_a_limit_and_settling_makes_room
            every_way_of_settling_makes_room
            a_changed_prefetch_takes_effect
            a_closed_consumer_hands_back_what_it_fetched
            deliveries_out_at_close_can_still_be_settled

            lower_priorities_are_served_first
            priority_goes_before_the_order_of_queues
            a_consumer_serves_several_queues
            two_consumers_share_a_queue
            a_queue_has_a_length_and_can_be_purged
            a_deleted_queue_is_forgotten
            a_consumer_changes_its_queues
            a_consumer_whose_queue_was_taken_away_while_it_waited_hears_of_a_new_one
            every_binding_is_listed_once

            a_direct_exchange_routes_by_key
            a_topic_exchange_routes_by_pattern
            queues_with_one_binding_get_a_copy_each
            what_no_queue_is_bound_for_is_unroutable
            a_fanout_reaches_every_subscriber_and_nobody_later
            a_subscriber_hears_what_its_pattern_matches

            a_deferred_message_is_delivered_when_due
            a_message_deferred_to_the_past_is_delivered_at_once
            a_deferred_message_takes_no_room_and_is_not_counted
            a_deferred_message_survives_its_consumer
            what_waits_for_its_eta_is_listed

            a_shared_set_keeps_its_members_in_order
            a_shared_set_has_a_limit
            a_member_of_a_shared_set_expires
            a_shared_set_tells_which_it_has
            a_member_may_outlast_what_waits
        }
    };
}

fn message(body: &str) -> Message {
    let properties =
        Properties { correlation_id: Some(format!("id-of-{body}")), ..Properties::default() };
    Message {
        body: body.to_owned().into(),
        content_type: Some("application/json".to_owned()),
        content_encoding: Some("utf-8".to_owned()),
        headers: [("id".to_owned(), json!(body))].into_iter().collect(),
        properties,
        ..Message::default()
    }
}

fn to_queue(queue: &str, message: Message) -> Publication {
    Publication { exchange: Exchange::anonymous(), routing_key: queue.to_owned(), message }
}

async fn publish_all(broker: &Arc<dyn Broker>, batch: &[Publication]) {
    within(LIMIT, "to publish", broker.publish(batch))
        .await
        .expect("a routable batch can be published");
}

async fn publish(broker: &Arc<dyn Broker>, queue: &str, body: &str) {
    publish_all(broker, &[to_queue(queue, message(body))]).await;
}

async fn declare(broker: &Arc<dyn Broker>, queue: &Queue) {
    within(LIMIT, "to declare a queue", broker.declare(queue))
        .await
        .expect("a queue can be declared");
}

async fn queue_len(broker: &Arc<dyn Broker>, queue: &str) -> u64 {
    within(LIMIT, "the length of a queue", broker.queue_len(queue))
        .await
        .expect("a queue has a length")
}

fn at_most(prefetch: u32) -> Prefetch {
    NonZeroU32::new(prefetch)
}

/// Consumes from queues that are bound as Celery binds them; a prefetch of 0 is no limit.
async fn consume(broker: &Arc<dyn Broker>, queues: &[&str], prefetch: u32) -> Box<dyn Consumer> {
    let queues: Vec<_> = queues.iter().copied().map(Queue::named).collect();
    let consumer = broker.consume(&queues, at_most(prefetch));
    within(LIMIT, "to consume", consumer).await.expect("declared queues can be consumed from")
}

async fn close(consumer: Box<dyn Consumer>) {
    within(LIMIT, "to close a consumer", consumer.close()).await.expect("a consumer can be closed");
}

/// Takes exactly so many deliveries, in the order of their coming.
async fn take(consumer: &mut Box<dyn Consumer>, number: usize) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while taken.len() < number {
        let what = format!("delivery {} of {number}", taken.len() + 1);
        let batch = within(LIMIT, &what, consumer.next())
            .await
            .expect("a consumer can be asked for deliveries");
        assert!(!batch.is_empty(), "`next` waits until there is at least one message");
        taken.extend(batch);
    }
    assert_eq!(taken.len(), number, "more was delivered than expected: {:?}", bodies(&taken));
    taken
}

async fn take_one(consumer: &mut Box<dyn Consumer>) -> Delivery {
    take(consumer, 1).await.remove(0)
}

/// Fails when the consumer hands anything over.
async fn nothing_comes(consumer: &mut Box<dyn Consumer>) {
    if let Ok(batch) = tokio::time::timeout(WATCH, consumer.next()).await {
        panic!("nothing was to be delivered, but this was: {batch:?}");
    }
}

/// Fails when anything is in the queue before what is published now: a message that is gone stays gone.
async fn nothing_is_left(broker: &Arc<dyn Broker>, queue: &str) {
    assert_eq!(queue_len(broker, queue).await, 0, "the queue is to be empty");
    let mut consumer = consume(broker, &[queue], 1).await;
    publish(broker, queue, "the only one").await;
    let delivery = take_one(&mut consumer).await;
    assert_eq!(body(&delivery), "the only one");
    ack(delivery).await;
    close(consumer).await;
}

async fn ack(delivery: Delivery) {
    within(LIMIT, "to acknowledge", delivery.ack()).await.expect("a delivery can be acknowledged");
}

async fn ack_all(deliveries: Vec<Delivery>) {
    for delivery in deliveries {
        ack(delivery).await;
    }
}

fn read(delivery: &Delivery) -> &Message {
    delivery.message.as_ref().expect("what was published by this very driver can be read")
}

fn body(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&read(delivery).body).into_owned()
}

fn bodies(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(body).collect()
}

fn tag(delivery: &Delivery) -> String {
    read(delivery).properties.delivery_tag.clone()
}
