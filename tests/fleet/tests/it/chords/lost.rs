//! Parts that are counted, and whose answer is lost.

use celery::core::state::{State, TaskMeta};
use peers::{Proxy, Server, Space};
use serde_json::json;

use super::{begin, count};

#[tokio::test]
async fn the_last_part_completes_its_chord_also_when_the_answer_was_lost_at_first() {
    let server = Server::in_memory().await;
    let proxy = Proxy::start(server.port()).await;
    let space = Space::at(&server.url(), "app:");
    let app = space.clone().through(&proxy).app();
    begin(&app, "group", &["a", "b"]).await;
    assert!(count(&app, "group", 0, &TaskMeta::new("a", State::Success, json!(1))).await.is_none());
    proxy.swallow("celery-join.group", 1);
    let joined = count(&app, "group", 1, &TaskMeta::new("b", State::Success, json!(2))).await;
    proxy.swallowed(1).await;
    let joined = joined.expect("it is its own to complete");
    assert_eq!(joined.parts.len(), 2, "no part is counted twice");
    let joins = app.backend().await.expect("Redis answers").joins().expect("it counts parts");
    // The same again: what was done is no error.
    proxy.swallow("celery-join.group", 1);
    joins.finish(&joined).await.expect("Redis answers");
    proxy.swallowed(2).await;
    assert_eq!(joins.look("group").await.expect("Redis answers"), None);
}
