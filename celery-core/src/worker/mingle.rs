//! What a worker asks the others when it starts: which tasks are revoked, and what the logical clock is.

use super::node::Node;
use crate::{
    control::{Hello, exchange, revoked::Kind},
    error::Error,
    value::{Value, from_value},
};

/// Asks whoever listens, and takes in what they know: until all have answered, or for a second, since one that was killed
/// seems to listen for a while. A broker that is away is fine: then there is nobody to ask, and the consumer is the one to
/// wait for it.
pub(super) async fn sync(node: &Node) {
    tracing::info!(target: "celery::worker", "mingle: searching for neighbors");
    let ask = async {
        let requests = exchange(&node.app.config().control);
        let listening = node.app.broker().await?.bound(&requests.name).await?.len();
        if listening == 0 {
            return Ok::<_, Error>(Vec::new());
        }
        let hello = node.app.control().inspect().hello(&node.hostname, &node.revoked.all());
        hello.limit(listening).replies().await
    };
    let replies = match ask.await {
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
