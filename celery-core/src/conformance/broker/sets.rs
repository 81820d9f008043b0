//! What the processes of a fleet remember together.

use std::time::Duration;

use crate::{
    broker::{Keep, KeepFrom, SharedSets},
    clock,
};

use super::*;

const LONG: Keep = Keep { time: Duration::from_secs(60), most: 1_000, from: KeepFrom::Now };

fn sets(broker: &Arc<dyn Broker>) -> &dyn SharedSets {
    broker.shared_sets().expect("the broker keeps sets")
}

async fn remember(broker: &Arc<dyn Broker>, set: &str, members: &[&str], keep: Keep) {
    let members: Vec<String> = members.iter().map(|&member| member.to_owned()).collect();
    within(LIMIT, "to remember", sets(broker).remember(set, &members, keep))
        .await
        .expect("a broker with sets keeps members");
}

async fn remembered(broker: &Arc<dyn Broker>, set: &str) -> Vec<String> {
    within(LIMIT, "what is remembered", sets(broker).remembered(set))
        .await
        .expect("a broker with sets tells the members")
}

/// A set has each member once, in the order in which they were last added; another set has its own.
pub async fn a_shared_set_keeps_its_members_in_order(broker: Arc<dyn Broker>) {
    assert!(remembered(&broker, "s").await.is_empty());
    remember(&broker, "s", &[], LONG).await;
    remember(&broker, "s", &["z", "a"], LONG).await;
    remember(&broker, "s", &["m", "\u{e9} \"quoted\""], LONG).await;
    remember(&broker, "s", &["z"], LONG).await;
    assert_eq!(remembered(&broker, "s").await, ["a", "m", "\u{e9} \"quoted\"", "z"]);
    assert!(remembered(&broker, "another").await.is_empty());
}

/// Of more members than are kept, the oldest go.
pub async fn a_shared_set_has_a_limit(broker: Arc<dyn Broker>) {
    let all: Vec<String> = (0..2_500).map(|number| number.to_string()).collect();
    let refs: Vec<&str> = all.iter().map(String::as_str).collect();
    remember(&broker, "s", &refs, Keep { most: 2_100, ..LONG }).await;
    assert_eq!(remembered(&broker, "s").await, all[400..]);
    remember(&broker, "s", &["new"], Keep { most: 2, ..LONG }).await;
    assert_eq!(remembered(&broker, "s").await, ["2499", "new"]);
}

/// A member goes after its time, and no other with it.
pub async fn a_member_of_a_shared_set_expires(broker: Arc<dyn Broker>) {
    let brief = Keep { time: Duration::from_millis(30), ..LONG };
    remember(&broker, "s", &["stays"], LONG).await;
    remember(&broker, "s", &["goes", "stays after all"], brief).await;
    remember(&broker, "s", &["stays after all"], LONG).await;
    let gone = async {
        while remembered(&broker, "s").await.iter().any(|member| member == "goes") {
            tokio::task::yield_now().await;
        }
    };
    within(LIMIT, "a member to expire", gone).await;
    assert_eq!(remembered(&broker, "s").await, ["stays", "stays after all"]);
}

/// A set tells which of several it has, without handing over all.
pub async fn a_shared_set_tells_which_it_has(broker: Arc<dyn Broker>) {
    let brief = Keep { time: Duration::from_millis(1), ..LONG };
    remember(&broker, "s", &["a", "b", "goes"], LONG).await;
    remember(&broker, "s", &["goes"], brief).await;
    let gone = async {
        while remembered(&broker, "s").await.len() > 2 {
            tokio::task::yield_now().await;
        }
    };
    within(LIMIT, "a member to expire", gone).await;
    let has = async |set: &str, asked: &[&str]| {
        let asked: Vec<String> = asked.iter().map(|&member| member.to_owned()).collect();
        within(LIMIT, "which are there", sets(&broker).remembers(set, &asked))
            .await
            .expect("a broker with sets tells the members")
    };
    assert_eq!(has("s", &["goes", "b", "x", "a"]).await, ["b", "a"]);
    assert!(has("s", &[]).await.is_empty());
    assert!(has("another", &["a"]).await.is_empty());
}

/// What is kept for whoever waits in the broker is there when the last of them is due, and for its time after that.
pub async fn a_member_may_outlast_what_waits(broker: Arc<dyn Broker>) {
    let due = clock::now() + Duration::from_millis(400);
    publish(&broker, "letters", "patient").await;
    let mut consumer = consume(&broker, &["letters"], 1).await;
    let deferred = take_one(&mut consumer).await.defer(due);
    within(LIMIT, "to defer", deferred).await.expect("a delivery can be deferred");
    let brief = Keep { time: Duration::from_millis(200), from: KeepFrom::LastDue, ..LONG };
    remember(&broker, "s", &["outlasts"], brief).await;
    remember(&broker, "s", &["goes"], Keep { from: KeepFrom::Now, ..brief }).await;
    let delivery = take_one(&mut consumer).await;
    assert_eq!(remembered(&broker, "s").await, ["outlasts"]);
    ack(delivery).await;
    let gone = async {
        while !remembered(&broker, "s").await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    within(LIMIT, "the member to expire", gone).await;
    assert!(clock::now() >= due + Duration::from_millis(190));
    // Nothing waits any more.
    remember(&broker, "s", &["now"], brief).await;
    let gone = async {
        while !remembered(&broker, "s").await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    within(LIMIT, "the member to expire", gone).await;
}
