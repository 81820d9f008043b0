//! What is known of messages whose workers die: which of them had begun.

use std::sync::Arc;

use celery_core::{
    broker::{Broker, Delivery, Queue},
    clock,
};
use serde_json::json;

use crate::server::{Space, body, message, take, take_one, to_queue};

in_both_registries! {
    of_all_that_a_dead_worker_held_only_what_had_begun_is_counted_again
    what_has_begun_is_counted_also_when_it_has_been_held_for_long
    what_was_taken_over_is_not_begun
}

fn count(delivery: &Delivery) -> u32 {
    delivery.message.as_ref().unwrap().properties.delivery_info.delivery_count
}

async fn process(space: &Space) -> String {
    let processes: Vec<String> = space.ask("ZRANGE", "celery-processes", &["0", "-1"]).await;
    processes[0].clone()
}

async fn silence(space: &Space, process: &str) {
    space.is_up_for_long().await;
    let silent_since = (clock::now().as_second() - 31).to_string();
    let _: u32 = space.ask("ZADD", "celery-processes", &[&silent_since, process]).await;
}

/// Takes what another process puts back, with how often each was lost, sorted.
async fn rescued(other: &Arc<dyn Broker>, number: usize) -> Vec<(String, u32)> {
    let mut living = other.consume(&[Queue::named("q")], None).await.unwrap();
    let mut found = Vec::new();
    for delivery in take(&mut living, number).await {
        found.push((body(&delivery), count(&delivery)));
        delivery.ack().await.unwrap();
    }
    found.sort();
    found
}

async fn publish_lost(space: &Space, bodies: &[&str]) {
    for body in bodies {
        let mut message = message(body);
        message.mark_lost();
        space.broker.publish(&[to_queue("q", message)]).await.unwrap();
    }
}

async fn of_all_that_a_dead_worker_held_only_what_had_begun_is_counted_again(registry: &str) {
    let space = Space::of(registry, json!({})).await;
    publish_lost(&space, &["begun", "waits"]).await;
    space.publish("q", "first time").await;
    let mut dead = space.consume("q").await;
    let held = take(&mut dead, 3).await;
    held[0].begin(true).await.unwrap();
    // It may be said twice.
    held[0].begin(true).await.unwrap();
    silence(&space, &process(&space).await).await;
    let other = space.beside().await;
    let found = rescued(&other, 3).await;
    let of = |body: &str, count| (body.to_owned(), count);
    assert_eq!(found, [of("begun", 2), of("first time", 1), of("waits", 1)]);
    drop(held);
}

async fn what_has_begun_is_counted_also_when_it_has_been_held_for_long(registry: &str) {
    let space = Space::of(registry, json!({})).await;
    publish_lost(&space, &["before", "after"]).await;
    let mut dead = space.consume("q").await;
    let held = take(&mut dead, 2).await;
    held[0].begin(true).await.unwrap();
    space.recorded(2).await;
    held[1].begin(true).await.unwrap();
    silence(&space, &process(&space).await).await;
    let other = space.beside().await;
    let found = rescued(&other, 2).await;
    assert_eq!(found, [("after".to_owned(), 2), ("before".to_owned(), 2)]);
    drop(held);
}

async fn what_was_taken_over_is_not_begun(registry: &str) {
    let space = Space::of(registry, json!({})).await;
    space.publish("q", "one").await;
    let mut sleeper = space.consume("q").await;
    let held = take_one(&mut sleeper).await;
    held.begin(false).await.unwrap();
    silence(&space, &process(&space).await).await;
    let other = space.beside().await;
    assert_eq!(rescued(&other, 1).await, [("one".to_owned(), 1)]);
    let refused = held.begin(true).await.unwrap_err();
    let why = std::error::Error::source(&refused).unwrap().to_string();
    assert!(why.contains("taken over by another"), "{why}");
}
