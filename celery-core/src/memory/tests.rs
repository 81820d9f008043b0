//! What is particular to `memory://`: its names, and the clock. What all drivers must do is in the suites.

use std::{num::NonZeroU32, pin::pin, time::Duration};

use serde_json::json;
use tokio::time::Instant;

use super::*;
use crate::{
    backend::Backend,
    broker::{Broker, Consumer, Delivery, Exchange, Publication, Queue},
    clock,
    config::Config,
    message::Message,
    state::{State, TaskMeta},
    transport,
    tree::ResultTree,
};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

async fn publish(broker: &dyn Broker, body: &'static str) {
    let message = Message { body: body.into(), ..Message::default() };
    let publication =
        Publication { exchange: Exchange::anonymous(), routing_key: "celery".to_owned(), message };
    broker.publish(&[publication]).await.unwrap();
}

async fn consume(broker: &dyn Broker) -> Box<dyn Consumer> {
    broker.consume(&[Queue::named("celery")], NonZeroU32::new(1)).await.unwrap()
}

async fn take(consumer: &mut Box<dyn Consumer>) -> Delivery {
    consumer.next().await.unwrap().remove(0)
}

fn body(delivery: &Delivery) -> String {
    String::from_utf8(delivery.message.as_ref().unwrap().body.to_vec()).unwrap()
}

fn expiring(name: &str, expires: Duration, failures: Option<Duration>) -> MemoryBackend {
    let mut config = Config::default();
    config.result.expires = Some(expires);
    if let Some(time) = failures {
        config.result.failure_expires = crate::config::Lifetime::For(time);
    }
    MemoryBackend::named(name, &config)
}

#[tokio::test]
async fn a_name_is_one_broker_for_all_its_handles() {
    let config = Config::default();
    let connect = async |url: &str| {
        transport::connect_broker(&ServerUrl::parse(url).unwrap(), &config).await.unwrap()
    };
    let first = connect("memory://test-of-names").await;
    publish(&*first, "kept").await;
    first.close().await.unwrap();
    drop(first);

    assert_eq!(connect("memory://test-of-others").await.queue_len("celery").await.unwrap(), 0);
    let second = connect("memory://test-of-names/?an=option").await;
    assert_eq!(body(&take(&mut consume(&*second).await).await), "kept");
}

#[tokio::test]
async fn a_name_is_one_backend_for_all_its_handles() {
    let config = Config::default();
    let connect = async |url: &str| {
        let url = ServerUrl::parse(url).unwrap();
        transport::connect_backend(Some(&url), &config).await.unwrap()
    };
    let meta = TaskMeta::new("1f2c", State::Success, json!(1));
    let first = connect("memory://test-of-names").await;
    first.store(&meta).await.unwrap();
    first.close().await.unwrap();
    drop(first);
    assert_eq!(connect("memory://test-of-others").await.get("1f2c").await.unwrap(), None);
    assert_eq!(connect("memory://test-of-names").await.get("1f2c").await.unwrap(), Some(meta));
}

#[test]
fn the_name_is_what_stands_between_the_scheme_and_the_options() {
    let urls =
        ["memory://", "memory", "memory:///", "memory://a", "memory://a/", "memory://a/b?c=d"];
    let names = urls.map(|url| name(&ServerUrl::parse(url).unwrap()).to_owned());
    assert_eq!(names, ["", "", "", "a", "a", "a/b"]);
}

