//! A proxy between a client and its Redis server, which does to their connections what networks do.
//!
//! It reads what a client says command by command, so that one command can be carried out and its answer lost. All else
//! is passed on as it comes.

use std::{
    fmt,
    future::pending,
    io,
    net::Ipv4Addr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
    time::timeout,
};

use crate::LIMIT;

/// A command whose answer the proxy itself waits for: when that comes, all before it has been carried out.
const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
const PONG: &[u8] = b"+PONG\r\n";

/// What is done to connections. Those of a direction hold until they are taken back.
#[derive(Clone, Debug, Default)]
struct Rules {
    /// Which connections are cut: those made before it last grew.
    cuts: u64,
    /// Whether new connections are closed at once.
    refuses: bool,
    up: Way,
    down: Way,
}

/// What is done to one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Way {
    stalls: bool,
    delay: Duration,
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towards {
    /// What clients say.
    Server,
    /// What the server answers.
    Client,
}

/// Stands between clients and a server. Dropping it cuts all connections.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    rules: watch::Sender<Rules>,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    server: u16,
    truncate: AtomicBool,
    swallow: Mutex<Option<Swallow>>,
    /// All that clients were told, where that is kept.
    told: Mutex<Option<Vec<u8>>>,
    swallowed: watch::Sender<u64>,
}

struct Swallow {
    wanted: Box<dyn Fn(&str) -> bool + Send>,
    times: u64,
}

impl fmt::Debug for Swallow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Swallow").field("times", &self.times).finish_non_exhaustive()
    }
}

impl Proxy {
    /// Listens on a free port of this machine for clients of the server at the port.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let rules = watch::Sender::new(Rules::default());
        let shared = Arc::new(Shared {
            server,
            truncate: AtomicBool::new(false),
            swallow: Mutex::new(None),
            told: Mutex::new(None),
            swallowed: watch::Sender::new(0),
        });
        let accepting = tokio::spawn(accept(listener, rules.subscribe(), Arc::clone(&shared)));
        Self { port, rules, shared, accepting }
    }

    /// The server, as clients of the proxy name it.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Cuts all connections. New ones are served.
    pub fn cut(&self) {
        self.rules.send_modify(|rules| rules.cuts += 1);
    }

    /// Cuts all connections, and closes each new one, until it is healed.
    pub fn refuse(&self) {
        self.rules.send_modify(|rules| {
            rules.refuses = true;
            rules.cuts += 1;
        });
    }

    /// Passes nothing on in that direction, and closes nothing, until it is healed.
    pub fn stall(&self, towards: Towards) {
        self.change(towards, |way| way.stalls = true);
    }

    /// Passes each piece on so much later, until it is healed.
    pub fn delay(&self, towards: Towards, by: Duration) {
        self.change(towards, |way| way.delay = by);
    }

    fn change(&self, towards: Towards, change: impl Fn(&mut Way)) {
        self.rules.send_modify(|rules| match towards {
            Towards::Server => change(&mut rules.up),
            Towards::Client => change(&mut rules.down),
        });
    }

    /// Passes on the first half of the next piece of an answer, and cuts its connection.
    pub fn truncate(&self) {
        self.shared.truncate.store(true, Ordering::Release);
    }

    /// Has the next commands with this text in them carried out, so many of them, and cuts the connection of each in
    /// place of an answer.
    pub fn swallow(&self, text: &str, times: u64) {
        let text = text.to_owned();
        self.swallow_where(move |command| command.contains(&text), times);
    }

    /// The same, with the commands of which this is true.
    pub fn swallow_where(&self, wanted: impl Fn(&str) -> bool + Send + 'static, times: u64) {
        let swallow = (times > 0).then(|| Swallow { wanted: Box::new(wanted), times });
        *self.shared.swallow.lock().unwrap_or_else(PoisonError::into_inner) = swallow;
    }

    /// Waits until so many commands, since it was started, have been carried out with no answer.
    ///
    /// # Panics
    /// When they are not within [`LIMIT`].
    pub async fn swallowed(&self, count: u64) {
        let mut swallowed = self.shared.swallowed.subscribe();
        let waiting = swallowed.wait_for(|so_far| *so_far >= count);
        let outcome = timeout(LIMIT, waiting).await;
        assert!(outcome.is_ok(), "no such command was sent");
    }

    /// Keeps from here on what clients are told.
    pub fn keep(&self) {
        self.shared.told.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default();
    }

    /// Whether a client was told this, in what was kept.
    pub fn has_told(&self, text: &str) -> bool {
        let told = self.shared.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pieces = told.iter().flat_map(|told| told.windows(text.len()));
        pieces.any(|piece| piece == text.as_bytes())
    }

    /// Does nothing more to any connection.
    pub fn heal(&self) {
        self.shared.truncate.store(false, Ordering::Release);
        self.swallow("", 0);
        self.rules.send_modify(|rules| {
            *rules = Rules { cuts: rules.cuts, ..Rules::default() };
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    /// Keeps what a client is told, where that is kept; says whether it is.
    fn note(&self, said: &[u8]) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.as_mut().map(|told| told.extend_from_slice(said)).is_some()
    }

    /// Keeps what the server says to a client that is gone.
    async fn keep_rest(&self, server: &mut OwnedReadHalf) -> io::Result<()> {
        let mut said = vec![0; 1 << 16];
        while self.note(&[]) {
            match server.read(&mut said).await? {
                0 => break,
                length => _ = self.note(&said[..length]),
            }
        }
        Ok(())
    }

    /// Whether the answer to this command is to be lost.
    fn swallows(&self, command: &[u8]) -> bool {
        let mut swallow = self.swallow.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(wanted) = swallow.as_mut() else { return false };
        if !(wanted.wanted)(&String::from_utf8_lossy(command)) {
            return false;
        }
        wanted.times -= 1;
        if wanted.times == 0 {
            *swallow = None;
        }
        true
    }
}

async fn accept(listener: TcpListener, rules: watch::Receiver<Rules>, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        if rules.borrow().refuses {
            continue;
        }
        tokio::spawn(serve(client, rules.clone(), Arc::clone(&shared)));
    }
}

