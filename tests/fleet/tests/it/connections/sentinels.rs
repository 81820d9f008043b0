//! Sentinels: the master is asked for anew after each loss.

use celery::core::{
    broker::BrokerError,
    config::{ConfigLoader, ServerUrl},
    transport,
};
use peers::{Sentinels, Space, until};
use serde_json::{Value, json};

use super::Fleet;

fn space(there: &Sentinels) -> Space {
    let options = json!({ "master_name": Sentinels::NAME, "global_keyprefix": "it:" });
    Space::at(&there.url(), "it:")
        .with("broker_transport_options", options.clone())
        .with("result_backend_transport_options", options)
}

#[tokio::test]
async fn the_master_that_sentinels_elect_is_followed_when_the_old_one_is_killed() {
    let mut there = Sentinels::start().await;
    let fleet = Fleet::start(&space(&there)).await;
    fleet.is_whole().await;
    assert_eq!(there.master().await.port(), there.servers[0].port());
    let waiting = fleet.awaits("later");

    there.servers[0].kill();
    let replica = there.servers[1].port();
    until("another master is elected", || async { there.master().await.port() == replica }).await;
    fleet.goes_on(waiting).await;
    assert!(fleet.worker.stop().await.success());
}

#[tokio::test]
async fn a_master_that_is_demoted_is_left_and_a_sentinel_that_is_gone_is_passed_over() {
    let mut there = Sentinels::start().await;
    let fleet = Fleet::start(&space(&there)).await;
    fleet.is_whole().await;
    let waiting = fleet.awaits("later");

    there.sentinels[0].kill();
    until("the old master follows the new one", || async {
        // A sentinel that is at it already says no, and so does one that trusts no replica at this moment.
        let ask = ["SENTINEL", "FAILOVER", Sentinels::NAME];
        let _begun = there.sentinels[1].try_command::<()>(&ask).await;
        // It cuts all connections when it is demoted.
        let info = there.servers[0].try_command::<String>(&["INFO", "replication"]).await;
        info.is_ok_and(|info| info.contains("role:slave"))
    })
    .await;
    fleet.goes_on(waiting).await;
    assert!(fleet.worker.stop().await.success());
}

#[tokio::test]
async fn what_is_wrong_with_sentinels_is_said() {
    let there = Sentinels::start().await;
    let connect = async |url: String, options: Value| {
        let config = ConfigLoader::new().change("broker_transport_options", options);
        let url = ServerUrl::parse(&url).expect("a URL").servers();
        let outcome = transport::connect_brokers(&url, &config.load().expect("settings")).await;
        let error = outcome.expect_err("it is refused");
        match &error {
            BrokerError::Refused(why) => ("refused", why.to_string()),
            BrokerError::ConnectionLost(why) => ("lost", why.to_string()),
            _ => panic!("{error:?}"),
        }
    };
    let (kind, why) = connect(there.url(), json!({})).await;
    assert!(
        kind == "refused" && why.contains("needs `master_name` in `broker_transport_options`"),
        "{why}"
    );
    let (kind, why) = connect(there.url(), json!({ "master_name": "other" })).await;
    assert!(kind == "refused" && why.contains("knows no master `other`"), "{why}");
    let shy = json!({ "master_name": Sentinels::NAME, "min_other_sentinels": 3 });
    let (kind, why) = connect(there.url(), shy).await;
    assert!(kind == "lost" && why.contains("`min_other_sentinels` (3)"), "{why}");
    let sentinel = there.url().replace("sentinel://", "redis://");
    let (kind, why) = connect(sentinel, json!({})).await;
    assert!(kind == "refused" && why.contains("use `sentinel://`"), "{why}");
}
