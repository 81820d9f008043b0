//! Connections: one that is shared and heals, and those of their own for waiting and listening.
//!
//! All ordinary commands go over one multiplexed connection: whatever is asked for at the same time is written
//! together and answered together, which is what a pipeline is. A connection that failed is not used again; the next
//! command gets a fresh one from the pool.

mod pause;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use deadpool_redis::{Connection, Manager, Pool, Runtime, redis};
use redis::{
    AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, PushInfo, PushKind, RedisError,
    aio::{MultiplexedConnection, PubSub},
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};
use tokio::sync::Mutex;

pub(crate) use self::pause::{Patience, Pause};
use crate::{
    address::Address,
    error::{BadOption, Fault, Step},
    options::{Keepalive, LinkOptions},
};

/// The way to one server.
#[derive(Clone)]
pub(crate) struct Link(Arc<Inner>);

struct Inner {
    shown: String,
    client: Client,
    pool: Pool,
    options: LinkOptions,
    shared: Mutex<Option<Shared>>,
    /// Grows each time that the shared connection is found to be gone.
    losses: Arc<AtomicU64>,
}

struct Shared {
    connection: MultiplexedConnection,
    losses: u64,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Link").field(&self.0.shown).finish()
    }
}

impl Link {
    /// Connects to nothing yet.
    pub(crate) fn new(address: Address, options: LinkOptions) -> Result<Self, BadOption> {
        let info = match options.keepalive {
            Some(keepalive) => address.info.set_tcp_settings(
                TcpSettings::default().set_nodelay(true).set_keepalive(tcp(keepalive)),
            ),
            None => address.info.set_tcp_settings(TcpSettings::default().set_nodelay(true)),
        };
        let bad = |error: &dyn fmt::Display| {
            BadOption(format!("`{}` cannot be used: {error}", address.shown))
        };
        let client = Client::open(info.clone()).map_err(|error| bad(&error))?;
        let losses = Arc::new(AtomicU64::new(0));
        let lost = Arc::clone(&losses);
        let config = config_of(&options).set_push_sender(move |push: PushInfo| {
            if push.kind == PushKind::Disconnection {
                lost.fetch_add(1, Ordering::Release);
            }
            Ok::<_, ()>(())
        });
        let manager = Manager::new_with_config(info, config).map_err(|error| bad(&error))?;
        let pool = Pool::builder(manager)
            // The shared one; it is taken out as soon as it is made.
            .max_size(1)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| bad(&error))?;
        let shown = address.shown;
        Ok(Self(Arc::new(Inner { shown, client, pool, options, shared: Mutex::new(None), losses })))
    }

    /// The server as messages show it.
    pub(crate) fn shown(&self) -> &str {
        &self.0.shown
    }

    pub(crate) fn options(&self) -> &LinkOptions {
        &self.0.options
    }

    pub(crate) fn fault(&self, error: &RedisError) -> Fault {
        Fault::new(&self.0.shown, error)
    }

    /// The shared connection: the one there is, or a fresh one when that is gone.
    pub(crate) async fn shared(&self) -> Result<MultiplexedConnection, Fault> {
        let mut shared = self.0.shared.lock().await;
        let losses = self.0.losses.load(Ordering::Acquire);
        if let Some(there) = shared.as_ref().filter(|there| there.losses == losses) {
            return Ok(there.connection.clone());
        }
        *shared = None;
        let connection =
            self.0.pool.get().await.map_err(|error| Fault::from_pool(&self.0.shown, error))?;
        // It is shared from here on, and a pool that gets it back would ask the server whether it still lives.
        let mut connection = Connection::take(connection);
        self.introduce(&mut connection).await?;
        *shared = Some(Shared { connection: connection.clone(), losses });
        Ok(connection)
    }

    /// Sends a command once.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Fault> {
        let mut connection = self.shared().await?;
        self.seen(command.query_async(&mut connection).await)
    }

    /// Sends commands together, once.
    pub(crate) async fn ask_all<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, Fault> {
        let mut connection = self.shared().await?;
        self.seen(commands.query_async(&mut connection).await)
    }

    /// Sends commands that may be repeated, and repeats them, over a fresh connection where one is lost, for as long as
    /// connecting may take.
    pub(crate) async fn insist<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, Fault> {
        let mut patience = self.patience();
        loop {
            match self.ask_all(commands).await {
                Ok(answer) => return Ok(answer),
                Err(fault) => patience.wait(fault).await?,
            }
        }
    }

    /// For what may be repeated: as long as connecting may take.
    pub(crate) fn patience(&self) -> Patience {
        Patience::new(self.0.options.connect_timeout)
    }

    /// A connection of its own, whose pushes go to `listener`.
    pub(crate) async fn dedicated(
        &self,
        listener: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> Result<MultiplexedConnection, Fault> {
        let config = config_of(&self.0.options).set_push_sender(move |push: PushInfo| {
            listener(push);
            Ok::<_, ()>(())
        });
        let connection = self.0.client.get_multiplexed_async_connection_with_config(&config).await;
        let mut connection = connection.map_err(|error| self.fault(&error))?;
        self.introduce(&mut connection).await?;
        Ok(connection)
    }

    /// A connection of its own for listening.
    pub(crate) async fn pubsub(&self) -> Result<PubSub, Fault> {
        let limit = self.0.options.connect_timeout;
        match tokio::time::timeout(limit, self.0.client.get_async_pubsub()).await {
            Ok(connection) => connection.map_err(|error| self.fault(&error)),
            Err(_) => {
                Err(Fault::connection(&self.0.shown, format!("no connection within {limit:?}")))
            }
        }
    }

    /// Lets go of the shared connection, once what is under way has been answered.
    pub(crate) async fn close(&self) {
        self.0.shared.lock().await.take();
        self.0.pool.close();
    }

    pub(crate) fn seen<T>(&self, outcome: Result<T, RedisError>) -> Result<T, Fault> {
        outcome.map_err(|error| {
            let fault = self.fault(&error);
            if matches!(fault.step(), Step::Reconnect | Step::Move) {
                // Also where no push told of it: a server that does not answer, a runtime that ended.
                self.0.losses.fetch_add(1, Ordering::Release);
            }
            fault
        })
    }

    async fn introduce(&self, connection: &mut MultiplexedConnection) -> Result<(), Fault> {
        let Some(name) = &self.0.options.client_name else { return Ok(()) };
        let command = redis::cmd("CLIENT").arg("SETNAME").arg(name).to_owned();
        command.query_async(connection).await.map_err(|error| self.fault(&error))
    }
}

fn config_of(options: &LinkOptions) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(options.connect_timeout))
        .set_response_timeout(Some(options.response_timeout))
}

fn tcp(keepalive: Keepalive) -> TcpKeepalive {
    let mut tcp = TcpKeepalive::new();
    if let Some(idle) = keepalive.idle {
        tcp = tcp.with_time(idle);
    }
    if let Some(interval) = keepalive.interval {
        tcp = tcp.with_interval(interval);
    }
    if let Some(retries) = keepalive.retries {
        tcp = tcp.with_retries(retries);
    }
    tcp
}
