//! Dispatchers at work.

use tokio_util::sync::CancellationToken;

use super::*;

/// What is in the messages that come until one has an event of that type.
async fn until(heard: &mut Box<dyn Subscription>, last: &str) -> Vec<(String, Vec<String>)> {
    let mut messages = Vec::new();
    loop {
        let message = heard.next().await.unwrap();
        let kinds: Vec<_> = events_of(&message.body)
            .iter()
            .map(|event| event["type"].as_str().unwrap().to_owned())
            .collect();
        let done = kinds.iter().any(|kind| kind == last);
        messages.push((message.properties.delivery_info.routing_key, kinds));
        if done {
            return messages;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn events_of_tasks_are_a_list_and_others_are_alone_all_in_the_order_of_their_clocks() {
    let (app, mut heard) = app("events-order", json!({})).await;
    let events = app.events().dispatcher("w1@h");
    for kind in ["task-received", "task-started", "worker-heartbeat", "task-failed", "my-event"] {
        events.send(kind, |event| _ = event.add("uuid", "a"));
    }
    let stop = CancellationToken::new();
    let sending = tokio::spawn({
        let (events, stop) = (events.clone(), stop.clone());
        async move { events.run(stop).await }
    });
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    let expected = [
        ("task.multi", texts(&["task-received", "task-started"])),
        ("worker.heartbeat", texts(&["worker-heartbeat"])),
        ("task.multi", texts(&["task-failed"])),
        ("my.event", texts(&["my-event"])),
    ];
    let seen = until(&mut heard, "my-event").await;
    assert_eq!(seen, expected.map(|(key, kinds)| (key.to_owned(), kinds)));
    assert_eq!(app.clock().value(), 5);
    stop.cancel();
    sending.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_told_before_the_end_is_sent_before_the_end() {
    let (app, mut heard) = app("events-end", json!({})).await;
    let events = app.events().dispatcher("w1@h");
    for _ in 0..1000 {
        events.send("task-started", |_| {});
    }
    events.send("worker-offline", |_| {});
    let stop = CancellationToken::new();
    stop.cancel();
    events.run(stop).await;
    let messages = until(&mut heard, "worker-offline").await;
    let lengths: Vec<_> = messages.iter().map(|(_, kinds)| kinds.len()).collect();
    assert_eq!(lengths, [250, 250, 250, 250, 1]);
}

#[tokio::test]
async fn a_group_that_is_not_on_the_list_costs_nothing() {
    let (app, _) = app("events-groups", json!({})).await;
    let events = app.events().dispatcher("w1@h").groups(["worker"]);
    events.send("task-started", |_| panic!("nobody needs the fields"));
    assert_eq!(app.clock().value(), 0);
    assert!(events.enable("task"));
    assert!(!events.enable("task"));
    assert!(events.sends("task"));
    assert!(events.disable("task"));
    assert!(!events.disable("task"));
    assert!(!events.sends("task") && events.sends("worker"));
}

#[tokio::test]
async fn without_a_list_all_groups_pass_and_none_can_be_taken_off() {
    let (app, _) = app("events-all", json!({})).await;
    let events = app.events().dispatcher("w1@h");
    assert!(!events.enable("task") && !events.disable("task"));
    assert!(events.sends("task") && events.sends("whatever"));
}

#[tokio::test]
async fn an_event_of_a_program_is_written_with_the_serializer_of_the_settings() {
    let settings = json!({ "event_serializer": "msgpack", "event_exchange": "elsewhere" });
    let (app, mut heard) = app("events-serializer", settings).await;
    app.events().send("backup-done", |event| _ = event.add("files", 3)).await.unwrap();
    let message = heard.next().await.unwrap();
    assert_eq!(message.content_type.as_deref(), Some("application/x-msgpack"));
    assert_eq!(message.properties.delivery_info.exchange, "elsewhere");
    let accept = codec::AcceptContent::new(["msgpack"]).unwrap();
    let encoding = message.content_encoding.as_deref();
    let content_type = message.content_type.as_deref();
    let body = codec::decode(&message.body, content_type, encoding, None, &accept).unwrap();
    let event = Event::from_value(body).unwrap();
    assert_eq!((event.kind(), event.number("files")), ("backup-done", Some(3.0)));
    assert_eq!(event.hostname(), Some(app.origin_name()));
}

#[tokio::test]
async fn a_task_that_is_sent_is_told_of_with_celerys_fields() {
    let (app, mut heard) = app("events-sent", json!({ "task_send_sent_event": true })).await;
    app.send_task("proj.add").args((2, 3)).task_id("a").send().await.unwrap();
    let message = heard.next().await.unwrap();
    let written = String::from_utf8(message.body.to_vec()).unwrap();
    let capture = capture("options/send_sent_event.json");
    let raw = find(&capture, "celeryev").expect("the capture has an event");
    let captured = envelope::from_json(raw.as_bytes()).unwrap();
    let captured = String::from_utf8(captured.body.to_vec()).unwrap();
    let keys =
        |text: &str| -> Vec<String> { events_of(text.as_bytes())[0].keys().cloned().collect() };
    assert_eq!(keys(&written), keys(&captured));
    let event = &events_of(written.as_bytes())[0];
    for (field, value) in [
        ("uuid", json!("a")),
        ("name", json!("proj.add")),
        ("args", json!("(2, 3)")),
        ("queue", json!("celery")),
        ("exchange", json!("")),
        ("routing_key", json!("celery")),
        ("retries", json!(0)),
    ] {
        assert_eq!(event[field], value, "{field}");
    }
    assert_eq!(message.properties.delivery_info.routing_key, "task.sent");
}

/// The first envelope in the capture for that exchange.
fn find(value: &Value, exchange: &str) -> Option<String> {
    match value {
        Value::String(text) => {
            let message = envelope::from_json(text.as_bytes()).ok()?;
            (message.properties.delivery_info.exchange == exchange).then(|| text.clone())
        }
        Value::Array(items) => items.iter().find_map(|item| find(item, exchange)),
        Value::Object(map) => map.values().find_map(|item| find(item, exchange)),
        _ => None,
    }
}
