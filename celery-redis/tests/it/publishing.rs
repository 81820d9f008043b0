//! Many who publish at the same time.

use std::{collections::BTreeSet, sync::Arc};

use celery_core::{
    broker::{Exchange, Publication},
    message::Message,
};
use tokio::{sync::Barrier, task::JoinSet};

use crate::server::{Space, body, message, take, to_queue, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_at_the_same_time_arrives_once_and_each_publishers_in_its_order() {
    let space = Space::new().await;
    let mut publishers = JoinSet::new();
    for publisher in 0..50 {
        let broker = Arc::clone(&space.broker);
        publishers.spawn(async move {
            for number in 0..20 {
                let body = format!("{publisher} {number}");
                broker.publish(&[to_queue("q", message(&body))]).await.unwrap();
            }
        });
    }
    within("all of it", publishers.join_all()).await;
    let mut consumer = space.consume("q").await;
    let mut next = [0; 50];
    let mut tags = BTreeSet::new();
    for delivery in take(&mut consumer, 1000).await {
        let body = body(&delivery);
        let (publisher, number) = body.split_once(' ').unwrap();
        let publisher: usize = publisher.parse().unwrap();
        assert_eq!(number.parse(), Ok(next[publisher]), "of publisher {publisher}");
        next[publisher] += 1;
        tags.insert(delivery.message.as_ref().unwrap().properties.delivery_tag.clone());
        delivery.ack().await.unwrap();
    }
    assert_eq!(next, [20; 50]);
    assert_eq!(tags.len(), 1000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_cannot_be_written_to_harms_nobody_who_publishes_elsewhere() {
    let space = Space::new().await;
    space.ask::<()>("SET", "broken", &["no list"]).await;
    let together = Arc::new(Barrier::new(60));
    let mut publishers = JoinSet::new();
    for number in 0..60 {
        let (broker, together) = (Arc::clone(&space.broker), Arc::clone(&together));
        publishers.spawn(async move {
            together.wait().await;
            let queue = if number % 3 == 0 { "broken" } else { "q" };
            let published = broker.publish(&[to_queue(queue, message("x"))]).await;
            assert_eq!(published.is_err(), queue == "broken", "{published:?}");
        });
    }
    within("all of it", publishers.join_all()).await;
    assert_eq!(space.ask::<u32>("LLEN", "q", &[]).await, 40);
}

#[tokio::test]
async fn a_large_batch_keeps_the_order_of_each_queue() {
    let space = Space::new().await;
    let batch: Vec<_> = (0..3000)
        .map(|number: i32| {
            let queue = if number % 2 == 0 { "even" } else { "odd" };
            to_queue(queue, message(&number.to_string()))
        })
        .collect();
    space.broker.publish(&batch).await.unwrap();
    for (queue, first) in [("even", 0), ("odd", 1)] {
        let mut consumer = space.consume(queue).await;
        let deliveries = take(&mut consumer, 1500).await;
        let bodies: Vec<i32> =
            deliveries.iter().map(|delivery| body(delivery).parse().unwrap()).collect();
        assert_eq!(bodies, (first..3000).step_by(2).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn what_comes_before_a_message_without_a_queue_is_published() {
    let space = Space::new().await;
    let exchange = Exchange::direct("nothing-bound");
    let lost = Publication { exchange, routing_key: "k".to_owned(), message: message("lost") };
    let batch = [to_queue("q", message("one")), lost, to_queue("q", message("two"))];
    let error = space.broker.publish(&batch).await.unwrap_err();
    assert!(error.to_string().contains("no queue is bound to exchange `nothing-bound`"), "{error}");
    assert_eq!(space.ask::<u32>("LLEN", "q", &[]).await, 1);
}

#[tokio::test]
async fn what_a_publisher_is_known_by_is_one_key_and_expires() {
    let space = Space::new().await;
    for body in ["one", "two", "three"] {
        space.publish("q", body).await;
    }
    let pattern = space.key("celery-published.*");
    let keys: Vec<String> = space.raw(&["KEYS", &pattern]).await;
    let [key] = keys.as_slice() else { panic!("{keys:?}") };
    assert_eq!(space.raw::<u64>(&["GET", key]).await, 3);
    let ttl: i64 = space.raw(&["TTL", key]).await;
    assert!((3500..=3600).contains(&ttl), "{ttl}");
}

fn named(queue: &str, name: &str) -> Publication {
    to_queue(queue, Message { once_named: Some(name.to_owned()), ..message(name) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_many_processes_publish_under_one_name_is_there_once() {
    let space = Space::new().await;
    let mut publishers = JoinSet::new();
    for _ in 0..5 {
        let broker = space.beside().await;
        for name in (0..20).map(|number: i32| number.to_string()) {
            let broker = Arc::clone(&broker);
            publishers.spawn(async move { broker.publish(&[named("q", &name)]).await });
        }
    }
    let published = within("all of it", publishers.join_all()).await;
    assert!(published.iter().all(Result::is_ok), "{published:?}");
    let mut consumer = space.consume("q").await;
    let mut bodies = BTreeSet::new();
    for delivery in take(&mut consumer, 20).await {
        bodies.insert(body(&delivery));
        delivery.ack().await.unwrap();
    }
    assert_eq!(bodies.len(), 20);
    assert_eq!(space.ask::<u32>("LLEN", "q", &[]).await, 0);
    let ttl: i64 = space.ask("TTL", "celery-once.7", &[]).await;
    assert!((86_000..=86_400).contains(&ttl), "{ttl}");
}

#[tokio::test]
async fn a_name_is_free_where_nothing_could_be_published_under_it() {
    let space = Space::new().await;
    space.ask::<()>("SET", "broken", &["no list"]).await;
    let refused = space.broker.publish(&[named("broken", "a")]).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(space.ask::<u32>("EXISTS", "celery-once.a", &[]).await, 0);
    space.broker.publish(&[named("q", "a")]).await.unwrap();
    assert_eq!(space.ask::<u32>("LLEN", "q", &[]).await, 1);
}
