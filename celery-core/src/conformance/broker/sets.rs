//! What the processes of a fleet remember together.

use std::time::Duration;

use crate::broker::{Keep, SharedSets};

use super::*;

const LONG: Keep = Keep { time: Duration::from_secs(60), most: 1_000 };

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
