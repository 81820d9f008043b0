//! What waits in the books comes back when it is due, and what was abandoned comes back counted.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use celery_core::{
    broker::{Broker, Consumer, Delivery, Queue},
    clock, date,
};
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use serde_json::{Value, json};

use crate::server::{Space, body, message, take, take_one, to_queue};

fn info(delivery: &Delivery) -> (bool, u32) {
    let info = &delivery.message.as_ref().unwrap().properties.delivery_info;
    (info.redelivered, info.delivery_count)
}

async fn consumer(broker: &Arc<dyn Broker>, queue: &str) -> Box<dyn Consumer> {
    broker.consume(&[Queue::named(queue)], None).await.unwrap()
}

/// An entry as a Python worker leaves it.
fn entry(headers: &Value, queue: &str) -> String {
    let envelope = json!({
        "body": "aGk=", "content-encoding": "utf-8", "content-type": "text/plain", "headers": headers,
        "properties": {
            "delivery_info": { "exchange": "", "routing_key": queue }, "priority": 0,
            "body_encoding": "base64", "delivery_tag": "a-tag"
        }
    });
    json!([envelope, "", queue]).to_string()
}

#[tokio::test]
async fn what_is_due_goes_to_the_list_of_its_priority_whatever_its_queue_is_called() {
    let queues = ["plain", "a/b", "é ü", "with \"quotes\"", "back\\slash", "end] "];
    for queue in queues {
        let space = Space::new().await;
        let mut consumer = space.consume(queue).await;
        for priority in [0, 5, 9] {
            space.publish_with(queue, &priority.to_string(), Some(priority)).await;
        }
        let due = clock::now() + 300.milliseconds();
        for delivery in take(&mut consumer, 3).await {
            delivery.defer(due).await.unwrap();
        }
        consumer.close().await.unwrap();
        let back = async || space.broker.queue_len(queue).await.unwrap() == 3;
        space.until("all are back", back).await;
        assert!(clock::now() >= due);
        let sep = "\u{6}\u{16}";
        for list in [queue.to_owned(), format!("{queue}{sep}3"), format!("{queue}{sep}9")] {
            assert_eq!(space.ask::<u32>("LLEN", &list, &[]).await, 1, "{list}");
        }
        let keys = space.keys().await;
        assert!(!keys.iter().any(|key| key.starts_with("unacked")), "{keys:?}");
    }
}

#[tokio::test]
async fn what_comes_for_its_eta_is_not_counted_and_what_was_abandoned_is() {
    let space = Space::new().await;
    let mut consumer = space.consume("q").await;
    space.publish("q", "patient").await;
    take_one(&mut consumer).await.defer(clock::now() + 50.milliseconds()).await.unwrap();
    let due = take_one(&mut consumer).await;
    assert_eq!((body(&due).as_str(), info(&due)), ("patient", (true, 0)));
    due.ack().await.unwrap();

    let _: u32 = space.ask("HSET", "unacked", &["a-tag", &entry(&json!({}), "q")]).await;
    let _: u32 = space.ask("ZADD", "unacked_index", &["1000", "a-tag"]).await;
    // A look is brought forward by whatever is deferred to the past.
    space.publish("q", "overdue").await;
    take_one(&mut consumer).await.defer(Timestamp::UNIX_EPOCH).await.unwrap();
    for delivery in take(&mut consumer, 2).await {
        let expected = if body(&delivery) == "hi" { (true, 1) } else { (true, 0) };
        assert_eq!(info(&delivery), expected);
        delivery.ack().await.unwrap();
    }
}

#[tokio::test]
async fn what_a_python_worker_keeps_for_its_eta_is_not_taken_from_it_at_the_visibility_timeout() {
    let space = Space::new().await;
    let eta = clock::now() + 100.seconds();
    let headers = json!({ "eta": date::format(eta, &TimeZone::UTC) });
    let _: u32 = space.ask("HSET", "unacked", &["a-tag", &entry(&headers, "q")]).await;
    // It was delivered two visibility timeouts ago.
    let delivered = (clock::now().as_second() - 7200).to_string();
    let _: u32 = space.ask("ZADD", "unacked_index", &[&delivered, "a-tag"]).await;
    let consumer = space.consume("q").await;
    let score = async || space.ask::<f64>("ZSCORE", "unacked_index", &["a-tag"]).await;
    let postponed = async || (score().await - date::unix_seconds(eta)).abs() < 0.01;
    space.until("it counts as delivered at its eta", postponed).await;
    assert_eq!(space.broker.queue_len("q").await.unwrap(), 0);
    consumer.close().await.unwrap();
}

