//! From the queue into kombu's books, and out of them again.

use celery_core::{broker::Queue, clock};
use jiff::ToSpan;
use serde_json::{Value, json};

use crate::server::{LIMIT, Space, body, take, take_one, within};

in_both_registries! {
    a_delivery_is_in_kombus_books_until_it_is_acknowledged
    at_no_moment_is_a_message_outside_of_the_books
    two_consumers_share_and_take_nothing_twice
    priorities_go_before_queues_and_zero_is_served_first
    with_round_robin_the_queue_just_served_is_served_last
    the_first_queue_is_served_first
    an_item_that_is_no_message_is_delivered_as_such_and_settled_like_others
    what_is_quarantined_is_kept_byte_for_byte
    deferred_messages_come_back_in_the_order_in_which_they_are_due
    a_message_goes_back_to_the_list_of_its_priority_marked_as_redelivered
    what_is_held_is_renewed_so_that_nobody_takes_it_for_abandoned
}

async fn a_delivery_is_in_kombus_books_until_it_is_acknowledged(registry: &str) {
    let space = Space::of(registry, json!({})).await;
    let mut consumer = space.consume("q").await;
    space.publish("q", "one").await;
    let delivery = take_one(&mut consumer).await;
    space.recorded(1).await;

    let entries: Vec<(String, String)> = space.ask("HGETALL", "unacked", &[]).await;
    let [(tag, entry)] = entries.as_slice() else { panic!("{entries:?}") };
    let entry: Value = serde_json::from_str(entry).unwrap();
    assert_eq!(&entry[0]["properties"]["delivery_tag"], tag.as_str());
    assert_eq!((&entry[1], &entry[2]), (&json!(""), &json!("q")));
    let score: f64 = space.ask("ZSCORE", "unacked_index", &[tag]).await;
    assert!((score - clock::now().as_second() as f64).abs() < 5.0, "{score}");
    assert_eq!(space.ask::<u32>("LLEN", "q", &[]).await, 0);

    delivery.ack().await.unwrap();
    let left = space.keys().await;
    assert!(
        !left.iter().any(|key| {
            ["unacked", "celery-held", "celery-pending"].iter().any(|it| key.starts_with(it))
        }),
        "{left:?}"
    );
}

async fn at_no_moment_is_a_message_outside_of_the_books(registry: &str) {
    let space = Space::of(registry, json!({})).await;
    let number = 200;
    let all: Vec<String> = (0..number).map(|i| i.to_string()).collect();
    for body in &all {
        space.publish("q", body).await;
    }
    // A consumer that is asked and given up again and again, while somebody counts in one step.
    let broker = space.beside().await;
    let asking = tokio::spawn(async move {
        for _ in 0..20 {
            let mut consumer =
                broker.consume(&[Queue::named("q")], Some(3.try_into().unwrap())).await.unwrap();
            let _ =
                tokio::time::timeout(std::time::Duration::from_micros(300), consumer.next()).await;
            drop(consumer);
        }
        broker
    });
    let count = "local there = redis.call('LLEN', KEYS[1]) + redis.call('HLEN', KEYS[2])
        for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
            if redis.call('TYPE', key).ok == 'hash' then
                for _, states in ipairs(redis.call('HVALS', key)) do
                    there = there + select(2, string.gsub(states, '%.', ''))
                end
            end
        end
        return there";
    let (queue, unacked) = (space.key("q"), space.key("unacked"));
    let batches = space.key("celery-pending.*");
    while !asking.is_finished() {
        let there: u32 = space.raw(&["EVAL", count, "2", &queue, &unacked, &batches]).await;
        assert_eq!(there, number);
    }
    let broker = asking.await.unwrap();
    let mut consumer = space.consume("q").await;
    let mut found: Vec<String> = take(&mut consumer, 200).await.iter().map(body).collect();
    found.sort_by_key(|body| body.parse::<u32>().unwrap());
    assert_eq!(found, all);
    drop(broker);
}

