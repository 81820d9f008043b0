use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::*;
use crate::{
    broker::{BrokerError, Publication},
    codec::AcceptContent,
    envelope,
    message::{Headers, Message},
    value::Value,
};

/// What a Python client and Python workers sent, by command: `request`, and `replies`.
fn captured() -> Value {
    serde_json::from_str(include_str!("../../tests/fixtures/control/commands.json")).unwrap()
}

fn message_of(raw: &Value) -> Message {
    envelope::from_json(raw.as_str().unwrap().as_bytes()).unwrap()
}

fn memory_app(name: &str) -> Celery {
    Celery::builder("test").broker(format!("memory://{name}")).environment_from([]).build().unwrap()
}

#[test]
fn requests_are_what_python_sends_byte_for_byte() {
    let captured = captured();
    for (command, exchange) in captured.as_object().unwrap() {
        let python = message_of(&exchange["request"]);
        let request = Request::from_message(&python, &AcceptContent::default()).unwrap();
        let clock = python.headers["clock"].as_u64().unwrap();
        let expires = python.headers["expires"].as_f64().unwrap();
        let ours = request.to_message(clock, expires, Serializer::Json).unwrap();
        assert_eq!(ours.body, python.body, "{command}");
        assert_eq!(ours.headers, python.headers, "{command}");
        assert_eq!(ours.properties.delivery_mode, python.properties.delivery_mode, "{command}");
        assert_eq!(ours.properties.priority, python.properties.priority, "{command}");
    }
}

#[test]
fn replies_are_what_python_sends_byte_for_byte() {
    let captured = captured();
    let raws = captured
        .as_object()
        .unwrap()
        .values()
        .flat_map(|exchange| exchange["replies"].as_array().unwrap());
    let mut seen = 0;
    for raw in raws {
        let python = message_of(raw);
        let reply = Reply::from_message(&python, &AcceptContent::default()).unwrap();
        let ours =
            reply.to_message(python.headers["clock"].as_u64().unwrap(), Serializer::Json).unwrap();
        assert_eq!((ours.body, ours.headers), (python.body, python.headers));
        assert_eq!(ours.properties.delivery_mode, python.properties.delivery_mode);
        seen += 1;
    }
    assert!(seen >= 5, "{seen} replies");
}

#[test]
fn a_request_that_wants_no_reply_says_so() {
    let message =
        Request::new("heartbeat", Map::new()).to_message(3, 0.0, Serializer::Json).unwrap();
    let expected = r#"{"method": "heartbeat", "arguments": {}, "destination": null, "pattern": null, "matcher": null}"#;
    assert_eq!(message.body, expected);
    assert_eq!(json!(message.headers), json!({"clock": 3, "expires": 0}));
}

#[test]
fn a_request_is_for_its_destination_then_its_pattern_then_everyone() {
    let check = |body: Value, node: &str, expected: bool| {
        let message = request::message(&body, Headers::default(), 2, Serializer::Json).unwrap();
        let request = Request::from_message(&message, &AcceptContent::default()).unwrap();
        assert_eq!(request.is_for(node), expected, "{body} and {node}");
    };
    check(json!({"method": "ping"}), "w1@h", true);
    check(json!({"method": "ping", "destination": []}), "w1@h", true);
    check(json!({"method": "ping", "destination": ["w1@h"]}), "w1@h", true);
    check(json!({"method": "ping", "destination": ["w2@h"]}), "w1@h", false);
    check(json!({"method": "ping", "destination": "w1@h,w2@h"}), "w2@h", true);
    check(
        json!({"method": "ping", "destination": ["w2@h"], "pattern": "w1*", "matcher": "glob"}),
        "w1@h",
        false,
    );
    check(json!({"method": "ping", "pattern": "w1*", "matcher": "glob"}), "w1@h", true);
    check(json!({"method": "ping", "pattern": "w2*", "matcher": "glob"}), "w1@h", false);
    check(json!({"method": "ping", "pattern": "w[12]@", "matcher": "pcre"}), "w1@h", true);
    check(json!({"method": "ping", "pattern": "w2*"}), "w1@h", true);
    check(json!({"method": "ping", "pattern": "w1*", "matcher": "soundex"}), "w1@h", false);
}

