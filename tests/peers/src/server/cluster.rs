//! A Redis Cluster of three nodes.

use super::{Server, free_port, until};

/// How many slots a cluster has.
const SLOTS: u16 = 16_384;

/// Three nodes, each with a third of the slots.
#[derive(Debug)]
pub struct Cluster {
    /// The nodes.
    pub nodes: Vec<Server>,
}

impl Cluster {
    /// Starts it, and waits until all nodes serve.
    ///
    /// # Panics
    /// When one does not.
    pub async fn start() -> Self {
        let mut nodes = Vec::new();
        let mut bus = Vec::new();
        for number in 0..3_u16 {
            let (node, port) = node().await;
            let (first, next) = (SLOTS / 3 * number, SLOTS / 3 * (number + 1));
            let last = if number == 2 { SLOTS } else { next } - 1;
            let _: () = node
                .command(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()])
                .await;
            nodes.push(node);
            bus.push(port);
        }
        for (node, bus) in nodes.iter().zip(&bus).skip(1) {
            let port = node.port().to_string();
            let _: () = nodes[0].command(&["CLUSTER", "MEET", "127.0.0.1", &port, bus]).await;
        }
        for node in &nodes {
            until("the node serves", || async {
                let info: String = node.command(&["CLUSTER", "INFO"]).await;
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            })
            .await;
        }
        Self { nodes }
    }

    /// Adds a replica of that node, and waits until it follows; returns its number.
    ///
    /// # Panics
    /// When it does not.
    pub async fn add_replica(&mut self, of: usize) -> usize {
        let (node, bus) = node().await;
        let (master, port) = (id(&self.nodes[of]).await, node.port().to_string());
        let _: () = self.nodes[0].command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await;
        until("the node knows its master", || async {
            node.try_command::<()>(&["CLUSTER", "REPLICATE", &master]).await.is_ok()
        })
        .await;
        until("the replica knows all others", || async {
            let info: String = node.command(&["CLUSTER", "INFO"]).await;
            let known = format!("cluster_known_nodes:{}", self.nodes.len() + 1);
            info.contains("cluster_state:ok") && info.contains(&known)
        })
        .await;
        until("the replica follows", || async {
            let info: String = node.command(&["INFO", "replication"]).await;
            info.contains("master_link_status:up")
        })
        .await;
        for known in &self.nodes {
            until("the others know of the replica", || async {
                let nodes: String = known.command(&["CLUSTER", "NODES"]).await;
                nodes.lines().any(|line| line.contains(" slave ") && line.contains(&master))
            })
            .await;
        }
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// The slot of the key.
    pub async fn slot(&self, key: &str) -> u16 {
        self.nodes[0].command(&["CLUSTER", "KEYSLOT", key]).await
    }

    /// Which of the nodes has the slot.
    ///
    /// # Panics
    /// When none has.
    pub async fn owner(&self, slot: u16) -> usize {
        for (at, node) in self.nodes.iter().enumerate() {
            let nodes: String = node.command(&["CLUSTER", "NODES"]).await;
            let own = nodes.lines().find(|line| line.contains("myself")).expect("itself");
            let has = own.split(' ').skip(8).filter(|range| !range.starts_with('[')).any(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                let number = |text: &str| text.parse::<u16>().expect("a slot");
                (number(first)..=number(last)).contains(&slot)
            });
            if has {
                return at;
            }
        }
        panic!("no node has slot {slot}");
    }

    /// Begins to move the slot: what is new in it goes to the other node already.
    pub async fn begin_move(&self, slot: u16, from: usize, to: usize) {
        let (source, target) = (&self.nodes[from], &self.nodes[to]);
        let (source_id, target_id) = (id(source).await, id(target).await);
        let slot = slot.to_string();
        let _: () = target.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source_id]).await;
        let _: () = source.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target_id]).await;
    }

    /// Moves what is in the slot, and then the slot.
    pub async fn end_move(&self, slot: u16, from: usize, to: usize) {
        let (source, target) = (&self.nodes[from], &self.nodes[to]);
        let (target_id, port) = (id(target).await, target.port().to_string());
        let slot = slot.to_string();
        loop {
            let keys: Vec<String> =
                source.command(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]).await;
            if keys.is_empty() {
                break;
            }
            let mut words = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            words.extend(keys.iter().map(String::as_str));
            let _: String = source.command(&words).await;
        }
        for node in [target, source] {
            let _: () = node.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &target_id]).await;
        }
    }
}

async fn id(node: &Server) -> String {
    node.command(&["CLUSTER", "MYID"]).await
}

/// A node that knows no other, and the port at which others speak to it.
async fn node() -> (Server, String) {
    let port = free_port().await.to_string();
    let node = Server::with(&[
        "cluster-enabled yes",
        &format!("cluster-port {port}"),
        "cluster-node-timeout 2000",
    ])
    .await;
    (node, port)
}