#[tokio::test(start_paused = true)]
async fn a_day_until_an_eta_passes_in_an_instant() {
    let broker = MemoryBroker::named("test-of-a-day");
    let mut consumer = consume(&broker).await;
    publish(&broker, "tomorrow").await;
    let (started, due) = (Instant::now(), clock::now() + DAY);
    take(&mut consumer).await.defer(due).await.unwrap();
    let delivery = take(&mut consumer).await;
    assert_eq!(body(&delivery), "tomorrow");
    assert!(clock::now() >= due);
    let passed = started.elapsed();
    assert!((DAY..DAY + Duration::from_secs(1)).contains(&passed), "{passed:?} passed");
    delivery.ack().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn deferred_messages_come_each_at_its_hour() {
    let broker = MemoryBroker::named("test-of-hours");
    let mut consumer = consume(&broker).await;
    let start = clock::now();
    for (body, hours) in [("third", 3), ("first", 1), ("second", 2)] {
        publish(&broker, body).await;
        take(&mut consumer).await.defer(start + hours * HOUR).await.unwrap();
    }
    for (hours, expected) in (1..).zip(["first", "second", "third"]) {
        let delivery = take(&mut consumer).await;
        assert_eq!(body(&delivery), expected);
        let passed = clock::now().duration_since(start).as_secs();
        assert!(
            (hours * 3600 - 1..hours * 3600 + 2).contains(&passed),
            "{expected} came after {passed} s"
        );
        delivery.ack().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_deferred_message_counts_as_waiting_from_its_time_on() {
    let broker = MemoryBroker::named("test-of-counting");
    let mut consumer = consume(&broker).await;
    publish(&broker, "in an hour").await;
    take(&mut consumer).await.defer(clock::now() + HOUR).await.unwrap();
    consumer.close().await.unwrap();
    assert_eq!(broker.queue_len("celery").await.unwrap(), 0);
    assert_eq!(broker.purge("celery").await.unwrap(), 0);
    tokio::time::advance(HOUR + Duration::from_secs(1)).await;
    assert_eq!(broker.queue_len("celery").await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_sooner_message_is_not_kept_waiting_by_a_later_one() {
    let broker = MemoryBroker::named("test-of-sooner");
    let mut consumer = consume(&broker).await;
    let mut another = consume(&broker).await;
    publish(&broker, "tomorrow").await;
    publish(&broker, "in an hour").await;
    take(&mut consumer).await.defer(clock::now() + DAY).await.unwrap();
    let sooner = take(&mut another).await;
    // The consumer waits for tomorrow when the other message is deferred.
    let started = Instant::now();
    let (delivery, deferred) = tokio::join!(take(&mut consumer), sooner.defer(clock::now() + HOUR));
    deferred.unwrap();
    assert_eq!(body(&delivery), "in an hour");
    assert!(started.elapsed() < 2 * HOUR);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_consumer_is_woken_without_the_clock() {
    let broker = MemoryBroker::named("test-of-waking");
    let mut consumer = consume(&broker).await;
    let started = Instant::now();
    let (delivery, ()) = tokio::join!(take(&mut consumer), publish(&broker, "now"));
    assert_eq!(body(&delivery), "now");
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn a_message_outlives_the_runtime_that_deferred_it() {
    let broker = MemoryBroker::named("test-of-runtimes");
    let deferring = broker.clone();
    let runtime = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            publish(&deferring, "patient").await;
            let due = clock::now() + Duration::from_millis(50);
            take(&mut consume(&deferring).await).await.defer(due).await.unwrap();
        });
    });
    tokio::task::spawn_blocking(move || runtime.join().unwrap()).await.unwrap();
    assert_eq!(body(&take(&mut consume(&broker).await).await), "patient");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wakeup_is_missed_between_threads() {
    const MESSAGES: usize = 20_000;
    let broker = MemoryBroker::named("test-of-threads");
    let publisher = broker.clone();
    tokio::spawn(async move {
        for _ in 0..MESSAGES {
            publish(&publisher, "one of many").await;
        }
    });
    // With a prefetch of one, each message is waited for, and then the room for the next is made on another thread.
    let mut consumer = consume(&broker).await;
    let all = async {
        for _ in 0..MESSAGES {
            let delivery = take(&mut consumer).await;
            tokio::spawn(delivery.ack());
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("a wakeup was missed");
}

#[tokio::test(start_paused = true)]
async fn a_result_expires_and_is_swept_by_the_next_store() {
    let backend = expiring("test-of-expiry", HOUR, None);
    let meta = |id: &str, result: u64| TaskMeta::new(id, State::Success, json!(result));
    for number in 0..100 {
        backend.store(&meta(&format!("task-{number}"), number)).await.unwrap();
    }
    tokio::time::advance(HOUR / 2).await;
    backend.store(&meta("late", 1)).await.unwrap();
    assert!(backend.get("task-7").await.unwrap().is_some());
    tokio::time::advance(HOUR / 2 + Duration::from_secs(1)).await;
    assert_eq!(backend.get("task-7").await.unwrap(), None);
    assert_eq!(backend.get("late").await.unwrap(), Some(meta("late", 1)));

    // The success is past, so it is final no more.
    backend.store(&meta("task-7", 70)).await.unwrap();
    assert_eq!(backend.get("task-7").await.unwrap(), Some(meta("task-7", 70)));
    assert_eq!(backend.held(), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_store_begins_the_lifetime_anew_and_a_failure_has_its_own() {
    let backend = expiring("test-of-lifetimes", HOUR, Some(DAY));
    let meta = |state| TaskMeta::new("moving", state, json!({}));
    for _ in 0..3 {
        backend.store(&meta(State::Started)).await.unwrap();
        tokio::time::advance(HOUR / 2).await;
        assert!(backend.get("moving").await.unwrap().is_some());
    }
    backend.store(&meta(State::Failure)).await.unwrap();
    tokio::time::advance(2 * HOUR).await;
    assert!(backend.get("moving").await.unwrap().is_some());
    assert_eq!(backend.wait("moving").await.unwrap().state, State::Failure);
    tokio::time::advance(DAY).await;
    assert_eq!(backend.get("moving").await.unwrap(), None);
    assert_eq!(backend.held().0, 1, "a read sweeps nothing");
    backend.store(&TaskMeta::new("another", State::Started, json!(null))).await.unwrap();
    assert_eq!(backend.held().0, 1);
}

#[tokio::test(start_paused = true)]
async fn a_saved_group_lives_as_long_as_a_result() {
    let backend = expiring("test-of-groups", HOUR, Some(DAY));
    let groups = backend.groups().unwrap();
    let group = |id: &str| ResultTree::group(id, vec![ResultTree::task("a")]);
    groups.save(&group("early")).await.unwrap();
    tokio::time::advance(HOUR / 2).await;
    groups.save(&group("late")).await.unwrap();
    assert_eq!(groups.restore("early").await.unwrap(), Some(group("early")));
    tokio::time::advance(HOUR / 2).await;
    assert_eq!(groups.restore("early").await.unwrap(), None);
    assert_eq!(groups.restore("late").await.unwrap(), Some(group("late")));
    groups.save(&group("early")).await.unwrap();
    tokio::time::advance(HOUR / 2).await;
    assert_eq!(groups.restore("early").await.unwrap(), Some(group("early")));
    assert_eq!(groups.restore("late").await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_an_expired_result_waits_for_the_next() {
    let backend = expiring("test-of-expired-waits", HOUR, None);
    backend.store(&TaskMeta::new("done", State::Success, json!("old"))).await.unwrap();
    tokio::time::advance(2 * HOUR).await;
    let mut waiting = pin!(backend.wait("done"));
    assert!(tokio::time::timeout(HOUR, &mut waiting).await.is_err());
    backend.store(&TaskMeta::new("done", State::Success, json!("new"))).await.unwrap();
    assert_eq!(waiting.await.unwrap().result, json!("new"));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_wait_leaves_nothing_behind() {
    let config = Config::default();
    let backend = MemoryBackend::named("test-of-cancelled-waits", &config);
    {
        let mut waits: Vec<_> = (0..3).map(|_| Box::pin(backend.wait("never"))).collect();
        for wait in &mut waits {
            assert!(tokio::time::timeout(HOUR, wait).await.is_err());
        }
        assert_eq!(backend.held(), (0, 1));
        waits.pop();
        assert_eq!(backend.held(), (0, 1));
    }
    assert_eq!(backend.held(), (0, 0));
}

#[tokio::test]
async fn a_subscription_that_is_dropped_is_forgotten() {
    let broker = MemoryBroker::named("test-of-subscriptions");
    let queue = Queue { exchange: Exchange::fanout("news"), ..Queue::named("listener") };
    let first = broker.subscribe(&queue).await.unwrap();
    let second = broker.subscribe(&queue).await.unwrap();
    assert_eq!(broker.listeners("news"), 2);
    drop(first);
    assert_eq!(broker.listeners("news"), 1);
    second.close().await.unwrap();
    assert_eq!(broker.listeners("news"), 0);
}