#[test]
fn what_is_no_request_is_refused_with_the_reason() {
    let check = |body: Value, expected: &str| {
        let message = request::message(&body, Headers::default(), 2, Serializer::Json).unwrap();
        let error = Request::from_message(&message, &AcceptContent::default()).unwrap_err();
        assert_eq!(error.to_string(), format!("not a message of remote control: {expected}"));
    };
    check(json!([]), "the body is not an object");
    check(json!({}), "it has no `method`");
    check(json!({"method": "ping", "arguments": [1]}), "its `arguments` are not an object");
}

/// Answers each request that is for the node with its ticket and the method, until the test ends.
async fn answer_as(app: &Celery, node: &'static str) {
    let broker = app.broker().await.unwrap().clone();
    let mut requests = broker.subscribe(&node_queue(&app.config().control, node)).await.unwrap();
    tokio::spawn(async move {
        loop {
            let message = requests.next().await.unwrap();
            let request = Request::from_message(&message, &AcceptContent::default()).unwrap();
            let Some(to) = request.reply_to.clone().filter(|_| request.is_for(node)) else {
                continue;
            };
            let value = json!({ "ok": request.method });
            let reply = Reply { node: node.to_owned(), value, ticket: request.ticket };
            let message = reply.to_message(7, Serializer::Json).unwrap();
            let exchange = Exchange::direct(to.exchange);
            let publication = Publication { exchange, routing_key: to.routing_key, message };
            broker.publish(&[publication]).await.unwrap();
        }
    });
}

#[tokio::test(start_paused = true)]
async fn every_worker_answers_within_the_timeout() {
    let app = memory_app("control-all");
    answer_as(&app, "w1@h").await;
    answer_as(&app, "w2@h").await;
    let started = Instant::now();
    let mut seen = Vec::new();
    let replies =
        app.control().ping().replies_each(|node, _| seen.push(node.to_owned())).await.unwrap();
    let mut nodes: Vec<_> = replies.iter().map(|(node, _)| node.clone()).collect();
    assert_eq!(seen, nodes);
    nodes.sort();
    assert_eq!(nodes, ["w1@h", "w2@h"]);
    assert_eq!(replies[0].1, json!({ "ok": "ping" }));
    assert_eq!(started.elapsed(), Duration::from_secs(1));
    assert!(app.clock().value() > 7, "the clocks of the workers are taken in");
}

#[tokio::test(start_paused = true)]
async fn a_destination_is_not_waited_for_longer_than_it_takes_to_answer() {
    let app = memory_app("control-destination");
    answer_as(&app, "w1@h").await;
    answer_as(&app, "w2@h").await;
    let started = Instant::now();
    let replies = app.control().ping().destination(["w2@h"]).replies().await.unwrap();
    assert_eq!(replies, [("w2@h".to_owned(), json!({ "ok": "ping" }))]);
    assert!(started.elapsed() < Duration::from_secs(1));
    let replies = app
        .control()
        .inspect()
        .registered(["max_retries"])
        .pattern("w1*", Matcher::Glob)
        .limit(1)
        .replies()
        .await
        .unwrap();
    assert_eq!(replies, [("w1@h".to_owned(), json!({ "ok": "registered" }))]);
}

