//! Ways in: a socket of this machine, and users who may do no more than they must.

use std::collections::HashMap;

use deadpool_redis::redis::Value;
use peers::{Server, Space};

use super::Fleet;

/// The guide has the rule; what it lacks, this test finds.
const GUIDE: &str = include_str!("../../../../../docs/connections.md");

#[tokio::test]
async fn the_user_of_the_guide_has_all_rights_that_an_app_needs() {
    let rule = GUIDE.lines().find(|line| line.starts_with("user app on ")).expect("the rule");
    // A password that must be encoded in a URL.
    let rule = rule.replace(">password", ">p@ss:w/rd;?");
    let server = Server::with(&[&rule]).await;
    let url = server.url().replace("redis://", "redis://app:p%40ss%3Aw%2Frd%3B%3F@");
    let fleet = Fleet::start(&Space::at(&url, "app:")).await;
    fleet.is_whole().await;
    assert!(fleet.worker.stop().await.success());
    let denied: Vec<HashMap<String, Value>> = server.command(&["ACL", "LOG"]).await;
    assert!(denied.is_empty(), "{denied:?}");
}

#[tokio::test]
async fn a_worker_and_its_results_go_through_a_socket_of_the_machine() {
    let server = Server::with(&["unixsocket redis.sock", "unixsocketperm 700"]).await;
    let path = server.folder().join("redis.sock");
    let url = format!("redis+socket://{}?virtual_host=1", path.display());
    let fleet = Fleet::start(&Space::at(&url, "it:")).await;
    fleet.is_whole().await;
    let info: String = server.command(&["INFO", "keyspace"]).await;
    assert!(info.contains("db1:") && !info.contains("db0:"), "{info}");
    assert!(fleet.worker.stop().await.success());
}
