//! Opens one connection to one server, and hears what the server is.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use deadpool_redis::redis::{
    self, AsyncConnectionConfig, Client, ConnectionInfo, PushInfo, PushKind,
    aio::{MultiplexedConnection, PubSub},
    cmd, from_redis_value,
};
use tokio::time::timeout;

use crate::{error::Fault, options::LinkOptions};

/// A server, and how to get in.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) info: ConnectionInfo,
    /// The server as messages show it.
    pub(crate) shown: String,
}

/// A connection that has just been opened.
pub(crate) struct Opened {
    pub(crate) connection: MultiplexedConnection,
    /// Set when it is found to be gone.
    pub(crate) lost: Arc<AtomicBool>,
    pub(crate) hello: Hello,
}

/// What a server says of itself.
#[derive(Debug)]
pub(crate) struct Hello {
    /// `standalone`, `cluster` or `sentinel`.
    pub(crate) mode: String,
    /// `master` or `replica`.
    pub(crate) role: String,
}

impl Server {
    /// Whether that is the same place.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.info.addr() == other.info.addr()
    }

    /// Opens a connection whose pushes go to `listener`.
    pub(crate) async fn open(
        &self,
        options: &LinkOptions,
        listener: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> Result<Opened, Fault> {
        let lost = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&lost);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(Some(options.response_timeout))
            .set_push_sender(move |push: PushInfo| {
                if push.kind == PushKind::Disconnection {
                    told.store(true, Ordering::Release);
                }
                listener(push);
                Ok::<_, ()>(())
            });
        self.in_time(options, async {
            let fault = |error| Fault::new(&self.shown, &error);
            let client = Client::open(self.info.clone()).map_err(fault)?;
            let opening = client.get_multiplexed_async_connection_with_config(&config);
            let mut connection = opening.await.map_err(fault)?;
            if let Some(name) = &options.client_name {
                let naming = cmd("CLIENT").arg("SETNAME").arg(name).to_owned();
                naming.query_async::<()>(&mut connection).await.map_err(fault)?;
            }
            let hello = cmd("HELLO").arg(3).query_async(&mut connection).await.map_err(fault)?;
            Ok(Opened { connection, lost, hello: Hello::read(hello) })
        })
        .await
    }

    /// Opens a connection for listening.
    pub(crate) async fn listen(&self, options: &LinkOptions) -> Result<PubSub, Fault> {
        self.in_time(options, async {
            let fault = |error| Fault::new(&self.shown, &error);
            let client = Client::open(self.info.clone()).map_err(fault)?;
            client.get_async_pubsub().await.map_err(fault)
        })
        .await
    }

    /// Address, encryption, log-in and all: it takes no longer than connecting may.
    async fn in_time<T>(
        &self,
        options: &LinkOptions,
        opening: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let limit = options.connect_timeout;
        timeout(limit, opening).await.unwrap_or_else(|_| {
            Err(Fault::connection(&self.shown, format!("no connection within {limit:?}")))
        })
    }
}

impl Hello {
    fn read(mut answer: HashMap<String, redis::Value>) -> Self {
        let mut text = |name: &str| {
            let value = answer.remove(name).unwrap_or(redis::Value::Nil);
            from_redis_value(value).unwrap_or_default()
        };
        Self { mode: text("mode"), role: text("role") }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        self.mode == "cluster"
    }

    pub(crate) fn is_sentinel(&self) -> bool {
        self.mode == "sentinel"
    }

    pub(crate) fn is_replica(&self) -> bool {
        self.role == "replica" || self.role == "slave"
    }
}
