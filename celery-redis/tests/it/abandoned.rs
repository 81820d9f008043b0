//! What those who died have left comes back.

use celery_core::broker::Queue;
use serde_json::{Value, json};

use crate::server::{Space, body, take, take_one};

in_both_registries! {
    what_a_dead_worker_held_is_put_back_by_a_living_one
    what_was_delivered_to_somebody_else_since_is_not_taken_from_them
    what_is_not_ours_any_more_is_not_renewed
    a_reply_that_nobody_got_is_put_back
    what_a_python_worker_left_is_put_back_even_without_its_binding
    an_entry_that_is_not_overdue_stays
}

async fn what_a_dead_worker_held_is_put_back_by_a_living_one(registry: &str) {
    let space = Space::of(registry, json!({})).await;
    for body in ["one", "two", "three"] {
        space.publish("q", body).await;
    }
    // Before they are taken: what is held for more than a second goes into kombu's books, which have no order.
    space.is_up_for_long().await;
    let mut dead = space.consume("q").await;
    let held = take(&mut dead, 3).await;
    // For the server it has been silent for longer than it may.
    let processes: Vec<String> = space.ask("ZRANGE", "celery-processes", &["0", "-1"]).await;
    let silent_since = (celery_core::clock::now().as_second() - 31).to_string();
    let _: u32 = space.ask("ZADD", "celery-processes", &[&silent_since, &processes[0]]).await;

    let other = space.beside().await;
    let mut living = other.consume(&[Queue::named("q")], None).await.unwrap();
    let mut found: Vec<String> = Vec::new();
    for delivery in take(&mut living, 3).await {
        found.push(body(&delivery));
        // The one that was thought dead acknowledges late: the entry is not its any more.
        let tag = delivery.message.as_ref().unwrap().properties.delivery_tag.clone();
        let late =
            held.iter().any(|it| it.message.as_ref().unwrap().properties.delivery_tag == tag);
        assert!(late && delivery.message.as_ref().unwrap().properties.delivery_info.redelivered);
        std::mem::forget(delivery);
    }
    for delivery in held {
        let refused = delivery.ack().await.unwrap_err();
        let why = std::error::Error::source(&refused).unwrap().to_string();
        assert!(why.contains("taken over by another"), "{why}");
    }
    if registry == "unacked" {
        // Those books have no order.
        found.sort_by_key(|body| ["one", "two", "three"].iter().position(|it| it == body));
    }
    assert_eq!(found, ["one", "two", "three"]);
    space.recorded(3).await;
}

async fn what_was_delivered_to_somebody_else_since_is_not_taken_from_them(registry: &str) {
    let space = Space::of(registry, json!({})).await;
    space.publish("q", "theirs").await;
    let mut dead = space.consume("q").await;
    let delivery = take_one(&mut dead).await;
    space.recorded(1).await;
    let tag = delivery.message.as_ref().unwrap().properties.delivery_tag.clone();
    space.is_up_for_long().await;
    let processes: Vec<String> = space.ask("ZRANGE", "celery-processes", &["0", "-1"]).await;
    // It has been silent for two hours, and after one of them kombu restored the message and gave it to another worker.
    let now = celery_core::clock::now().as_second();
    let (silent_since, delivered_at) = ((now - 7200).to_string(), (now - 3600 + 60).to_string());
    let _: u32 = space.ask("ZADD", "celery-processes", &[&silent_since, &processes[0]]).await;
    let _: u32 = space.ask("ZADD", "unacked_index", &[&delivered_at, &tag]).await;

    let other = space.beside().await;
    let mut living = other.consume(&[Queue::named("q")], None).await.unwrap();
    let gone = async || {
        space.ask::<Option<f64>>("ZSCORE", "celery-processes", &[&processes[0]]).await.is_none()
    };
    space.until("the dead one is struck off", gone).await;
    space.publish("q", "next").await;
    let next = take_one(&mut living).await;
    assert_eq!(body(&next), "next");
    next.ack().await.unwrap();
    assert_eq!(space.ask::<u32>("HEXISTS", "unacked", &[&tag]).await, 1);
    // Nor does the old claim of the one that was silent count any more.
    assert!(delivery.ack().await.is_err());
    assert_eq!(space.ask::<u32>("HEXISTS", "unacked", &[&tag]).await, 1);
}

