//! A Redis Cluster through a hash tag: all keys of the app are in one slot, and so on one node.
//!
//! The node is found as every client of a cluster finds it: whoever is asked for a key says which node has it (`MOVED`).
//! It is found anew with each connection, so that a slot that was moved, or whose node has failed, is followed. While a
//! slot is on its way (`ASK`, `TRYAGAIN`), what is asked for is asked for again until it has arrived: our scripts
//! use several keys at once, and a cluster serves those only where all of them are.

use deadpool_redis::redis::{self, RedisError, cmd};

use super::{Found, Servers};
use crate::{
    address::at,
    connection::{Opened, Server},
    error::Fault,
    options::LinkOptions,
};

/// How many nodes may send us on. A cluster at rest needs one.
const MOST_MOVES: usize = 8;

impl Servers {
    /// Goes to the node that has our keys.
    pub(super) async fn enter_cluster(
        &self,
        mut server: Server,
        mut opened: Opened,
        options: &LinkOptions,
    ) -> Result<Found, Fault> {
        let prefix = &self.keys.prefix;
        if hash_tag(prefix).is_none() {
            return Err(Fault::refused(&server.shown, self.wants_hash_tag()));
        }
        for _ in 0..MOST_MOVES {
            let asking = cmd("EXISTS").arg(prefix).to_owned();
            match asking.query_async::<u64>(&mut opened.connection).await {
                Ok(_) => {}
                Err(error) => match moved_to(&error) {
                    Some(Moved::For(host, port)) => {
                        let host = if host.is_empty() { at::place(&server.info).0 } else { host };
                        server = at::another(&server, &host, port);
                        opened = server.open(options, |_| {}).await?;
                        continue;
                    }
                    // It is still the one that has the slot.
                    Some(Moved::Soon) => {}
                    None => return Err(Fault::new(&server.shown, &error)),
                },
            }
            self.learn(&server, &mut opened).await;
            return Ok(Found { server, opened });
        }
        let why = "the nodes of the cluster do not agree on who has the keys of the app";
        Err(Fault::connection(&server.shown, why))
    }

    fn wants_hash_tag(&self) -> String {
        let setting = self.keys.setting;
        format!(
            "it is a Redis Cluster, where all keys of an app must be in one slot: set `global_keyprefix` in `{setting}` to a text in braces, such as `{{app}}:`"
        )
    }

    /// Remembers the other nodes, for when this one is gone.
    async fn learn(&self, server: &Server, opened: &mut Opened) {
        let slots = cmd("CLUSTER").arg("SLOTS").to_owned();
        // From, to, and then the nodes.
        let ranges: Vec<Vec<redis::Value>> = match slots.query_async(&mut opened.connection).await {
            Ok(ranges) => ranges,
            Err(error) => {
                // A user may lack the right; then there is the list of the URL.
                tracing::debug!("{}: no nodes are learned: {error}", server.shown);
                return;
            }
        };
        let mut nodes: Vec<Server> = Vec::new();
        for node in ranges.into_iter().flat_map(|range| range.into_iter().skip(2)) {
            let Some((host, port)) = place(node) else { continue };
            let host = if host.is_empty() { at::place(&server.info).0 } else { host };
            let node = at::another(server, &host, port);
            if !nodes.iter().chain(&self.listed).any(|known| known.is(&node)) {
                nodes.push(node);
            }
        }
        *self.learned() = nodes;
    }
}

/// Host and port of a node, which come first; the host is empty where the node does not know its own.
fn place(node: redis::Value) -> Option<(String, u16)> {
    let redis::Value::Array(node) = node else { return None };
    let mut node = node.into_iter();
    let host: Option<String> = redis::from_redis_value(node.next()?).ok()?;
    let port = redis::from_redis_value(node.next()?).ok()?;
    Some((host.filter(|host| host != "?").unwrap_or_default(), port))
}

enum Moved {
    /// To that host and port.
    For(String, u16),
    /// It is on its way.
    Soon,
}

fn moved_to(error: &RedisError) -> Option<Moved> {
    if error.code() == Some("ASK") {
        return Some(Moved::Soon);
    }
    let (node, _) = error.redirect_node()?;
    let (host, port) = node.rsplit_once(':')?;
    Some(Moved::For(host.to_owned(), port.parse().ok()?))
}

/// What of a key decides on its slot, where it is a part that all keys of the prefix share.
pub(super) fn hash_tag(prefix: &str) -> Option<&str> {
    let (_, behind) = prefix.split_once('{')?;
    let (tag, _) = behind.split_once('}')?;
    Some(tag).filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_a_hash_tag_as_redis_finds_it() {
        assert_eq!(hash_tag("{app}:"), Some("app"));
        assert_eq!(hash_tag("x{a}{b}:"), Some("a"));
        // The first brace counts, and nothing between the two is no tag.
        for none in ["", "app:", "{app", "}app{", "{}app:", "{}{app}:"] {
            assert_eq!(hash_tag(none), None, "{none}");
        }
    }
}
