//! What becomes of a delivery.

use std::sync::Arc;

use crate::{
    broker::{Broker, BrokerError, Settlement},
    clock,
};

use super::*;

/// What is acknowledged is gone.
pub async fn an_ack_is_final(broker: Arc<dyn Broker>) {
    publish(&broker, "letters", "once").await;
    let mut consumer = consume(&broker, &["letters"], 0).await;
    ack(take_one(&mut consumer).await).await;
    close(consumer).await;
    nothing_is_left(&broker, "letters").await;
}

/// What is rejected without requeue is gone.
pub async fn a_reject_without_requeue_is_final(broker: Arc<dyn Broker>) {
    publish(&broker, "letters", "unwanted").await;
    let mut consumer = consume(&broker, &["letters"], 0).await;
    let delivery = take_one(&mut consumer).await;
    within(LIMIT, "to reject", delivery.reject(false)).await.expect("a delivery can be rejected");
    close(consumer).await;
    nothing_is_left(&broker, "letters").await;
}

/// What is rejected with requeue is served after what waits.
pub async fn a_requeue_goes_to_the_back(broker: Arc<dyn Broker>) {
    returned_by(&broker, Settlement::Requeue, ["second", "third", "first"]).await;
}

/// What is handed back is served before what waits.
pub async fn a_hand_back_goes_to_the_front(broker: Arc<dyn Broker>) {
    returned_by(&broker, Settlement::HandBack, ["first", "second", "third"]).await;
}

async fn returned_by(broker: &Arc<dyn Broker>, how: Settlement, then: [&str; 3]) {
    for body in ["first", "second", "third"] {
        publish(broker, "letters", body).await;
    }
    let mut consumer = consume(broker, &["letters"], 1).await;
    let delivery = take_one(&mut consumer).await;
    assert_eq!(body(&delivery), "first");
    within(LIMIT, "to settle", delivery.settle(how)).await.expect("a delivery can be settled");
    assert_eq!(queue_len(broker, "letters").await, 3, "settling is effective when it returns");
    for expected in then {
        let delivery = take_one(&mut consumer).await;
        assert_eq!(body(&delivery), expected);
        ack(delivery).await;
    }
}

/// A delivery that nobody settles is delivered again: a task that panics loses nothing.
pub async fn a_dropped_delivery_comes_back(broker: Arc<dyn Broker>) {
    publish(&broker, "letters", "dropped").await;
    let mut consumer = consume(&broker, &["letters"], 1).await;
    for _ in 0..3 {
        let delivery = take_one(&mut consumer).await;
        assert_eq!(body(&delivery), "dropped");
        drop(delivery);
    }
    ack(take_one(&mut consumer).await).await;
    close(consumer).await;
    nothing_is_left(&broker, "letters").await;
}

/// Whichever way a message comes back, it says so, and it is the same copy.
pub async fn what_comes_back_is_marked_and_keeps_its_tag(broker: Arc<dyn Broker>) {
    let mut consumer = consume(&broker, &["letters"], 1).await;
    for how in [Some(Settlement::Requeue), Some(Settlement::HandBack), None] {
        publish(&broker, "letters", "again").await;
        let delivery = take_one(&mut consumer).await;
        assert!(
            !read(&delivery).properties.delivery_info.redelivered,
            "it is out for the first time"
        );
        let first = tag(&delivery);
        match how.clone() {
            Some(how) => within(LIMIT, "to settle", delivery.settle(how))
                .await
                .expect("a delivery can be settled"),
            None => drop(delivery),
        }
        let delivery = take_one(&mut consumer).await;
        assert!(
            read(&delivery).properties.delivery_info.redelivered,
            "after {how:?} it is out for the second time"
        );
        assert_eq!(tag(&delivery), first, "after {how:?} it is the same copy");
        ack(delivery).await;
    }
}

/// What was lost by who had it comes back to the front, and says how often that was. No other way of coming back counts.
pub async fn what_is_lost_is_counted(broker: Arc<dyn Broker>) {
    publish(&broker, "letters", "lost").await;
    publish(&broker, "letters", "next").await;
    let mut consumer = consume(&broker, &["letters"], 1).await;
    let ways = [Settlement::Lost, Settlement::HandBack, Settlement::Lost];
    for (how, expected) in ways.into_iter().zip([0, 1, 1]) {
        let delivery = take_one(&mut consumer).await;
        assert_eq!(body(&delivery), "lost");
        assert_eq!(read(&delivery).properties.delivery_info.delivery_count, expected);
        within(LIMIT, "to settle", delivery.settle(how)).await.expect("a delivery can be settled");
    }
    let delivery = take_one(&mut consumer).await;
    assert_eq!(read(&delivery).properties.delivery_info.delivery_count, 2);
    assert!(read(&delivery).properties.delivery_info.redelivered);
    ack(delivery).await;
    ack(take_one(&mut consumer).await).await;
    close(consumer).await;
    nothing_is_left(&broker, "letters").await;
}

