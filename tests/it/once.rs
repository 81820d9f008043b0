//! Calls whose answers are lost on their way from the server, which has carried them out.

use std::collections::BTreeSet;

use celery::core::config::ServerUrl;
use peers::Proxy;
use serde_json::json;

use crate::{
    harness::{Circle, number, redis_url},
    tasks::*,
};

/// An app that reaches the server through the proxy.
async fn through_a_proxy() -> (Circle, Proxy) {
    let url = ServerUrl::parse(&redis_url()).unwrap();
    let port = url.expose().rsplit(':').next().unwrap().split('/').next().unwrap().parse().unwrap();
    let proxy = Proxy::start(port).await;
    let prefix = format!("once-{}-{}:", std::process::id(), number());
    let settings = json!({ "broker_transport_options": { "global_keyprefix": prefix } });
    let url = proxy.url();
    (Circle::build(|builder| builder.broker(&url).backend(redis_url()), &settings), proxy)
}

#[tokio::test]
async fn a_call_whose_answer_was_lost_is_not_sent_twice() {
    let (circle, proxy) = through_a_proxy().await;
    circle.call(Add::s(1, 1)).await;
    for lost in 1..=3 {
        proxy.swallow("EVALSHA", 1);
        circle.call(Add::s(1, 1)).await;
        proxy.swallowed(lost).await;
        assert_eq!(circle.waiting("celery").await, 1 + lost);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_at_once_are_sent_once_each_whatever_answers_are_lost() {
    let (circle, proxy) = through_a_proxy().await;
    circle.call(Add::s(1, 1).queue("other")).await;
    proxy.swallow("EXEC", 4);
    let app = &circle.app;
    let calls = (0..200).map(|x| {
        let app = app.clone();
        tokio::spawn(async move { Add::s(x, 1).with_app(&app).apply_async().await })
    });
    let mut ids = BTreeSet::new();
    for call in calls.collect::<Vec<_>>() {
        ids.insert(call.await.unwrap().unwrap().id().to_owned());
    }
    let batch = circle.app.send_all((0..3000).map(|x| Add::s(x, 1))).await.unwrap();
    ids.extend(batch.iter().map(|result| result.id().to_owned()));
    assert_eq!(ids.len(), 3200);
    assert_eq!(circle.waiting("celery").await, 3200);
}