#[tokio::test]
async fn what_a_python_worker_keeps_for_its_eta_is_never_seen_to_be_overdue() {
    let space = Space::with(json!({ "visibility_timeout": 2, "worker_timeout": 10 })).await;
    let eta = clock::now() + 100.seconds();
    let counts_from = date::unix_seconds(eta) + 10.0 - 2.0;
    let kept = entry(&json!({ "eta": date::format(eta, &TimeZone::UTC) }), "q");
    let runs = entry(&json!({}), "q");
    let delivered = date::unix_seconds(clock::now()) - 1.0;
    for (tag, entry) in [("runs", &runs), ("kept", &kept), ("kept-too", &kept)] {
        let _: u32 = space.ask("HSET", "unacked", &[tag, entry]).await;
        let _: u32 = space.ask("ZADD", "unacked_index", &[&format!("{delivered:.6}"), tag]).await;
    }
    let mut consumer = space.consume("q").await;
    let score = async |tag: &str| space.ask::<f64>("ZSCORE", "unacked_index", &[tag]).await;
    let postponed = async || (score("kept-too").await - counts_from).abs() < 0.01;
    space.until("it has until its eta and the time of a silent worker", postponed).await;
    assert!((score("kept").await - counts_from).abs() < 0.01);
    let overdue_since = date::unix_seconds(clock::now()) - delivered - 2.0;
    assert!(overdue_since < 0.0, "it was overdue for {overdue_since} s");
    // What runs for longer than that is put back as ever.
    let delivery = take_one(&mut consumer).await;
    assert_eq!(info(&delivery), (true, 1));
    assert!(date::unix_seconds(clock::now()) >= delivered + 2.0);
    delivery.ack().await.unwrap();
    assert_eq!(space.ask::<u32>("HLEN", "unacked", &[]).await, 2);
}

#[tokio::test]
async fn one_process_wakes_for_what_is_due_next() {
    let space = Space::new().await;
    let (one, other) = (
        Space::another(&space.prefix, json!({})).await,
        Space::another(&space.prefix, json!({})).await,
    );
    let mut takes = consumer(&one, "q").await;
    let mut sleeps = consumer(&other, "unused").await;
    for body in ["later", "sooner"] {
        space.publish("q", body).await;
    }
    let [later, sooner] = <[_; 2]>::try_from(take(&mut takes, 2).await).unwrap();
    let (later_due, sooner_due) =
        (clock::now() + 600.milliseconds(), clock::now() + 300.milliseconds());
    let claim = async || {
        let claim: Option<String> = space.ask("GET", "celery-next-due", &[]).await;
        claim.map(|claim| {
            let (who, score) = claim.split_once(' ').unwrap();
            (who.to_owned(), score.parse::<f64>().unwrap() + 3600.0)
        })
    };
    later.defer(later_due).await.unwrap();
    let claims = async |due: Timestamp| {
        claim().await.is_some_and(|(_, at)| (at - date::unix_seconds(due)).abs() < 0.001)
    };
    space.until("who deferred wakes for it", || claims(later_due)).await;
    // What is due before that brings the look forward.
    sooner.defer(sooner_due).await.unwrap();
    space.until("who deferred wakes for the sooner one", || claims(sooner_due)).await;
    for (expected, due) in [("sooner", sooner_due), ("later", later_due)] {
        let delivery = take_one(&mut takes).await;
        assert_eq!(body(&delivery), expected);
        let late = clock::now().duration_since(due).as_millis();
        assert!((0..100).contains(&late), "{late} ms late");
        delivery.ack().await.unwrap();
    }
    // Nobody has reason to wake once nothing waits.
    let no_claim = async || claim().await.is_none();
    space.until("the claim expires", no_claim).await;
    let nothing = tokio::time::timeout(Duration::from_millis(10), sleeps.next()).await;
    assert!(nothing.is_err());
}

