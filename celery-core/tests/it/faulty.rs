//! The broker that fails on purpose fails as it says.

use std::{sync::Arc, time::Duration};

use celery_core::{
    broker::{Broker, BrokerError, Consumer, Delivery, Exchange, Publication, Queue},
    conformance::{
        Faulty,
        faulty::Call::{Next, Publish, Settle},
        within,
    },
    memory::MemoryBroker,
    message::Message,
};

const LIMIT: Duration = Duration::from_secs(5);

fn faulty(name: &str) -> Faulty {
    Faulty::new(Arc::new(MemoryBroker::named(&format!("faulty-{name}"))))
}

async fn publish(broker: &Faulty) -> Result<(), BrokerError> {
    let message = Message { body: "hello".into(), ..Message::default() };
    let publication =
        Publication { exchange: Exchange::anonymous(), routing_key: "celery".to_owned(), message };
    broker.publish(&[publication]).await
}

async fn consume(broker: &Faulty) -> Box<dyn Consumer> {
    broker.consume(&[Queue::named("celery")], None).await.unwrap()
}

async fn next(consumer: &mut Box<dyn Consumer>) -> Result<Vec<Delivery>, BrokerError> {
    within(LIMIT, "a delivery", consumer.next()).await
}

#[track_caller]
fn assert_lost<T: std::fmt::Debug>(outcome: &Result<T, BrokerError>) {
    assert!(matches!(outcome, Err(BrokerError::ConnectionLost(_))), "{outcome:?}");
}

#[tokio::test]
async fn the_nth_call_from_now_on_loses_the_connection() {
    let broker = faulty("nth");
    publish(&broker).await.unwrap();
    broker.lose_connection_on(Publish, 2);
    publish(&broker).await.unwrap();
    assert_lost(&publish(&broker).await);
    publish(&broker).await.unwrap();
    assert_eq!(broker.calls(Publish), 4);
    assert_eq!(broker.queue_len("celery").await.unwrap(), 3);
}

#[tokio::test]
async fn a_consumer_is_gone_with_its_connection_and_its_messages_come_back() {
    for call in [Next, Settle] {
        let broker = faulty(&format!("{call:?}"));
        publish(&broker).await.unwrap();
        broker.lose_connection_on(call, 1);
        let mut consumer = consume(&broker).await;
        if call == Settle {
            let delivery = next(&mut consumer).await.unwrap().remove(0);
            assert_lost(&delivery.ack().await);
        }
        assert_lost(&next(&mut consumer).await);
        assert_lost(&next(&mut consumer).await);

        let delivery = next(&mut consume(&broker).await).await.unwrap().remove(0);
        assert!(delivery.message.as_ref().unwrap().properties.delivery_info.redelivered);
        delivery.ack().await.unwrap();
        assert_eq!(broker.queue_len("celery").await.unwrap(), 0);
    }
}

#[tokio::test]
async fn what_is_out_when_the_connection_is_lost_cannot_be_settled() {
    let broker = faulty("out");
    publish(&broker).await.unwrap();
    let mut consumer = consume(&broker).await;
    let out = next(&mut consumer).await.unwrap().remove(0);
    publish(&broker).await.unwrap();
    broker.lose_connection_on(Next, 1);
    assert_lost(&next(&mut consumer).await);
    assert_lost(&out.ack().await);
    assert_eq!(broker.queue_len("celery").await.unwrap(), 2);
}

#[tokio::test]
async fn each_message_is_delivered_twice() {
    let broker = faulty("twice");
    broker.deliver_twice();
    publish(&broker).await.unwrap();
    let mut deliveries = next(&mut consume(&broker).await).await.unwrap();
    let properties = |delivery: &Delivery| delivery.message.as_ref().unwrap().properties.clone();
    let [first, second] = [properties(&deliveries[0]), properties(&deliveries[1])];
    assert_eq!(first.delivery_tag, second.delivery_tag);
    assert_eq!((first.delivery_info.redelivered, second.delivery_info.redelivered), (false, true));
    deliveries.pop().unwrap().reject(true).await.unwrap();
    assert_eq!(
        broker.queue_len("celery").await.unwrap(),
        0,
        "the broker knows of one delivery only"
    );
    deliveries.pop().unwrap().ack().await.unwrap();
    assert_eq!(broker.queue_len("celery").await.unwrap(), 0);
}
