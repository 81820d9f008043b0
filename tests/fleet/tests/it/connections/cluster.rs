//! A Redis Cluster through a hash tag.

use celery::core::{
    backend::BackendError,
    broker::BrokerError,
    config::{ConfigLoader, ServerUrl},
    transport,
};
use peers::{Cluster, Space, until};
use serde_json::json;

use super::Fleet;

#[tokio::test]
async fn a_cluster_serves_an_app_whose_prefix_has_a_hash_tag_also_when_its_slot_is_moved() {
    let cluster = Cluster::start().await;
    let slot = cluster.slot("{it}:").await;
    let owner = cluster.owner(slot).await;
    let (other, third) = ((owner + 1) % 3, (owner + 2) % 3);
    // A node that has not got the keys.
    let space = Space::at(&cluster.nodes[other].url(), "{it}:");
    let fleet = Fleet::start(&space).await;
    fleet.is_whole().await;
    let waiting = fleet.awaits("later");

    // While the slot is on its way nothing is lost, and nothing else can be done than wait.
    cluster.begin_move(slot, owner, third).await;
    let sending = fleet.sends("later");
    let moving = cluster.end_move(slot, owner, third);
    tokio::join!(sending, moving);
    assert_eq!(waiting.await.expect("it waits"), json!(23));
    assert_eq!(cluster.owner(slot).await, third);
    fleet.is_whole().await;
    for node in [owner, other] {
        assert_eq!(cluster.nodes[node].command::<u64>(&["DBSIZE"]).await, 0, "{node}");
    }
    assert!(fleet.worker.stop().await.success());
}

#[tokio::test]
async fn a_replica_that_takes_over_in_a_cluster_is_found_without_the_node_of_the_url() {
    let mut cluster = Cluster::start().await;
    let slot = cluster.slot("{it}:").await;
    let owner = cluster.owner(slot).await;
    let replica = cluster.add_replica(owner).await;
    // The URL names only the node that is going to die.
    let space = Space::at(&cluster.nodes[owner].url(), "{it}:");
    let fleet = Fleet::start(&space).await;
    fleet.is_whole().await;
    let waiting = fleet.awaits("later");

    cluster.nodes[owner].kill();
    until("the replica takes over", || async {
        let info: String = cluster.nodes[replica].command(&["INFO", "replication"]).await;
        info.contains("role:master")
    })
    .await;
    fleet.goes_on(waiting).await;
    assert!(fleet.worker.stop().await.success());
}

#[tokio::test]
async fn a_cluster_is_refused_without_a_hash_tag_and_with_another_database() {
    let cluster = Cluster::start().await;
    let url = ServerUrl::parse(&cluster.nodes[0].url()).expect("a URL");
    let config = ConfigLoader::new().load().expect("settings");
    let error = transport::connect_broker(&url, &config).await.expect_err("it is refused");
    let BrokerError::Refused(why) = &error else { panic!("{error:?}") };
    let why = why.to_string();
    assert!(why.contains("set `global_keyprefix` in `broker_transport_options`"), "{why}");
    assert!(why.contains("`{app}:`"), "{why}");

    let backend =
        transport::connect_backend(Some(&url), &config).await.expect("nothing is done yet");
    let error = backend.get("an-id").await.expect_err("it is refused");
    let BackendError::Other(why) = &error else { panic!("{error:?}") };
    let why = why.to_string();
    assert!(why.contains("`global_keyprefix` in `result_backend_transport_options`"), "{why}");

    let url = ServerUrl::parse(&cluster.nodes[0].url().replace("/0", "/1")).expect("a URL");
    let error = transport::connect_broker(&url, &config).await.expect_err("it is refused");
    let BrokerError::Refused(why) = &error else { panic!("{error:?}") };
    assert!(why.to_string().contains("database 0 only"), "{why}");
}
