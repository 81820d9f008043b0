//! What a worker asks the others when it starts: which tasks are revoked, and what the logical clock is.

use super::node::Node;
use crate::{
    control::{Hello, revoked::Kind},
    value::{Value, from_value},
};

/// Asks whoever is there, for a second, and takes in what they know. Nobody answering is fine, and so is a broker that is
/// away: then there is nobody to ask, and the consumer is the one to wait for it.
pub(super) async fn sync(node: &Node) {
    tracing::info!(target: "celery::worker", "mingle: searching for neighbors");
    let hello = node.app.control().inspect().hello(&node.hostname, &node.revoked.all());
    let replies = match hello.replies().await {
        Ok(replies) => replies,
        Err(error) => {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "mingle: nobody can be asked"
            );
            return;
        }
    };
    // This worker does not listen yet.
    if replies.iter().any(|(name, _)| **name == *node.hostname) {
        tracing::warn!(
            target: "celery::worker",
            "DuplicateNodenameWarning: Received multiple replies from node name: {}. Please make sure you give each node a unique nodename using the celery worker `-n` option.",
            node.hostname
        );
    }
    let others: Vec<_> = replies
        .into_iter()
        .filter(|(name, reply)| **name != *node.hostname && *reply != Value::Null)
        .collect();
    if others.is_empty() {
        tracing::info!(target: "celery::worker", "mingle: all alone");
        return;
    }
    tracing::info!(target: "celery::worker", "mingle: sync with {} nodes", others.len());
    for (name, reply) in others {
        match from_value::<Hello>(reply) {
            Ok(Hello { revoked, clock }) => {
                node.app.clock().adjust(clock);
                node.revoked.merge(Kind::Ids, revoked);
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "mingle: sync with {name} failed"
                );
            }
        }
    }
    tracing::info!(target: "celery::worker", "mingle: sync complete");
}