/// What nobody waits for is settled all the same.
pub async fn what_is_settled_later_is_settled(broker: Arc<dyn Broker>) {
    for text in ["first", "second"] {
        publish(&broker, "letters", text).await;
    }
    let mut consumer = consume(&broker, &["letters"], 1).await;
    for text in ["first", "second"] {
        // There is room for the second when the first is settled, and not before.
        let delivery = take_one(&mut consumer).await;
        assert_eq!(body(&delivery), text);
        delivery.settle_later(Settlement::Ack);
    }
    close(consumer).await;
    nothing_is_left(&broker, "letters").await;
}

/// What follows a message is published when it is settled, and not when that cannot be done.
pub async fn what_follows_is_published_with_the_settlement(broker: Arc<dyn Broker>) {
    publish(&broker, "letters", "a letter").await;
    let mut consumer = consume(&broker, &["letters"], 1).await;
    let answer = |exchange: Exchange| Publication {
        exchange,
        routing_key: "answers".to_owned(),
        message: message("an answer"),
    };
    let unroutable = [answer(Exchange::direct("nowhere")), answer(Exchange::anonymous())];
    let delivery = take_one(&mut consumer).await;
    let refused = delivery.settle_and_publish(Settlement::Ack, &*broker, &unroutable);
    let refused = within(LIMIT, "to settle and publish", refused).await;
    assert!(matches!(refused, Err(BrokerError::Unroutable { .. })), "{refused:?}");

    let delivery = take_one(&mut consumer).await;
    assert_eq!(body(&delivery), "a letter", "what could not be published is not done with");
    let batch = [answer(Exchange::anonymous()), answer(Exchange::anonymous())];
    within(
        LIMIT,
        "to settle and publish",
        delivery.settle_and_publish(Settlement::Ack, &*broker, &batch),
    )
    .await
    .expect("both can be done");
    close(consumer).await;
    nothing_is_left(&broker, "letters").await;
    let mut consumer = consume(&broker, &["answers"], 10).await;
    let answers = take(&mut consumer, batch.len()).await;
    assert_eq!(bodies(&answers), ["an answer", "an answer"]);
    ack_all(answers).await;
    close(consumer).await;
    nothing_is_left(&broker, "answers").await;
}

fn named(queue: &str, body: &str, name: &str) -> Publication {
    let message = Message { once_named: Some(name.to_owned()), ..message(body) };
    to_queue(queue, message)
}

/// Of the messages with one name the first is published, whatever they are; those of other names and of none are not concerned.
pub async fn what_has_a_name_is_published_once(broker: Arc<dyn Broker>) {
    publish_all(&broker, &[named("letters", "first", "a name")]).await;
    let batch = [
        named("letters", "again", "a name"),
        named("elsewhere", "again", "a name"),
        named("letters", "second", "another name"),
        named("letters", "again", "another name"),
    ];
    publish_all(&broker, &batch).await;
    publish(&broker, "letters", "third").await;
    // Also when it is done with.
    let mut consumer = consume(&broker, &["letters"], 10).await;
    let letters = take(&mut consumer, 3).await;
    assert_eq!(bodies(&letters), ["first", "second", "third"]);
    ack_all(letters).await;
    publish_all(&broker, &batch).await;
    close(consumer).await;
    nothing_is_left(&broker, "letters").await;
    nothing_is_left(&broker, "elsewhere").await;
}

/// What has a name is published once also where it follows a message that is settled, and the message is settled in any case.
pub async fn what_has_a_name_is_published_once_with_a_settlement_or_without(
    broker: Arc<dyn Broker>,
) {
    for letter in ["one", "two", "three"] {
        publish(&broker, "letters", letter).await;
    }
    let mut consumer = consume(&broker, &["letters"], 3).await;
    let unroutable = Publication {
        exchange: Exchange::direct("nowhere"),
        ..named("answers", "nobody's", "a name")
    };
    let mut letters = take(&mut consumer, 3).await.into_iter();
    let mut settle = async |batch: &[Publication]| {
        let letter = letters.next().expect("there are three");
        let settled = letter.settle_and_publish(Settlement::Ack, &*broker, batch);
        within(LIMIT, "to settle and publish", settled).await
    };
    let answers = [named("answers", "an answer", "a name"), to_queue("answers", message("more"))];
    settle(&answers).await.expect("both can be done");
    settle(&answers).await.expect("what was published is no error");
    let refused = settle(&[unroutable]).await;
    assert!(matches!(refused, Err(BrokerError::Unroutable { .. })), "{refused:?}");
    publish_all(&broker, &answers).await;
    ack(take_one(&mut consumer).await).await;
    close(consumer).await;
    nothing_is_left(&broker, "letters").await;

    let mut consumer = consume(&broker, &["answers"], 10).await;
    let answers = take(&mut consumer, 4).await;
    let mut bodies = bodies(&answers);
    bodies.sort();
    assert_eq!(bodies, ["an answer", "more", "more", "more"]);
    ack_all(answers).await;
    close(consumer).await;
    nothing_is_left(&broker, "answers").await;
}