async fn what_is_not_ours_any_more_is_not_renewed(registry: &str) {
    let space = Space::of(registry, json!({ "visibility_timeout": 3 })).await;
    space.publish("q", "deferred").await;
    space.publish("q", "held").await;
    let mut consumer = space.consume("q").await;
    let [deferred, held] = <[_; 2]>::try_from(take(&mut consumer, 2).await).unwrap();
    space.recorded(2).await;
    let tag = |it: &celery_core::broker::Delivery| {
        it.message.as_ref().unwrap().properties.delivery_tag.clone()
    };
    let process: Vec<String> = space.ask("ZRANGE", "celery-processes", &["0", "-1"]).await;
    // As if somebody else had it by now and let it wait until it is due, of which this process does not know yet.
    let set = format!("celery-held.{}", process[0]);
    let _: u32 = space.ask("SREM", &set, &[&tag(&deferred)]).await;
    let _: u32 = space.ask("ZADD", "unacked_index", &["99999999999", &tag(&deferred)]).await;
    let score = async |tag: &str| space.ask::<f64>("ZSCORE", "unacked_index", &[tag]).await;
    let before = score(&tag(&held)).await;
    let renewed = async || score(&tag(&held)).await > before;
    space.until("what is held is renewed", renewed).await;
    assert_eq!(score(&tag(&deferred)).await, 99_999_999_999.0);
    held.ack().await.unwrap();
}

async fn a_reply_that_nobody_got_is_put_back(registry: &str) {
    // What the server has for us is looked at with each heartbeat.
    let space = Space::of(registry, json!({ "worker_timeout": 3 })).await;
    let mut consumer = space.consume("q").await;
    // As if a fetch had been carried out and its reply lost: the server has a tag for us that we never saw.
    space.publish("q", "lost").await;
    let process: Vec<String> = space.ask("ZRANGE", "celery-processes", &["0", "-1"]).await;
    let item: String = space.ask("RPOP", "q", &[]).await;
    let envelope: Value = serde_json::from_str(&item).unwrap();
    let tag = envelope["properties"]["delivery_tag"].as_str().unwrap();
    let _: u32 =
        space.ask("HSET", "unacked", &[tag, &json!([envelope, "", "q"]).to_string()]).await;
    let _: u32 = space.ask("ZADD", "unacked_index", &["99999999999", tag]).await;
    let _: u32 = space.ask("SADD", &format!("celery-held.{}", process[0]), &[tag]).await;
    let delivery = take_one(&mut consumer).await;
    assert_eq!(body(&delivery), "lost");
    delivery.ack().await.unwrap();
}

async fn what_a_python_worker_left_is_put_back_even_without_its_binding(registry: &str) {
    let space = Space::of(registry, json!({})).await;
    let envelope = json!({
        "body": "aGk=", "content-encoding": "utf-8", "content-type": "text/plain", "headers": {},
        "properties": {
            "delivery_info": { "exchange": "gone", "routing_key": "q" }, "priority": 3,
            "body_encoding": "base64", "delivery_tag": "a-tag"
        }
    });
    let entry = json!([envelope, "gone", "q"]).to_string();
    let _: u32 = space.ask("HSET", "unacked", &["a-tag", &entry]).await;
    let _: u32 = space.ask("ZADD", "unacked_index", &["1000.5", "a-tag"]).await;
    let _: u32 = space.ask("ZADD", "unacked_index", &["1001.5", "no-entry"]).await;
    let mut consumer = space.consume("q").await;
    let delivery = take_one(&mut consumer).await;
    let message = delivery.message.as_ref().unwrap();
    assert_eq!((&message.body[..], message.properties.priority), (&b"hi"[..], Some(3)));
    assert!(message.properties.delivery_info.redelivered);
    assert_eq!(message.properties.delivery_tag, "a-tag");
    delivery.ack().await.unwrap();
    assert_eq!(space.ask::<u32>("ZCARD", "unacked_index", &[]).await, 0);
}

async fn an_entry_that_is_not_overdue_stays(registry: &str) {
    let space = Space::of(registry, json!({})).await;
    let now = celery_core::clock::now().as_second().to_string();
    let _: u32 = space.ask("HSET", "unacked", &["t", "[{\"properties\": {}}, \"\", \"q\"]"]).await;
    let _: u32 = space.ask("ZADD", "unacked_index", &[&now, "t"]).await;
    let mut consumer = space.consume("q").await;
    space.publish("q", "mine").await;
    let delivery = take_one(&mut consumer).await;
    // The look at the index at the start is over: this deferral was seen by the one after it.
    delivery.defer(celery_core::clock::now()).await.unwrap();
    assert_eq!(body(&take_one(&mut consumer).await), "mine");
    assert_eq!(space.ask::<u32>("HEXISTS", "unacked", &["t"]).await, 1);
}
