//! Queues: their order, their consumers, their length, their end.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use tokio_util::sync::CancellationToken;

use crate::broker::{Binding, Broker, BrokerError};

use super::*;

async fn publish_with_priority(broker: &Arc<dyn Broker>, queue: &str, priority: i64) {
    let mut message = message(&format!("{queue} {priority}"));
    message.properties.priority = Some(priority);
    publish_all(broker, &[to_queue(queue, message)]).await;
}

/// Within a queue, priority 0 is served first.
pub async fn lower_priorities_are_served_first(broker: Arc<dyn Broker>) {
    for priority in [9, 3, 0, 6] {
        publish_with_priority(&broker, "a", priority).await;
    }
    assert_eq!(queue_len(&broker, "a").await, 4, "all priorities are counted");
    let mut consumer = consume(&broker, &["a"], 0).await;
    let deliveries = take(&mut consumer, 4).await;
    assert_eq!(bodies(&deliveries), ["a 0", "a 3", "a 6", "a 9"]);
    ack_all(deliveries).await;
}

/// A more urgent message is served first whichever queue it is in.
pub async fn priority_goes_before_the_order_of_queues(broker: Arc<dyn Broker>) {
    for (queue, priority) in [("a", 9), ("b", 6), ("a", 3), ("b", 0)] {
        publish_with_priority(&broker, queue, priority).await;
    }
    let mut consumer = consume(&broker, &["a", "b"], 1).await;
    for expected in ["b 0", "a 3", "b 6", "a 9"] {
        let delivery = take_one(&mut consumer).await;
        assert_eq!(body(&delivery), expected);
        ack(delivery).await;
    }
}

/// One consumer takes from all its queues, starves none, and says which one each message is from.
pub async fn a_consumer_serves_several_queues(broker: Arc<dyn Broker>) {
    let queues = ["a", "b", "c"];
    for queue in queues {
        for number in 0..5 {
            publish(&broker, queue, &format!("{queue}{number}")).await;
        }
    }
    publish(&broker, "d", "of another consumer").await;
    let mut consumer = consume(&broker, &queues, 0).await;
    let deliveries = take(&mut consumer, 15).await;
    for queue in queues {
        let of_queue: Vec<_> =
            deliveries.iter().filter(|delivery| delivery.queue == queue).map(body).collect();
        let expected: Vec<_> = (0..5).map(|number| format!("{queue}{number}")).collect();
        assert_eq!(of_queue, expected, "each queue keeps its order");
    }
    ack_all(deliveries).await;
    assert_eq!(queue_len(&broker, "d").await, 1);
}

/// Two consumers of one queue get each message once between them.
pub async fn two_consumers_share_a_queue(broker: Arc<dyn Broker>) {
    const MESSAGES: usize = 500;
    let seen = Arc::new(Mutex::new(HashSet::new()));
    let done = CancellationToken::new();
    let mut consumers = Vec::new();
    for _ in 0..2 {
        let mut consumer = consume(&broker, &["letters"], 10).await;
        let (seen, done) = (Arc::clone(&seen), done.clone());
        consumers.push(tokio::spawn(async move {
            while let Some(batch) = done.run_until_cancelled(consumer.next()).await {
                for delivery in batch.expect("a consumer can be asked for deliveries") {
                    let so_far = {
                        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                        assert!(
                            seen.insert(body(&delivery)),
                            "{} was delivered twice",
                            body(&delivery)
                        );
                        seen.len()
                    };
                    ack(delivery).await;
                    if so_far == MESSAGES {
                        done.cancel();
                    }
                }
            }
        }));
    }
    let numbers: Vec<_> =
        (0..MESSAGES).map(|number| to_queue("letters", message(&number.to_string()))).collect();
    for batch in numbers.chunks(50) {
        publish_all(&broker, batch).await;
    }
    for consumer in consumers {
        within(3 * LIMIT, "all messages", consumer).await.expect("no message comes twice");
    }
    assert_eq!(seen.lock().unwrap_or_else(PoisonError::into_inner).len(), MESSAGES);
    nothing_is_left(&broker, "letters").await;
}

/// The length is what waits; purging drops that, and leaves what is out.
pub async fn a_queue_has_a_length_and_can_be_purged(broker: Arc<dyn Broker>) {
    let purge = || async {
        within(LIMIT, "to purge", broker.purge("letters")).await.expect("a queue can be purged")
    };
    assert_eq!(queue_len(&broker, "letters").await, 0, "a queue that nobody declared is empty");
    assert_eq!(purge().await, 0);
    for priority in [0, 0, 9] {
        publish_with_priority(&broker, "letters", priority).await;
    }
    publish(&broker, "others", "stays").await;
    assert_eq!(queue_len(&broker, "letters").await, 3);
    let mut consumer = consume(&broker, &["letters"], 1).await;
    let out = take_one(&mut consumer).await;
    close(consumer).await;
    assert_eq!(queue_len(&broker, "letters").await, 2, "what is out is not counted");
    assert_eq!(purge().await, 2);
    assert_eq!(queue_len(&broker, "letters").await, 0);
    assert_eq!(queue_len(&broker, "others").await, 1);

    within(LIMIT, "to hand back", out.hand_back())
        .await
        .expect("what was out can still be handed back");
    assert_eq!(queue_len(&broker, "letters").await, 1);
}

