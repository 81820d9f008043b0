//! Many calls at once.

use std::time::Duration;

use celery::{Error, Signature, core::conformance::faulty::Call};
use serde_json::json;

use crate::{
    harness::{Circle, faulty},
    tasks::*,
};

#[tokio::test(start_paused = true)]
async fn many_calls_are_sent_in_their_order_and_each_has_its_result() {
    let circle = Circle::new();
    let calls = (0..2500).map(|number| Add::s(number, 1));
    let results = circle.app.send_all(calls).await.unwrap();
    assert_eq!(results.len(), 2500);
    assert_eq!(circle.waiting("celery").await, 2500);
    let _worker = circle.worker();
    for (number, result) in (0..).zip(results) {
        assert_eq!(result.get_within(Duration::from_secs(60)).await.unwrap(), number + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn calls_of_different_tasks_and_options_are_sent_together() {
    let circle = Circle::new();
    let calls = [
        Add::s(1, 2).untyped(),
        Note::s(json!("x")).queue("other").task_id("noted").untyped(),
        Signature::named("it.tasks.add").args((3, 4)),
    ];
    let results = circle.app.send_all(calls).await.unwrap();
    assert_eq!(results[1].id(), "noted");
    assert_eq!(circle.waiting("celery").await, 2);
    assert_eq!(circle.waiting("other").await, 1);
    let nothing: [Signature; 0] = [];
    assert!(circle.app.send_all(nothing).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_cannot_be_sent_says_which_were() {
    let circle = Circle::new();
    let call = |number: i64| match number {
        1700 => Signature::named("it.tasks.add").args("not a list"),
        _ => Signature::named("it.tasks.add").args((number, 1)).task_id(number.to_string()),
    };
    let error = circle.app.send_all((0..2000).map(call)).await.unwrap_err();
    let Error::Unsent(unsent) = &error else { panic!("{error:?}") };
    assert_eq!(unsent.sent.len(), 1000);
    assert_eq!(unsent.sent[999], "999");
    assert!(unsent.unsure.is_empty());
    assert!(matches!(unsent.source, Error::Call(_)));
    assert_eq!(circle.waiting("celery").await, 1000);
    // Before anything was sent the error is that of one call.
    let error = circle.app.send_all((1700..2000).map(call)).await.unwrap_err();
    assert!(matches!(error, Error::Call(_)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn calls_that_were_on_their_way_when_the_broker_was_lost_may_have_been_sent() {
    let (circle, servers) = faulty(json!({"task_publish_retry": false}));
    servers.broker.lose_connection_on(Call::Publish, 2);
    let calls = (0..2500).map(|number| Add::s(number, 1).task_id(number.to_string()));
    let error = circle.app.send_all(calls).await.unwrap_err();
    let Error::Unsent(unsent) = &error else { panic!("{error:?}") };
    assert_eq!((unsent.sent.len(), unsent.unsure.len()), (1000, 1000));
    assert_eq!(unsent.unsure[0], "1000");
    let shown = error.to_string();
    assert_eq!(
        shown,
        "could not send all tasks: 1000 were sent, and of 1000 it is not known whether they were"
    );
}
