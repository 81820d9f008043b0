//! Connections: one that is shared and heals, and those of their own for waiting and listening.
//!
//! All ordinary commands go over one multiplexed connection: whatever is asked for at the same time is written
//! together and answered together, which is what a pipeline is. A connection that failed is not used again; the next
//! command makes a fresh one, to the server that is the right one then (see `servers`). All connections follow the
//! shared one: when it has gone to another server, the others are told that theirs are lost.

mod open;
mod pause;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use deadpool_redis::redis::{
    Cmd, FromRedisValue, Pipeline, PushInfo, PushKind, RedisError,
    aio::{MultiplexedConnection, PubSub},
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};
use tokio::sync::{Mutex as AsyncMutex, watch};

pub(crate) use self::{
    open::{Opened, Server},
    pause::{Patience, Pause},
};
use crate::{
    address::Addresses,
    error::{BadOption, Fault, Step},
    options::{Keepalive, LinkOptions},
    servers::{Found, Servers},
};

/// The way to a server.
#[derive(Clone)]
pub(crate) struct Link(Arc<Inner>);

struct Inner {
    servers: Servers,
    options: LinkOptions,
    shared: RwLock<Option<Arc<Shared>>>,
    /// Held by the one who connects; what the last attempt has failed with, if it has.
    connecting: AsyncMutex<Option<Fault>>,
    /// How many attempts to connect have begun.
    attempts: AtomicU64,
    is_closed: AtomicBool,
    /// How often the shared connection has gone to another server.
    moves: watch::Sender<u64>,
    /// Who is told that it has.
    listeners: Mutex<Vec<Weak<Listener>>>,
}

/// Told of what a server pushes.
type Listener = dyn Fn(PushInfo) + Send + Sync;

struct Shared {
    server: Server,
    connection: MultiplexedConnection,
    lost: Arc<AtomicBool>,
    /// The number of the attempt that made it.
    number: u64,
}

impl Shared {
    /// Notes what an outcome says of the connection.
    fn seen<T>(&self, outcome: Result<T, RedisError>) -> Result<T, Fault> {
        outcome.map_err(|error| {
            let fault = Fault::new(&self.server.shown, &error);
            if matches!(fault.step(), Step::Reconnect | Step::Move) {
                // Also where no push told of it: a server that does not answer, a runtime that ended.
                self.lost.store(true, Ordering::Release);
            }
            fault
        })
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Link").field(&self.shown()).finish()
    }
}

impl Link {
    /// Connects to nothing yet.
    pub(crate) fn new(mut addresses: Addresses, options: LinkOptions) -> Result<Self, BadOption> {
        for server in &mut addresses.servers {
            server.info = server.info.clone().set_tcp_settings(tcp(&options));
        }
        Ok(Self(Arc::new(Inner {
            servers: Servers::new(addresses, &options)?,
            options,
            shared: RwLock::default(),
            connecting: AsyncMutex::default(),
            attempts: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
            moves: watch::Sender::new(0),
            listeners: Mutex::default(),
        })))
    }

    /// The servers as messages show them.
    pub(crate) fn shown(&self) -> &str {
        self.0.servers.shown()
    }

    pub(crate) fn options(&self) -> &LinkOptions {
        &self.0.options
    }

    /// What an error on a connection of its own means. That its server is the wrong one holds for all connections.
    pub(crate) fn fault(&self, error: &RedisError) -> Fault {
        let Some(shared) = self.present() else { return Fault::new(self.shown(), error) };
        let fault = Fault::new(&shared.server.shown, error);
        if fault.step() == Step::Move {
            shared.lost.store(true, Ordering::Release);
        }
        fault
    }

    /// The number of the shared connection, which is another one for each that is made; 0 while there is none. What a
    /// server is known to have is known for one such number: another server may not have it, nor the same one when it
    /// was started anew.
    pub(crate) fn number(&self) -> u64 {
        let shared = self.0.shared.read().unwrap_or_else(PoisonError::into_inner);
        shared.as_ref().map_or(0, |shared| shared.number)
    }

    /// Changes when the shared connection has gone to another server, where those that listen must follow it.
    pub(crate) fn moves(&self) -> watch::Receiver<u64> {
        self.0.moves.subscribe()
    }

    /// The shared connection: the one there is, or a fresh one when that is gone.
    pub(crate) async fn shared(&self) -> Result<MultiplexedConnection, Fault> {
        Ok(self.connected().await?.connection.clone())
    }

