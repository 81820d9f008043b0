//! A master with a replica, and three sentinels that watch over them.

use std::collections::HashMap;

use super::{Server, until};

/// A master, a replica, and three sentinels.
#[derive(Debug)]
pub struct Sentinels {
    /// The two servers; the first is the master at the beginning.
    pub servers: [Server; 2],
    /// The sentinels.
    pub sentinels: Vec<Server>,
}

impl Sentinels {
    /// The name by which the sentinels know the master.
    pub const NAME: &'static str = "celerymaster";

    /// Starts them, and waits until they know each other.
    ///
    /// # Panics
    /// When one does not start.
    pub async fn start() -> Self {
        let master = Server::with(&[]).await;
        let replica = Server::with(&[&format!("replicaof 127.0.0.1 {}", master.port())]).await;
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            sentinels.push(sentinel(master.port()).await);
        }
        let this = Self { servers: [master, replica], sentinels };
        for sentinel in &this.sentinels {
            until("the sentinels know each other and the replica", || async {
                let state = this.state(sentinel).await;
                state["num-other-sentinels"] == "2" && state["num-slaves"] == "1"
            })
            .await;
        }
        for sentinel in &this.sentinels {
            until("the sentinels know that the replica follows", || async {
                let replicas: Vec<HashMap<String, String>> =
                    sentinel.command(&["SENTINEL", "REPLICAS", Self::NAME]).await;
                replicas.iter().all(|replica| replica["master-link-status"] == "ok")
            })
            .await;
        }
        this
    }

    /// The URL that names all of them.
    pub fn url(&self) -> String {
        let urls = self.sentinels.iter().map(|it| format!("sentinel://127.0.0.1:{}/0", it.port()));
        urls.collect::<Vec<_>>().join(";")
    }

    /// The server that is the master now, as the sentinels have it.
    pub async fn master(&self) -> &Server {
        let port = self.state(&self.sentinels[0]).await["port"].clone();
        let master = self.servers.iter().find(|it| it.port().to_string() == port);
        master.expect("one of the two is the master")
    }

    async fn state(&self, sentinel: &Server) -> HashMap<String, String> {
        sentinel.command(&["SENTINEL", "MASTER", Self::NAME]).await
    }
}

async fn sentinel(master: u16) -> Server {
    let name = Sentinels::NAME;
    let sentinel = Server::begin(
        "",
        &[
            &format!("sentinel monitor {name} 127.0.0.1 {master} 2"),
            &format!("sentinel down-after-milliseconds {name} 600"),
            &format!("sentinel failover-timeout {name} 2000"),
        ],
        true,
    )
    .await;
    let _: () = sentinel
        .command(&[
            "SENTINEL",
            "DEBUG",
            "INFO-PERIOD",
            "300",
            "PING-PERIOD",
            "500",
            "PUBLISH-PERIOD",
            "100",
            "ASK-PERIOD",
            "100",
        ])
        .await;
    sentinel
}