#[tokio::test]
async fn what_is_due_comes_also_when_who_deferred_it_is_gone() {
    let space = Space::with(json!({ "unacked_restore_interval": 0.2 })).await;
    space.publish("q", "left").await;
    let due = clock::now() + 500.milliseconds();
    let gone = std::thread::spawn({
        let prefix = space.prefix.clone();
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let broker = Space::another(&prefix, json!({})).await;
                let mut consumer = consumer(&broker, "q").await;
                take_one(&mut consumer).await.defer(due).await.unwrap();
                // It has claimed to wake for it, and ends with its runtime.
                let space = Space::at(&prefix, broker).await;
                let claimed =
                    async || space.ask::<u32>("EXISTS", "celery-next-due", &[]).await == 1;
                space.until("it is claimed", claimed).await;
                std::mem::forget(consumer);
            });
        }
    });
    tokio::task::spawn_blocking(|| gone.join().unwrap()).await.unwrap();
    let mut consumer = space.consume("q").await;
    let delivery = take_one(&mut consumer).await;
    assert_eq!(body(&delivery), "left");
    assert!(clock::now() >= due);
    delivery.ack().await.unwrap();
}

#[tokio::test]
async fn many_that_are_due_at_once_come_once_each_and_in_order_whoever_looks() {
    let number = 1_700;
    let space = Space::new().await;
    let due = clock::now() + 1.seconds();
    let mut batch = Vec::new();
    for number in 0..number {
        batch.push(to_queue("q", message(&number.to_string())));
    }
    space.broker.publish(&batch).await.unwrap();
    let other = Space::another(&space.prefix, json!({})).await;
    let mut consumers = [space.consume("q").await, consumer(&other, "q").await];
    let mut left = number;
    while left > 0 {
        for consumer in &mut consumers {
            let next = consumer.next();
            let Ok(deliveries) = tokio::time::timeout(Duration::from_millis(20), next).await else {
                continue;
            };
            for delivery in deliveries.unwrap() {
                let at: i64 = body(&delivery).parse().unwrap();
                delivery
                    .settle_later(celery_core::broker::Settlement::Defer(due + at.microseconds()));
                left -= 1;
            }
        }
    }
    let all_wait = async || space.ask::<i64>("ZCARD", "unacked_index", &[]).await == number;
    space.until("all wait", all_wait).await;
    for consumer in consumers {
        consumer.close().await.unwrap();
    }
    let all_back = async || space.broker.queue_len("q").await.unwrap() == number.cast_unsigned();
    space.until("all are back", all_back).await;
    let items: Vec<String> = space.ask("LRANGE", "q", &["0", "-1"]).await;
    let tags: BTreeSet<String> = items
        .iter()
        .map(|item| {
            serde_json::from_str::<Value>(item).unwrap()["properties"]["delivery_tag"].to_string()
        })
        .collect();
    assert_eq!(tags.len(), items.len());
    assert_eq!(space.ask::<u32>("HLEN", "unacked", &[]).await, 0);
}

#[tokio::test]
async fn a_message_whose_queue_is_something_else_by_now_stays_in_the_books() {
    let space = Space::new().await;
    let mut consumer = space.consume("q").await;
    for body in ["stays", "comes"] {
        space.publish("q", body).await;
    }
    let [stays, comes] = <[_; 2]>::try_from(take(&mut consumer, 2).await).unwrap();
    let _: String = space.ask("SET", "q", &["no list"]).await;
    stays.defer(clock::now()).await.unwrap();
    let other = Queue::named("other");
    space.broker.declare(&other).await.unwrap();
    let mut others = space.consume("other").await;
    space.publish("other", "comes").await;
    take_one(&mut others).await.defer(clock::now() + 100.milliseconds()).await.unwrap();
    let delivery = take_one(&mut others).await;
    assert_eq!(body(&delivery), "comes");
    delivery.ack().await.unwrap();
    // The one that could not be put back, and the one that is held.
    space.recorded(2).await;
    let _: u32 = space.ask("DEL", "q", &[]).await;
    let delivery = take_one(&mut consumer).await;
    assert_eq!(body(&delivery), "stays");
    delivery.ack().await.unwrap();
    drop(comes);
}