async fn two_consumers_share_and_take_nothing_twice(registry: &str) {
    let space = Space::of(registry, json!({})).await;
    let other = space.beside().await;
    let mut one = space.consume("q").await;
    let mut two = other.consume(&[Queue::named("q")], None).await.unwrap();
    for i in 0..100 {
        space.publish("q", &i.to_string()).await;
    }
    let mut found = Vec::new();
    while found.len() < 100 {
        let both = async {
            tokio::select! { batch = one.next() => batch, batch = two.next() => batch }
        };
        for delivery in within("a delivery", both).await.unwrap() {
            found.push(body(&delivery));
            delivery.ack().await.unwrap();
        }
    }
    found.sort_by_key(|body| body.parse::<u32>().unwrap());
    assert_eq!(found, (0..100).map(|i| i.to_string()).collect::<Vec<_>>());
    assert_eq!(space.ask::<u32>("HLEN", "unacked", &[]).await, 0);
}

async fn priorities_go_before_queues_and_zero_is_served_first(registry: &str) {
    let space = Space::of(registry, json!({})).await;
    for (queue, body, priority) in
        [("a", "a9", 9), ("b", "b0", 0), ("a", "a3", 3), ("b", "b9", 9), ("a", "a0", 0)]
    {
        space.publish_with(queue, body, Some(priority)).await;
    }
    let mut consumer =
        space.broker.consume(&[Queue::named("a"), Queue::named("b")], None).await.unwrap();
    let found: Vec<String> = take(&mut consumer, 5).await.iter().map(body).collect();
    assert_eq!(found, ["a0", "b0", "a3", "a9", "b9"]);
}

async fn with_round_robin_the_queue_just_served_is_served_last(registry: &str) {
    let space = Space::of(registry, json!({ "queue_order_strategy": "round_robin" })).await;
    for body in ["a1", "a2", "a3"] {
        space.publish("a", body).await;
    }
    space.publish("b", "b1").await;
    let one = Some(1.try_into().unwrap());
    let mut consumer =
        space.broker.consume(&[Queue::named("a"), Queue::named("b")], one).await.unwrap();
    let mut found = Vec::new();
    for _ in 0..4 {
        let delivery = take_one(&mut consumer).await;
        found.push(body(&delivery));
        delivery.ack().await.unwrap();
    }
    assert_eq!(found, ["a1", "b1", "a2", "a3"]);
}

async fn the_first_queue_is_served_first(registry: &str) {
    let space = Space::of(registry, json!({})).await;
    for (queue, body) in [("b", "b1"), ("a", "a1"), ("b", "b2"), ("a", "a2")] {
        space.publish(queue, body).await;
    }
    let one = Some(1.try_into().unwrap());
    let queues = [Queue::named("a"), Queue::named("b")];
    let mut consumer = space.broker.consume(&queues, one).await.unwrap();
    let mut found = Vec::new();
    for _ in 0..4 {
        let delivery = take_one(&mut consumer).await;
        found.push(body(&delivery));
        delivery.ack().await.unwrap();
    }
    assert_eq!(found, ["a1", "a2", "b1", "b2"]);
}

async fn an_item_that_is_no_message_is_delivered_as_such_and_settled_like_others(registry: &str) {
    let space = Space::of(registry, json!({})).await;
    let mut consumer = space.consume("q").await;
    for item in ["{not json", "[1, 2]", "{\"properties\": {}}"] {
        let _: u32 = space.ask("LPUSH", "q", &[item]).await;
        let delivery = take_one(&mut consumer).await;
        assert_eq!(delivery.message.as_ref().unwrap_err().raw, item.as_bytes());
        space.recorded(1).await;
        // Whoever restores the entry, Python too, finds JSON in three parts with an envelope in front.
        let entries: Vec<String> = space.ask("HVALS", "unacked", &[]).await;
        let entry: Value = serde_json::from_str(&entries[0]).unwrap();
        assert_eq!(entry[0]["body"], item);
        delivery.reject(true).await.unwrap();
        let delivery = take_one(&mut consumer).await;
        assert_eq!(delivery.message.as_ref().unwrap_err().raw, item.as_bytes());
        delivery.ack().await.unwrap();
        assert_eq!(space.ask::<u32>("HLEN", "unacked", &[]).await, 0);
    }
}

