//! Exchanges: which queues and listeners a message reaches.

use std::sync::Arc;

use crate::broker::{Broker, BrokerError, Subscription};

use super::*;

fn bound(queue: &str, exchange: &Exchange, routing_key: &str) -> Queue {
    Queue { exchange: exchange.clone(), routing_key: routing_key.to_owned(), ..Queue::named(queue) }
}

fn to_exchange(exchange: &Exchange, routing_key: &str, body: &str) -> Publication {
    Publication {
        exchange: exchange.clone(),
        routing_key: routing_key.to_owned(),
        message: message(body),
    }
}

/// What waits in the queue, taken and acknowledged.
async fn drain(broker: &Arc<dyn Broker>, queue: &Queue) -> Vec<String> {
    let waiting = queue_len(broker, &queue.name).await;
    let consumer = broker.consume(std::slice::from_ref(queue), None);
    let mut consumer =
        within(LIMIT, "to consume", consumer).await.expect("a declared queue can be consumed from");
    let deliveries =
        take(&mut consumer, usize::try_from(waiting).expect("it fits into memory")).await;
    let bodies = bodies(&deliveries);
    ack_all(deliveries).await;
    close(consumer).await;
    bodies
}

/// A direct exchange puts a message into the queues that are bound with its routing key.
pub async fn a_direct_exchange_routes_by_key(broker: Arc<dyn Broker>) {
    let exchange = Exchange::direct("post");
    let (red, blue) =
        (bound("red letters", &exchange, "red"), bound("blue letters", &exchange, "blue"));
    declare(&broker, &red).await;
    declare(&broker, &blue).await;
    let keys = ["red", "blue", "red"];
    let batch: Vec<_> =
        keys.iter().map(|key| to_exchange(&exchange, key, &format!("a {key} one"))).collect();
    publish_all(&broker, &batch).await;

    let consumer = broker.consume(std::slice::from_ref(&red), None);
    let mut consumer =
        within(LIMIT, "to consume", consumer).await.expect("a declared queue can be consumed from");
    let deliveries = take(&mut consumer, 2).await;
    assert_eq!(bodies(&deliveries), ["a red one", "a red one"]);
    let info = &read(&deliveries[0]).properties.delivery_info;
    assert_eq!((info.exchange.as_str(), info.routing_key.as_str()), ("post", "red"));
    assert_eq!(deliveries[0].queue, "red letters");
    drop(deliveries);
    let again = take(&mut consumer, 2).await;
    assert_eq!(
        bodies(&again),
        ["a red one", "a red one"],
        "it comes back to the queue that it was taken from"
    );
    ack_all(again).await;
    close(consumer).await;
    assert_eq!(drain(&broker, &blue).await, ["a blue one"]);
}

/// A topic exchange matches patterns word by word: `*` is one word, `#` any number of them.
pub async fn a_topic_exchange_routes_by_pattern(broker: Arc<dyn Broker>) {
    let exchange = Exchange::topic("news");
    let stock = bound("of one market", &exchange, "stock.*");
    let nyse = bound("of new york", &exchange, "stock.#.nyse");
    let all_stock = bound("of all markets", &exchange, "stock.#");
    let everything = bound("of everything", &exchange, "#");
    let queues = [&stock, &nyse, &all_stock, &everything];
    for queue in queues {
        declare(&broker, queue).await;
    }
    let keys = ["stock.usd", "stock.usd.nyse", "bonds.eur", "stocking.usd"];
    for key in keys {
        publish_all(&broker, &[to_exchange(&exchange, key, key)]).await;
    }
    assert_eq!(drain(&broker, &stock).await, ["stock.usd"]);
    assert_eq!(drain(&broker, &nyse).await, ["stock.usd.nyse"]);
    assert_eq!(drain(&broker, &all_stock).await, ["stock.usd", "stock.usd.nyse"]);
    assert_eq!(drain(&broker, &everything).await, keys);
}