/// Serves one connection to its end, whose reason nobody asks for.
async fn serve(client: TcpStream, rules: watch::Receiver<Rules>, shared: Arc<Shared>) {
    let made = rules.borrow().cuts;
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, shared.server)).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (mut from_server, to_server)) =
        (client.into_split(), server.into_split());
    let (deaf, is_deaf) = watch::channel(false);
    let mut cuts = rules.clone();
    tokio::select! {
        // The proxy is gone, or cuts.
        _ = cuts.wait_for(|rules| rules.cuts > made) => {}
        _ = up(from_client, to_server, rules.clone(), &shared, &deaf) => {}
        _ = down(&mut from_server, to_client, rules, &shared, is_deaf) => {}
    }
    // A server that is slow to see that its client is gone goes on answering: what it takes from a queue then was told all the
    // same. With its other half dropped, the connection ends.
    let _ = timeout(LIMIT, shared.keep_rest(&mut from_server)).await;
}

/// What the client says.
async fn up(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    mut rules: watch::Receiver<Rules>,
    shared: &Shared,
    deaf: &watch::Sender<bool>,
) -> io::Result<()> {
    let mut said = Vec::new();
    loop {
        if client.read_buf(&mut said).await? == 0 {
            return Ok(());
        }
        let mut ready = 0;
        let mut swallows = false;
        while let Some(length) = command(&said[ready..]) {
            let next = &said[ready..ready + length];
            ready += length;
            if shared.swallows(next) {
                swallows = true;
                break;
            }
        }
        if ready == 0 {
            continue;
        }
        pass(&mut rules, |rules| rules.up).await?;
        if swallows {
            deaf.send_replace(true);
        }
        server.write_all(&said[..ready]).await?;
        if swallows {
            server.write_all(PING).await?;
            return pending().await;
        }
        said.drain(..ready);
    }
}

/// What the server says.
async fn down(
    server: &mut OwnedReadHalf,
    mut client: OwnedWriteHalf,
    mut rules: watch::Receiver<Rules>,
    shared: &Shared,
    is_deaf: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut unheard = Vec::new();
    let mut said = vec![0; 1 << 16];
    loop {
        let length = server.read(&mut said).await?;
        if length == 0 {
            return Ok(());
        }
        if *is_deaf.borrow() {
            unheard.extend_from_slice(&said[..length]);
            if unheard.windows(PONG.len()).any(|part| part == PONG) {
                shared.swallowed.send_modify(|count| *count += 1);
                return Ok(());
            }
            continue;
        }
        pass(&mut rules, |rules| rules.down).await?;
        if length > 1 && shared.truncate.swap(false, Ordering::AcqRel) {
            return client.write_all(&said[..length / 2]).await;
        }
        shared.note(&said[..length]);
        client.write_all(&said[..length]).await?;
    }
}

/// Waits until the rules let something pass.
async fn pass(rules: &mut watch::Receiver<Rules>, way: fn(&Rules) -> Way) -> io::Result<()> {
    let delay = way(&rules.borrow()).delay;
    if !delay.is_zero() {
        // It takes its time, and nothing ends it before.
        let _ = timeout(delay, pending::<()>()).await;
    }
    let gone = |_| io::Error::other("the proxy is gone");
    rules.wait_for(|rules| !way(rules).stalls).await.map(drop).map_err(gone)
}

/// How long the command is that this begins with, once all of it is there: an array of strings.
fn command(said: &[u8]) -> Option<usize> {
    let (count, mut at) = header(said, b'*')?;
    for _ in 0..count {
        let (length, begins) = header(said.get(at..)?, b'$')?;
        at += begins + length + 2;
    }
    (at <= said.len()).then_some(at)
}

/// The number in a line of this kind, and how long the line is.
fn header(said: &[u8], kind: u8) -> Option<(usize, usize)> {
    let end = said.windows(2).position(|two| two == b"\r\n")?;
    let (first, number) = said[..end].split_first()?;
    assert_eq!(*first, kind, "a client says commands, and nothing else");
    Some((std::str::from_utf8(number).ok()?.parse().ok()?, end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_known_when_all_of_it_is_there() {
        let said = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n$4\r\nPING\r\n";
        assert_eq!(command(said), Some(20));
        for length in 0..20 {
            assert_eq!(command(&said[..length]), None, "{length}");
        }
        assert_eq!(command(&said[20..]), Some(PING.len()));
    }
}