#[tokio::test(start_paused = true)]
async fn nobody_answering_is_no_error() {
    let app = memory_app("control-nobody");
    let replies = app.control().ping().timeout(Duration::from_secs(3)).replies().await.unwrap();
    assert_eq!(replies, []);
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_under_way_at_once_do_not_mix() {
    let app = memory_app("control-mix");
    answer_as(&app, "w1@h").await;
    let asks = (0..20).map(|n| app.control().broadcast(format!("method{n}"), Map::new()).replies());
    for (n, replies) in futures_util::future::join_all(asks).await.into_iter().enumerate() {
        assert_eq!(replies.unwrap(), [("w1@h".to_owned(), json!({ "ok": format!("method{n}") }))]);
    }
}

/// Whether a reply to this request would still find its queue.
async fn is_awaited(app: &Celery, request: &Request) -> bool {
    let to = request.reply_to.clone().unwrap();
    let publication = Publication {
        exchange: Exchange::direct(to.exchange),
        routing_key: to.routing_key,
        message: Message::default(),
    };
    match app.broker().await.unwrap().publish(&[publication]).await {
        Ok(()) => true,
        Err(BrokerError::Unroutable { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_queue_for_replies_is_gone_once_a_request_is_done_or_dropped() {
    let app = memory_app("control-gone");
    let queue = node_queue(&app.config().control, "w1@h");
    let mut requests = app.broker().await.unwrap().subscribe(&queue).await.unwrap();

    app.control().ping().replies().await.unwrap();
    let message = requests.next().await.unwrap();
    let done = Request::from_message(&message, &AcceptContent::default()).unwrap();
    assert!(!is_awaited(&app, &done).await);

    let control = app.control();
    let asking =
        tokio::spawn(
            async move { control.ping().timeout(Duration::from_secs(60)).replies().await },
        );
    let message = requests.next().await.unwrap();
    let dropped = Request::from_message(&message, &AcceptContent::default()).unwrap();
    assert!(is_awaited(&app, &dropped).await);
    asking.abort();
    let is_deleted = async {
        while is_awaited(&app, &dropped).await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), is_deleted).await.expect("the queue is deleted");
}

/// The command and the arguments that Python's client sent in the case.
fn check_request<T>(ours: &Broadcast<T>, case: &str) {
    let captured: Value =
        serde_json::from_str(include_str!("../../tests/fixtures/control/requests.json")).unwrap();
    let request = ours.request();
    let ours = json!({ "method": request.method, "arguments": request.arguments });
    assert_eq!(ours, captured[case], "{case}");
}

#[test]
fn each_command_is_sent_with_the_arguments_of_celerys_client() {
    let app = memory_app("control-requests");
    let (control, inspect) = (app.control(), app.control().inspect());
    check_request(&control.ping(), "ping");
    check_request(&control.autoscale(4, 2), "autoscale");
    let exchange = Exchange::topic("ex");
    let queue = Queue { exchange, routing_key: "a.*".to_owned(), ..Queue::named("extra2") };
    check_request(&control.add_consumer(&queue), "add_consumer_full");
    check_request(&control.cancel_consumer("extra"), "cancel_consumer");
    check_request(&control.enable_events(), "enable_events");
    check_request(&control.disable_events(), "disable_events");
    check_request(&control.pool_grow(1), "pool_grow");
    check_request(&control.pool_shrink(1), "pool_shrink");
    check_request(&control.pool_restart(), "pool_restart");
    check_request(&control.heartbeat(), "heartbeat");
    check_request(&control.shutdown(), "shutdown");
    check_request(&control.election("e1", "task", Value::Null), "election");
    check_request(&control.rate_limit("wireapp.add", "10/m"), "rate_limit");
    check_request(&control.time_limit("wireapp.add", 50.0, 60.0), "time_limit");
    check_request(&inspect.ping(), "ping");
    check_request(&inspect.active(), "active");
    check_request(&inspect.reserved(), "reserved");
    check_request(&inspect.scheduled(), "scheduled");
    check_request(&inspect.revoked(), "revoked_before");
    check_request(&inspect.stats(), "stats");
    check_request(&inspect.active_queues(), "active_queues");
    check_request(&inspect.conf(), "conf");
    check_request(&inspect.conf_with_defaults(), "conf_with_defaults");
    check_request(&inspect.report(), "report");
    check_request(&inspect.clock(), "clock");
    check_request(&inspect.memsample(), "memsample");
    check_request(&inspect.memdump(10), "memdump");
    check_request(
        &inspect.registered(["max_retries", "rate_limit", "ignore_result"]),
        "registered_items",
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_what_was_asked_for_or_the_words_of_who_refuses() {
    let app = memory_app("control-answers");
    answer_as(&app, "w1@h").await;
    let answers = app.control().ping().limit(1).answers().await.unwrap();
    assert_eq!(answers, [("w1@h".to_owned(), Ok("ping".to_owned()))]);
    let answers = app.control().inspect().clock().limit(1).answers().await.unwrap();
    let refusal = answers[0].1.clone().unwrap_err().to_string();
    assert!(refusal.starts_with("an answer of another shape: "), "{refusal}");
}