/// Two queues that are bound alike get a copy each, and the copies are settled apart from each other.
pub async fn queues_with_one_binding_get_a_copy_each(broker: Arc<dyn Broker>) {
    let exchange = Exchange::direct("post");
    let queues = [bound("mine", &exchange, "key"), bound("yours", &exchange, "key")];
    for queue in &queues {
        declare(&broker, queue).await;
    }
    publish_all(&broker, &[to_exchange(&exchange, "key", "to both")]).await;
    let consumer = broker.consume(&queues, None);
    let mut consumer =
        within(LIMIT, "to consume", consumer).await.expect("declared queues can be consumed from");
    let mut deliveries = take(&mut consumer, 2).await;
    assert_ne!(tag(&deliveries[0]), tag(&deliveries[1]), "each copy has a tag of its own");
    assert_ne!(deliveries[0].queue, deliveries[1].queue);
    let other = deliveries.remove(1);
    ack(deliveries.remove(0)).await;
    let queue = other.queue.clone();
    drop(other);
    let again = take_one(&mut consumer).await;
    assert_eq!(again.queue, queue, "the other copy is still there");
    ack(again).await;
}

/// A message that no queue would get is refused, in words that name exchange and key.
pub async fn what_no_queue_is_bound_for_is_unroutable(broker: Arc<dyn Broker>) {
    let exchange = Exchange::direct("post");
    declare(&broker, &bound("red letters", &exchange, "red")).await;
    for (exchange, key) in [
        (&exchange, "green"),
        (&Exchange::direct("nobody's"), "red"),
        (&Exchange::topic("none"), "a.b"),
    ] {
        let refused =
            within(LIMIT, "to publish", broker.publish(&[to_exchange(exchange, key, "lost")]))
                .await;
        match refused {
            Err(BrokerError::Unroutable { exchange: name, routing_key }) => {
                assert_eq!((name.as_str(), routing_key.as_str()), (exchange.name.as_str(), key));
            }
            other => panic!(
                "`{}` with `{key}` is bound to nothing, but publishing gave {other:?}",
                exchange.name
            ),
        }
    }
    assert_eq!(queue_len(&broker, "red letters").await, 0);
}

/// A fanout reaches who listens at that moment. Without a listener it goes nowhere, which is no error.
pub async fn a_fanout_reaches_every_subscriber_and_nobody_later(broker: Arc<dyn Broker>) {
    let exchange = Exchange::fanout("broadcasts");
    let subscribe = |name: &'static str| {
        let (broker, queue) = (&broker, bound(name, &exchange, ""));
        async move {
            let subscription = within(LIMIT, "to subscribe", broker.subscribe(&queue)).await;
            subscription.expect("a fanout can be subscribed to")
        }
    };
    let broadcast = |body: &'static str| publish_one(&broker, to_exchange(&exchange, "", body));

    broadcast("to nobody").await;
    let mut first = subscribe("first").await;
    let mut second = subscribe("second").await;
    broadcast("to two").await;
    assert_eq!(hear(&mut first).await, "to two");
    assert_eq!(hear(&mut second).await, "to two");

    let mut third = subscribe("third").await;
    within(LIMIT, "to unsubscribe", second.close()).await.expect("a subscription can be closed");
    broadcast("to the first and third").await;
    broadcast("and once more").await;
    for listener in [&mut first, &mut third] {
        assert_eq!(hear(listener).await, "to the first and third");
        assert_eq!(hear(listener).await, "and once more");
    }
}

/// Who listens with a pattern hears only what was published with a routing key that matches.
pub async fn a_subscriber_hears_what_its_pattern_matches(broker: Arc<dyn Broker>) {
    let exchange = Exchange::fanout("rumours");
    let mut listeners = Vec::new();
    for pattern in ["worker.#", "task.multi", "#"] {
        let queue = bound(pattern, &exchange, pattern);
        let subscription = within(LIMIT, "to subscribe", broker.subscribe(&queue)).await;
        listeners.push(subscription.expect("a fanout can be subscribed to"));
    }
    let keys = ["task.sent", "worker.online", "task.multi", "worker.elect.ack", "my.own"];
    for key in keys {
        publish_one(&broker, to_exchange(&exchange, key, key)).await;
    }
    let [workers, tasks, all] = &mut listeners[..] else { panic!("three listen") };
    for key in ["worker.online", "worker.elect.ack"] {
        assert_eq!(hear(workers).await, key);
    }
    assert_eq!(hear(tasks).await, "task.multi");
    for key in keys {
        assert_eq!(hear(all).await, key);
    }
}

async fn publish_one(broker: &Arc<dyn Broker>, publication: Publication) {
    publish_all(broker, &[publication]).await;
}

async fn hear(subscription: &mut Box<dyn Subscription>) -> String {
    let heard = within(LIMIT, "to hear a broadcast", subscription.next()).await;
    let heard = heard.expect("a subscription can be asked for messages");
    String::from_utf8_lossy(&heard.body).into_owned()
}