    /// Sends a command once.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Fault> {
        let shared = self.connected().await?;
        shared.seen(command.query_async(&mut shared.connection.clone()).await)
    }

    /// Sends commands together, once.
    pub(crate) async fn ask_all<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, Fault> {
        let shared = self.connected().await?;
        shared.seen(commands.query_async(&mut shared.connection.clone()).await)
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

    /// A connection of its own to the server of the shared one, whose pushes go to `listener`. It is told of a lost
    /// connection, too, when the shared one goes to another server.
    pub(crate) async fn dedicated(
        &self,
        listener: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> Result<MultiplexedConnection, Fault> {
        let shared = self.connected().await?;
        let listener: Arc<Listener> = Arc::new(listener);
        self.listeners().push(Arc::downgrade(&listener));
        let opened = shared.server.open(&self.0.options, move |push| listener(push)).await?;
        self.still_at(&shared)?;
        Ok(opened.connection)
    }

    /// A connection of its own for listening, to the server of the shared one.
    pub(crate) async fn pubsub(&self) -> Result<PubSub, Fault> {
        let shared = self.connected().await?;
        let listening = shared.server.listen(&self.0.options).await?;
        self.still_at(&shared)?;
        Ok(listening)
    }

    /// A connection that was opened while the shared one went elsewhere is of no use.
    fn still_at(&self, before: &Shared) -> Result<(), Fault> {
        match self.present() {
            Some(now) if !now.server.is(&before.server) => {
                Err(Fault::connection(&before.server.shown, "went on to another server"))
            }
            _ => Ok(()),
        }
    }

    /// Lets go of the shared connection, once what is under way has been answered.
    pub(crate) async fn close(&self) {
        self.0.is_closed.store(true, Ordering::Release);
        let _nobody_connects = self.0.connecting.lock().await;
        *self.0.shared.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Notes what an outcome on the shared connection says of it.
    pub(crate) fn seen<T>(&self, outcome: Result<T, RedisError>) -> Result<T, Fault> {
        match self.present() {
            Some(shared) => shared.seen(outcome),
            None => outcome.map_err(|error| Fault::new(self.shown(), &error)),
        }
    }

    fn present(&self) -> Option<Arc<Shared>> {
        self.0.shared.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn sound(&self) -> Option<Arc<Shared>> {
        self.present().filter(|shared| !shared.lost.load(Ordering::Acquire))
    }

    async fn connected(&self) -> Result<Arc<Shared>, Fault> {
        if let Some(shared) = self.sound() {
            return Ok(shared);
        }
        let begun = self.0.attempts.load(Ordering::Acquire);
        let mut failed = self.0.connecting.lock().await;
        if let Some(shared) = self.sound() {
            return Ok(shared);
        }
        if self.0.is_closed.load(Ordering::Acquire) {
            return Err(Fault::connection(self.shown(), "the connection was closed"));
        }
        // An attempt that others have made while this one waited need not be made once more for each who waits.
        if let (Some(fault), true) = (&*failed, self.0.attempts.load(Ordering::Acquire) > begun) {
            return Err(fault.clone());
        }
        let number = self.0.attempts.fetch_add(1, Ordering::AcqRel) + 1;
        match self.0.servers.find(&self.0.options).await {
            Ok(Found { server, opened: Opened { connection, lost, .. } }) => {
                *failed = None;
                let fresh = Arc::new(Shared { server, connection, lost, number });
                let mut shared = self.0.shared.write().unwrap_or_else(PoisonError::into_inner);
                let before = shared.replace(Arc::clone(&fresh));
                drop(shared);
                if before.is_some_and(|before| !before.server.is(&fresh.server)) {
                    tracing::warn!("went on to {}", fresh.server.shown);
                    self.tell_of_move();
                }
                Ok(fresh)
            }
            Err(fault) => {
                *failed = Some(fault.clone());
                Err(fault)
            }
        }
    }

    /// Those that there are.
    fn listeners(&self) -> MutexGuard<'_, Vec<Weak<Listener>>> {
        let mut listeners = self.0.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners
    }

    fn tell_of_move(&self) {
        self.0.moves.send_modify(|moves| *moves += 1);
        let listeners = std::mem::take(&mut *self.listeners());
        for listener in listeners.iter().filter_map(Weak::upgrade) {
            listener(PushInfo { kind: PushKind::Disconnection, data: Vec::new() });
        }
    }
}

/// How a socket is set up.
fn tcp(options: &LinkOptions) -> TcpSettings {
    let settings = TcpSettings::default().set_nodelay(true);
    match options.keepalive {
        Some(Keepalive { idle, interval, retries }) => {
            let mut tcp = TcpKeepalive::new();
            if let Some(idle) = idle {
                tcp = tcp.with_time(idle);
            }
            if let Some(interval) = interval {
                tcp = tcp.with_interval(interval);
            }
            if let Some(retries) = retries {
                tcp = tcp.with_retries(retries);
            }
            settings.set_keepalive(tcp)
        }
        None => settings,
    }
}