/// A message that was set aside is kept for a person to find, with the reason, and is not delivered again.
pub async fn a_quarantined_message_is_kept_and_not_delivered_again(broker: Arc<dyn Broker>) {
    let quarantined = || async {
        let kept = within(LIMIT, "the quarantined messages", broker.quarantined("letters")).await;
        kept.expect("the quarantined messages of a queue can be listed")
    };
    assert!(quarantined().await.is_empty());
    let before = clock::now();
    let mut consumer = consume(&broker, &["letters"], 1).await;
    for reason in ["delivered 6 times", "its sender is unknown"] {
        publish(&broker, "letters", reason).await;
        let delivery = take_one(&mut consumer).await;
        within(LIMIT, "to quarantine", delivery.quarantine(reason))
            .await
            .expect("a delivery can be quarantined");
    }
    close(consumer).await;
    nothing_is_left(&broker, "letters").await;

    let kept = quarantined().await;
    let reasons: Vec<_> = kept.iter().map(|kept| kept.reason.as_str()).collect();
    assert_eq!(reasons, ["delivered 6 times", "its sender is unknown"], "the oldest is first");
    for kept in &kept {
        let raw = String::from_utf8_lossy(&kept.raw);
        let id = format!("id-of-{}", kept.reason);
        assert!(raw.contains(&id), "the item is kept as it was found, and so has `{id}`: {raw}");
        assert_eq!(kept.queue, "letters");
        // Drivers may write the time in whole milliseconds.
        let since = kept.at.duration_since(before).as_millis();
        assert!((-1..=LIMIT.as_millis() as i128).contains(&since), "set aside at {}", kept.at);
    }
    let another =
        within(LIMIT, "the quarantined messages", broker.quarantined("another queue")).await;
    assert!(another.expect("a queue without any can be asked").is_empty());
}

/// Sets the messages aside, and returns what they are called there.
async fn set_aside(broker: &Arc<dyn Broker>, bodies: &[&str]) -> Vec<String> {
    let mut consumer = consume(broker, &["letters"], 1).await;
    for body in bodies {
        publish(broker, "letters", body).await;
        for how in [Settlement::Lost, Settlement::Quarantine("too often".to_owned())] {
            let delivery = take_one(&mut consumer).await;
            within(LIMIT, "to settle", delivery.settle(how)).await.expect("it can be settled");
        }
    }
    close(consumer).await;
    let kept = within(LIMIT, "the quarantined messages", broker.quarantined("letters")).await;
    let kept = kept.expect("the quarantined messages of a queue can be listed");
    let ids: Vec<_> = kept.iter().map(|kept| kept.id.clone()).collect();
    for (kept, body) in kept.iter().zip(bodies) {
        let message = kept.message().expect("it was a message");
        assert_eq!(message.body, body.as_bytes());
        assert_eq!(message.properties.delivery_info.delivery_count, 1);
        assert_eq!(kept.id, message.properties.delivery_tag);
    }
    ids
}

async fn quarantined(broker: &Arc<dyn Broker>) -> Vec<String> {
    let kept = within(LIMIT, "the quarantined messages", broker.quarantined("letters")).await;
    let kept = kept.expect("the quarantined messages of a queue can be listed");
    kept.into_iter().map(|kept| kept.id).collect()
}

/// What is put back from the quarantine goes to the end of its queue, as if it had never been lost. What is not there is
/// passed over.
pub async fn what_is_requeued_from_the_quarantine_starts_anew(broker: Arc<dyn Broker>) {
    let ids = set_aside(&broker, &["one", "two", "three"]).await;
    publish(&broker, "letters", "waits").await;
    let [one, two, three] = <[String; 3]>::try_from(ids).expect("three were set aside");
    let requeue = async |ids: &[String]| {
        let requeued = broker.requeue_quarantined("letters", ids);
        within(LIMIT, "to requeue", requeued).await.expect("it can be put back")
    };
    assert_eq!(requeue(&[one.clone(), "no such id".to_owned(), three.clone()]).await, 2);
    assert_eq!(requeue(&[one, three]).await, 0, "they are not there any more");
    assert_eq!(quarantined(&broker).await, [two]);

    let mut consumer = consume(&broker, &["letters"], 0).await;
    let deliveries = take(&mut consumer, 3).await;
    assert_eq!(bodies(&deliveries), ["waits", "one", "three"]);
    for delivery in &deliveries {
        assert_eq!(read(delivery).properties.delivery_info.delivery_count, 0);
    }
    ack_all(deliveries).await;
    close(consumer).await;
    nothing_is_left(&broker, "letters").await;
}

/// What is dropped from the quarantine is gone, and nothing else is.
pub async fn what_is_dropped_from_the_quarantine_is_gone(broker: Arc<dyn Broker>) {
    let ids = set_aside(&broker, &["one", "two"]).await;
    let drop_one = || async {
        let dropped = broker.drop_quarantined("letters", &ids[..1]);
        within(LIMIT, "to drop", dropped).await.expect("it can be dropped")
    };
    assert_eq!(drop_one().await, 1);
    assert_eq!(drop_one().await, 0);
    assert_eq!(quarantined(&broker).await, ids[1..]);
    nothing_is_left(&broker, "letters").await;
    let none = broker.drop_quarantined("another queue", &ids);
    assert_eq!(within(LIMIT, "to drop", none).await.expect("a queue without any can be asked"), 0);
}
