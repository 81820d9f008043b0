//! Receivers at work.

use std::time::Duration;

use crate::clock;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_receiver_hears_what_its_key_matches_one_by_one() {
    let (app, _) = app("events-heard", json!({})).await;
    let mut tasks = app.events().receive("task.#").await.unwrap();
    let mut workers = app.events().receive("worker.#").await.unwrap();
    let events = app.events().dispatcher("w1@h");
    for kind in ["task-received", "worker-heartbeat", "task-started"] {
        events.send(kind, |event| _ = event.add("uuid", "a"));
    }
    let stop = tokio_util::sync::CancellationToken::new();
    stop.cancel();
    events.run(stop).await;
    assert_eq!(tasks.next().await.unwrap().kind(), "task-received");
    let started = tasks.next().await.unwrap();
    assert_eq!((started.kind(), started.clock()), ("task-started", Some(5)));
    assert_eq!(workers.next().await.unwrap().kind(), "worker-heartbeat");
    let mut heard = Vec::new();
    let mut handlers = Handlers::new().on("*", |event| heard.push(event.to_string()));
    let capture = tokio::time::timeout(Duration::from_secs(1), tasks.capture(&mut handlers));
    assert!(capture.await.is_err(), "nothing more comes");
    drop(handlers);
    assert!(heard.is_empty(), "{heard:?}");
    tasks.close().await;
}

#[tokio::test(start_paused = true)]
async fn who_begins_to_listen_asks_all_workers_for_a_heartbeat() {
    let (app, _) = app("events-wakeup", json!({})).await;
    let queue = crate::control::node_queue(&app.config().control, "w1@h");
    let mut requests = app.broker().await.unwrap().subscribe(&queue).await.unwrap();
    let _events = app.events().receive("#").await.unwrap();
    let request = requests.next().await.unwrap();
    let request = crate::control::Request::from_message(&request, app.accept_content()).unwrap();
    assert_eq!((request.method.as_str(), request.reply_to), ("heartbeat", None));
}

#[tokio::test(start_paused = true)]
async fn an_event_is_put_into_our_own_time_and_our_clock_follows_it() {
    let (app, _) = app("events-time", json!({})).await;
    let mut events = app.events().receive("#").await.unwrap();
    let config = &app.config().event;
    let here = wire::utcoffset(clock::now());
    let sender = Sender { config, hostname: "w1@far", pid: 7, utcoffset: here + 2.5 };
    let told = |clock| Told { clock, text: Fields::new().end(1_000_000_000_000_000, "task-x") };
    let publication = sender.list("task.multi", &[told(40), told(7)]).unwrap().unwrap();
    app.broker().await.unwrap().publish(&[publication]).await.unwrap();
    let event = events.next().await.unwrap();
    assert_eq!(event.timestamp(), Some(1e9 - 2.5 * 3600.0));
    assert!(event.number("local_received").unwrap() > 1.7e9);
    assert!(app.clock().value() > 41);
    assert_eq!(events.next().await.unwrap().clock(), Some(7));

    // A client's clock is its own.
    let own = app.clock().value();
    app.events().send("task-sent", |_| {}).await.unwrap();
    assert_eq!(events.next().await.unwrap().clock(), Some(own));
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_slow_receiver_beyond_its_time_is_dropped() {
    let (app, _) = app("events-slow", json!({ "event_queue_ttl": 3 })).await;
    let mut events = app.events().receive("#").await.unwrap();
    app.events().send("first-thing", |_| {}).await.unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    app.events().send("second-thing", |_| {}).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(events.next().await.unwrap().kind(), "second-thing");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_event_does_no_harm() {
    let (app, _) = app("events-broken", json!({})).await;
    let mut events = app.events().receive("#").await.unwrap();
    for body in ["{", "[1, {\"type\": 3}, {\"type\": \"task-x\"}]", "\"text\"", "{\"a\": 1}"] {
        let message = crate::message::Message {
            body: body.into(),
            content_type: Some("application/json".to_owned()),
            content_encoding: Some("utf-8".to_owned()),
            ..Default::default()
        };
        let (exchange, routing_key) = (exchange(&app.config().event), "task.x".to_owned());
        let publication = crate::broker::Publication { exchange, routing_key, message };
        app.broker().await.unwrap().publish(&[publication]).await.unwrap();
    }
    assert_eq!(events.next().await.unwrap().kind(), "task-x");
    app.events().send("all-well", |_| {}).await.unwrap();
    assert_eq!(events.next().await.unwrap().kind(), "all-well");
}