/// With a queue go its messages and its binding.
pub async fn a_deleted_queue_is_forgotten(broker: Arc<dyn Broker>) {
    let answers = Queue {
        routing_key: "key".to_owned(),
        exchange: Exchange::direct("answers"),
        ..Queue::named("a")
    };
    let answer = || Publication {
        exchange: Exchange::direct("answers"),
        routing_key: "key".to_owned(),
        message: message("answer"),
    };
    declare(&broker, &answers).await;
    publish_all(&broker, &[answer(), answer()]).await;
    assert_eq!(queue_len(&broker, "a").await, 2);
    within(LIMIT, "to delete", broker.delete(&answers)).await.expect("a queue can be deleted");
    assert_eq!(queue_len(&broker, "a").await, 0);
    let refused = within(LIMIT, "to publish", broker.publish(&[answer()])).await;
    assert!(
        matches!(refused, Err(BrokerError::Unroutable { .. })),
        "the binding is left: {refused:?}"
    );

    declare(&broker, &answers).await;
    assert_eq!(queue_len(&broker, "a").await, 0, "the old messages are not there again");
    publish_all(&broker, &[answer()]).await;
    assert_eq!(queue_len(&broker, "a").await, 1);
}

/// A consumer takes from the queues that it is told to, from the next fetch on.
pub async fn a_consumer_changes_its_queues(broker: Arc<dyn Broker>) {
    let mut consumer = consume(&broker, &["a", "b"], 0).await;
    publish(&broker, "a", "one").await;
    let one = take_one(&mut consumer).await;
    declare(&broker, &Queue::named("c")).await;
    consumer.set_queues(&[Queue::named("b"), Queue::named("c")]);
    ack(one).await;
    publish(&broker, "a", "nobody takes this").await;
    publish(&broker, "b", "two").await;
    publish(&broker, "c", "three").await;
    let deliveries = take(&mut consumer, 2).await;
    let seen: HashSet<_> = deliveries.iter().map(body).collect();
    assert_eq!(seen, HashSet::from(["two".to_owned(), "three".to_owned()]));
    ack_all(deliveries).await;
    nothing_comes(&mut consumer).await;
    assert_eq!(queue_len(&broker, "a").await, 1);
    close(consumer).await;
}

/// A change while a call of `next` was under way is not missed, nor is one from no queue at all.
pub async fn a_consumer_whose_queue_was_taken_away_while_it_waited_hears_of_a_new_one(
    broker: Arc<dyn Broker>,
) {
    let mut consumer = consume(&broker, &["a"], 0).await;
    nothing_comes(&mut consumer).await;
    consumer.set_queues(&[]);
    publish(&broker, "a", "left").await;
    nothing_comes(&mut consumer).await;
    declare(&broker, &Queue::named("b")).await;
    publish(&broker, "b", "was there").await;
    consumer.set_queues(&[Queue::named("b")]);
    let delivery = take_one(&mut consumer).await;
    assert_eq!(body(&delivery), "was there");
    ack(delivery).await;
    nothing_comes(&mut consumer).await;
    publish(&broker, "b", "comes later").await;
    let delivery = take_one(&mut consumer).await;
    assert_eq!(body(&delivery), "comes later");
    ack(delivery).await;
    close(consumer).await;
    assert_eq!(queue_len(&broker, "a").await, 1);
}

/// The bindings are those of all queues that anybody declared, of every kind of exchange, in order.
pub async fn every_binding_is_listed_once(broker: Arc<dyn Broker>) {
    let list = || async {
        let bindings = within(LIMIT, "to list the bindings", broker.bindings()).await;
        bindings.expect("bindings can be listed")
    };
    assert_eq!(list().await, [], "nothing is bound before a queue is declared");
    let bound = |queue: &str, exchange: Exchange, key: &str| Queue {
        exchange,
        routing_key: key.to_owned(),
        ..Queue::named(queue)
    };
    let expected = |queue: &str, exchange: &str, routing_key: &str| Binding {
        queue: queue.to_owned(),
        exchange: exchange.to_owned(),
        routing_key: routing_key.to_owned(),
    };
    let mail = Queue::named("mail");
    declare(&broker, &bound("stock", Exchange::topic("news"), "stock.#")).await;
    declare(&broker, &mail).await;
    declare(&broker, &bound("mail", Exchange::direct("post"), "key")).await;
    declare(&broker, &mail).await;
    let all = [
        expected("mail", "mail", "mail"),
        expected("mail", "post", "key"),
        expected("stock", "news", "stock.#"),
    ];
    assert_eq!(list().await, all);
    let stock = bound("stock", Exchange::topic("news"), "stock.#");
    within(LIMIT, "to delete", broker.delete(&stock)).await.expect("a queue can be deleted");
    assert_eq!(list().await, all[..2]);
}
