//! The batches of a worker's own: how they look on the server, and what becomes of those that are left.

use celery_core::{
    broker::{Broker, Consumer, Delivery, Queue, Settlement},
    clock,
};
use serde_json::{Value, json};

use crate::server::{Space, body, take, take_one};

/// The only process that is known to the server.
async fn process(space: &Space) -> String {
    let processes: Vec<String> = space.ask("ZRANGE", "celery-processes", &["0", "-1"]).await;
    assert_eq!(processes.len(), 1);
    processes[0].clone()
}

/// The batches of a process, by their numbers: what is done with in each, and its queue.
async fn batches(space: &Space, process: &str) -> Vec<(u64, String)> {
    let key = format!("celery-pending.{process}");
    let mut batches: Vec<(u64, String)> = space.ask("HGETALL", &key, &[]).await;
    batches.sort();
    batches
}

/// For the server the process has been silent for longer than it may.
async fn silence(space: &Space, process: &str) {
    space.is_up_for_long().await;
    let silent_since = (clock::now().as_second() - 31).to_string();
    let _: u32 = space.ask("ZADD", "celery-processes", &[&silent_since, process]).await;
}

async fn items(space: &Space, list: &str) -> Vec<String> {
    space.ask("LRANGE", list, &["0", "-1"]).await
}

fn count(delivery: &Delivery) -> (bool, u32) {
    let info = &delivery.message.as_ref().unwrap().properties.delivery_info;
    (info.redelivered, info.delivery_count)
}

async fn consume(broker: &std::sync::Arc<dyn Broker>, queue: &str) -> Box<dyn Consumer> {
    broker.consume(&[Queue::named(queue)], None).await.unwrap()
}