async fn what_is_quarantined_is_kept_byte_for_byte(registry: &str) {
    let space = Space::of(registry, json!({})).await;
    let mut consumer = space.consume("q").await;
    let push =
        deadpool_redis::redis::cmd("LPUSH").arg(space.key("q")).arg(b"\xff\x00\"").to_owned();
    let client = deadpool_redis::redis::Client::open(crate::server::url().expose()).unwrap();
    let mut raw = client.get_multiplexed_async_connection().await.unwrap();
    push.query_async::<()>(&mut raw).await.unwrap();
    take_one(&mut consumer).await.quarantine("it is broken").await.unwrap();
    space.publish("q", "whole").await;
    take_one(&mut consumer).await.quarantine("too often").await.unwrap();

    let found = space.broker.quarantined("q").await.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!((&found[0].raw[..], found[0].reason.as_str()), (&b"\xff\x00\""[..], "it is broken"));
    assert_eq!((found[1].queue.as_str(), found[1].reason.as_str()), ("q", "too often"));
    assert_eq!(space.ask::<u32>("LLEN", "celery-quarantine.q", &[]).await, 2);
    assert_eq!(space.ask::<u32>("HLEN", "unacked", &[]).await, 0);
}

async fn deferred_messages_come_back_in_the_order_in_which_they_are_due(registry: &str) {
    let space = Space::of(registry, json!({})).await;
    let mut consumer = space.consume("q").await;
    for body in ["third", "first", "second"] {
        space.publish("q", body).await;
    }
    let start = clock::now();
    let due = |body: &str| match body {
        "first" => start + 1000.milliseconds(),
        "second" => start + 1200.milliseconds(),
        _ => start + 1400.milliseconds(),
    };
    for delivery in take(&mut consumer, 3).await {
        let at = due(&body(&delivery));
        delivery.defer(at).await.unwrap();
    }
    assert_eq!(space.ask::<u32>("ZCARD", "unacked_index", &[]).await, 3);
    for expected in ["first", "second", "third"] {
        let delivery = take_one(&mut consumer).await;
        assert_eq!(body(&delivery), expected);
        let late = clock::now().duration_since(due(expected));
        assert!(
            !late.is_negative() && late.as_millis() < 2000,
            "{expected} came {late:#} after it was due"
        );
        assert!(delivery.message.as_ref().unwrap().properties.delivery_info.redelivered);
        delivery.ack().await.unwrap();
    }
}

async fn a_message_goes_back_to_the_list_of_its_priority_marked_as_redelivered(registry: &str) {
    let space = Space::of(registry, json!({})).await;
    space.publish_with("q", "one", Some(6)).await;
    let mut consumer = space.consume("q").await;
    take_one(&mut consumer).await.hand_back().await.unwrap();
    let items: Vec<String> = space.ask("LRANGE", "q\u{6}\u{16}6", &["0", "-1"]).await;
    let envelope: Value = serde_json::from_str(&items[0]).unwrap();
    assert_eq!(envelope["headers"]["redelivered"], true);
    assert_eq!(envelope["properties"]["delivery_info"]["redelivered"], true);
}

async fn what_is_held_is_renewed_so_that_nobody_takes_it_for_abandoned(registry: &str) {
    let space = Space::of(registry, json!({ "visibility_timeout": 1 })).await;
    space.publish("q", "long").await;
    let mut consumer = space.consume("q").await;
    let delivery = take_one(&mut consumer).await;
    space.recorded(1).await;
    let tag = delivery.message.as_ref().unwrap().properties.delivery_tag.clone();
    let first: f64 = space.ask("ZSCORE", "unacked_index", &[&tag]).await;
    let renewed =
        || async { space.ask::<f64>("ZSCORE", "unacked_index", &[&tag]).await > first + 1.5 };
    space.until("two renewals", renewed).await;
    assert_eq!(space.broker.queue_len("q").await.unwrap(), 0);
    delivery.ack().await.unwrap();
    assert!(LIMIT > std::time::Duration::from_secs(2));
}