#[tokio::test]
async fn what_is_taken_is_in_a_batch_as_it_was_and_is_struck_off_by_its_place() {
    let space = Space::new().await;
    for body in ["a", "b", "c", "d"] {
        space.publish("q", body).await;
    }
    let mut waiting = items(&space, "q").await;
    waiting.reverse();
    let mut consumer = space.consume("q").await;
    let [a, b, c, d] = <[_; 4]>::try_from(take(&mut consumer, 4).await).unwrap();

    let process = process(&space).await;
    let found = batches(&space, &process).await;
    let [(number, states)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(states, "....:q");
    let list = format!("celery-pending.{process}.{number}");
    assert_eq!(items(&space, &list).await, waiting);

    b.ack().await.unwrap();
    c.reject(false).await.unwrap();
    assert_eq!(batches(&space, &process).await, [(*number, ".dd.:q".to_owned())]);
    d.reject(true).await.unwrap();
    assert_eq!(batches(&space, &process).await, [(*number, ".ddd:q".to_owned())]);
    a.ack().await.unwrap();
    let left = space.keys().await;
    assert!(!left.iter().any(|key| key.starts_with("celery-pending")), "{left:?}");
    assert_eq!(items(&space, "q").await.len(), 1);
}

#[tokio::test]
async fn a_batch_is_of_one_queue_and_of_all_its_priorities() {
    let space = Space::new().await;
    for (queue, body, priority) in [("a", "a9", 9), ("b", "b0", 0), ("a", "a0", 0), ("b", "b3", 3)]
    {
        space.publish_with(queue, body, Some(priority)).await;
    }
    let queues = [Queue::named("a"), Queue::named("b")];
    let mut consumer = space.broker.consume(&queues, None).await.unwrap();
    let taken = take(&mut consumer, 4).await;
    assert_eq!(taken.iter().map(body).collect::<Vec<_>>(), ["a0", "b0", "b3", "a9"]);
    let process = process(&space).await;
    let found: Vec<String> = batches(&space, &process).await.into_iter().map(|it| it.1).collect();
    assert_eq!(found, ["..:a", "..:b"]);
    for delivery in taken.into_iter().rev() {
        delivery.hand_back().await.unwrap();
    }
    let taken = take(&mut consumer, 4).await;
    assert_eq!(taken.iter().map(body).collect::<Vec<_>>(), ["a0", "b0", "b3", "a9"]);
}

#[tokio::test]
async fn what_is_held_for_more_than_a_moment_moves_into_kombus_books() {
    let space = Space::new().await;
    for body in ["short", "long", "longer"] {
        space.publish("q", body).await;
    }
    let mut consumer = space.consume("q").await;
    let [short, long, longer] = <[_; 3]>::try_from(take(&mut consumer, 3).await).unwrap();
    short.ack().await.unwrap();
    space.recorded(2).await;
    let process = process(&space).await;
    let gone = async || batches(&space, &process).await.is_empty();
    space.until("nothing is left of the batch", gone).await;
    let held: Vec<String> = space.ask("SMEMBERS", &format!("celery-held.{process}"), &[]).await;
    let tag = |it: &Delivery| it.message.as_ref().unwrap().properties.delivery_tag.clone();
    let mut tags = [tag(&long), tag(&longer)];
    tags.sort();
    let mut sorted = held.clone();
    sorted.sort();
    assert_eq!(sorted, tags);
    let entry: String = space.ask("HGET", "unacked", &[&tag(&long)]).await;
    let entry: Value = serde_json::from_str(&entry).unwrap();
    assert_eq!((&entry[1], &entry[2]), (&json!(""), &json!("q")));
    long.ack().await.unwrap();
    longer.hand_back().await.unwrap();
    assert_eq!(space.ask::<u32>("HLEN", "unacked", &[]).await, 0);
    assert_eq!(body(&take_one(&mut consumer).await), "longer");
}

#[tokio::test]
async fn what_the_dead_had_not_settled_goes_back_in_front_in_its_order() {
    let space = Space::new().await;
    for body in ["1", "2", "3", "4"] {
        space.publish("q", body).await;
    }
    let mut dead = space.consume("q").await;
    let mut taken = take(&mut dead, 4).await;
    taken.remove(1).ack().await.unwrap();
    space.publish("q", "5").await;
    // What is taken next is another batch.
    taken.push(take_one(&mut dead).await);
    space.publish("q", "6").await;
    let process = process(&space).await;
    drop(dead);
    silence(&space, &process).await;

    let other = space.beside().await;
    let mut living = consume(&other, "q").await;
    let mut found = Vec::new();
    while found.len() < 5 {
        for delivery in living.next().await.unwrap() {
            found.push((body(&delivery), count(&delivery)));
            delivery.ack().await.unwrap();
        }
    }
    // The living one may have taken the last before the first were back.
    found.sort();
    let lost = |body: &str| (body.to_owned(), (true, 1));
    assert_eq!(found, [lost("1"), lost("3"), lost("4"), lost("5"), ("6".to_owned(), (false, 0))]);
    // The one that was thought dead is told, whatever it asks for, and nothing comes of it.
    for (delivery, how) in taken.into_iter().zip([
        Settlement::Ack,
        Settlement::HandBack,
        Settlement::Requeue,
        Settlement::Quarantine("late".to_owned()),
    ]) {
        let refused = delivery.settle(how).await.unwrap_err();
        let why = std::error::Error::source(&refused).unwrap().to_string();
        assert!(why.contains("taken over by another"), "{why}");
    }
    assert_eq!(space.broker.queue_len("q").await.unwrap(), 0);
    assert_eq!(space.broker.quarantined("q").await.unwrap(), []);
}

#[tokio::test]
async fn what_was_being_put_back_by_one_that_died_is_put_back_by_the_next() {
    let space = Space::new().await;
    for body in ["1", "2", "3"] {
        space.publish("q", body).await;
    }
    let mut waiting = items(&space, "q").await;
    waiting.reverse();
    // The first of them is in its queue again; the one that put it there had taken the batch over, and died.
    let _: String = space.ask("LTRIM", "q", &["-1", "-1"]).await;
    let list = "celery-pending.rescuer.7";
    let words: Vec<&str> = waiting.iter().map(String::as_str).collect();
    let _: u32 = space.ask("RPUSH", list, &words).await;
    let _: u32 = space.ask("HSET", "celery-pending.rescuer", &["7", "d..!q"]).await;
    let _: u32 = space.ask("ZADD", "celery-processes", &["1000", "rescuer"]).await;
    space.is_up_for_long().await;
    let mut consumer = space.consume("q").await;
    let mut found = Vec::new();
    while found.len() < 3 {
        for delivery in consumer.next().await.unwrap() {
            found.push((body(&delivery), count(&delivery)));
            delivery.ack().await.unwrap();
        }
    }
    found.sort();
    let lost = |body: &str| (body.to_owned(), (true, 1));
    assert_eq!(found, [("1".to_owned(), (false, 0)), lost("2"), lost("3")]);
    let left = space.keys().await;
    assert!(!left.iter().any(|key| key.starts_with("celery-pending")), "{left:?}");
}

#[tokio::test]
async fn a_batch_whose_reply_was_lost_is_put_back_and_not_counted() {
    let space = Space::with(json!({ "worker_timeout": 3 })).await;
    space.publish("q", "lost").await;
    let item = items(&space, "q").await.remove(0);
    let _: u32 = space.ask("DEL", "q", &[]).await;
    let mut consumer = space.consume("q").await;
    let known = async || {
        !space.ask::<Vec<String>>("ZRANGE", "celery-processes", &["0", "-1"]).await.is_empty()
    };
    space.until("the process is known", known).await;
    let process = process(&space).await;
    let _: u32 = space.ask("RPUSH", &format!("celery-pending.{process}.99999"), &[&item]).await;
    let _: u32 = space.ask("HSET", &format!("celery-pending.{process}"), &["99999", ".:q"]).await;
    let delivery = take_one(&mut consumer).await;
    assert_eq!((body(&delivery), count(&delivery)), ("lost".to_owned(), (true, 0)));
    delivery.ack().await.unwrap();
}

#[tokio::test]
async fn a_copy_of_what_is_held_already_is_not_written_over_it() {
    let space = Space::new().await;
    space.publish("q", "twice").await;
    let item = items(&space, "q").await.remove(0);
    let mut consumer = space.consume("q").await;
    let one = take_one(&mut consumer).await;
    space.recorded(1).await;
    // Somebody pushed the very same envelope again.
    let _: u32 = space.ask("LPUSH", "q", &[&item]).await;
    let two = take_one(&mut consumer).await;
    let process = process(&space).await;
    let looked_at = async || {
        // It has been left where it is at least once.
        two_seconds_have_passed(&space, &process).await
    };
    space.until("the copy is not adopted", looked_at).await;
    two.ack().await.unwrap();
    assert_eq!(space.ask::<u32>("HLEN", "unacked", &[]).await, 1);
    one.hand_back().await.unwrap();
    assert_eq!(body(&take_one(&mut consumer).await), "twice");
}

/// Whether two whole seconds of the server have passed since the process was first asked about.
async fn two_seconds_have_passed(space: &Space, process: &str) -> bool {
    let (now, _): (u64, u64) = space.raw(&["TIME"]).await;
    let first = format!("celery-test-began.{process}");
    let _: bool = space.ask("SETNX", &first, &[&now.to_string()]).await;
    now >= space.ask::<u64>("GET", &first, &[]).await + 3
}
