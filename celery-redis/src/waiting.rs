//! Waiting for results: one connection listens for all who wait in this process.
//!
//! Who waits is entered, the listener subscribes to the channel, and then reads the key once, so that nothing falls
//! between. After a lost connection it subscribes to all channels again and reads all keys.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use celery_core::backend::BackendError;
use deadpool_redis::redis::{
    Msg,
    aio::{PubSubSink, PubSubStream},
    cmd,
};
use futures_util::StreamExt;
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

use crate::{
    connection::{Link, Pause},
    error::Fault,
};

/// What was last seen of a key: nothing yet, its value, or why it cannot be known.
type Seen = Option<Result<Vec<u8>, BackendError>>;

/// Those who wait.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<Board>);

#[derive(Debug)]
struct Board {
    link: Link,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waited_for: HashMap<String, watch::Sender<Seen>>,
    /// Keys that somebody waits for and nobody listens to yet.
    new: Vec<String>,
    /// Keys that nobody waits for any more.
    gone: Vec<String>,
    /// Who holds it runs; gone with the runtime that it ran on.
    listener: Weak<()>,
}

/// A place among those who wait for a key; nobody listens for it any more when it is dropped.
#[derive(Debug)]
pub(crate) struct Waiter {
    board: Arc<Board>,
    key: String,
    seen: Option<watch::Receiver<Seen>>,
}

impl Waiting {
    pub(crate) fn new(link: Link) -> Self {
        Self(Arc::new(Board { link, state: Mutex::default(), changed: Notify::new() }))
    }

    /// Waits for values of the key from here on; the one that is there comes first.
    pub(crate) fn wait_for(&self, key: String) -> Waiter {
        let board = Arc::clone(&self.0);
        let mut state = board.state();
        let seen = match state.waited_for.get(&key) {
            Some(sender) => {
                let mut seen = sender.subscribe();
                // What the others have seen is news for this one.
                seen.mark_changed();
                seen
            }
            None => {
                let (sender, seen) = watch::channel(None);
                state.waited_for.insert(key.clone(), sender);
                state.new.push(key.clone());
                seen
            }
        };
        if state.listener.strong_count() == 0 {
            let running = Arc::new(());
            state.listener = Arc::downgrade(&running);
            state.new = state.waited_for.keys().cloned().collect();
            tokio::spawn(listen(Arc::clone(&board), running));
        }
        drop(state);
        board.changed.notify_one();
        Waiter { board, key, seen: Some(seen) }
    }
}

impl Waiter {
    /// The next value of the key.
    pub(crate) async fn next(&mut self) -> Result<Vec<u8>, BackendError> {
        let ended = || {
            BackendError::from(Fault::connection(
                self.board.link.shown(),
                "nobody listens for results any more",
            ))
        };
        let Some(seen) = &mut self.seen else { return Err(ended()) };
        loop {
            if seen.changed().await.is_err() {
                return Err(ended());
            }
            let value = seen.borrow_and_update().clone();
            if let Some(value) = value {
                return value;
            }
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut state = self.board.state();
        self.seen = None;
        if state.waited_for.get(&self.key).is_some_and(|sender| sender.receiver_count() == 0) {
            state.waited_for.remove(&self.key);
            state.gone.push(self.key.clone());
            drop(state);
            self.board.changed.notify_one();
        }
    }
}

impl Board {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, key: &str, value: Result<Vec<u8>, BackendError>) {
        if let Some(sender) = self.state().waited_for.get(key) {
            sender.send_replace(Some(value));
        }
    }
}

/// Listens until nobody waits.
async fn listen(board: Arc<Board>, running: Arc<()>) {
    let mut pause = Pause::default();
    loop {
        match listen_once(&board, &running, &mut pause).await {
            Ok(()) => return,
            Err(fault) if fault.is_connection() => {
                tracing::debug!("listening for results again: {fault}");
                pause.wait().await;
                // All of them are to be subscribed to, and read, again.
                let mut state = board.state();
                state.gone.clear();
                state.new = state.waited_for.keys().cloned().collect();
            }
            Err(fault) => {
                let keys: Vec<String> = board.state().waited_for.keys().cloned().collect();
                for key in keys {
                    board.show(&key, Err(fault.clone().into()));
                }
                return;
            }
        }
    }
}

async fn listen_once(board: &Board, running: &Arc<()>, pause: &mut Pause) -> Result<(), Fault> {
    let (mut sink, mut stream): (PubSubSink, PubSubStream) = board.link.pubsub().await?.split();
    let quiet = board.link.options().health_check_interval;
    loop {
        let (new, gone) = {
            let mut state = board.state();
            if state.waited_for.is_empty() {
                // Whoever comes next starts another: it must not find this one while it ends.
                if Arc::strong_count(running) == 1 {
                    state.listener = Weak::new();
                }
                return Ok(());
            }
            let new: Vec<String> = std::mem::take(&mut state.new);
            let gone: Vec<String> = std::mem::take(&mut state.gone);
            let waited_for = |key: &String| state.waited_for.contains_key(key);
            let new: Vec<String> = new.into_iter().filter(waited_for).collect();
            let gone: Vec<String> =
                gone.into_iter().filter(|key| !state.waited_for.contains_key(key)).collect();
            (new, gone)
        };
        if !gone.is_empty() {
            answered(board, sink.unsubscribe(&gone)).await?;
        }
        if !new.is_empty() {
            answered(board, sink.subscribe(&new)).await?;
            let values: Vec<Option<Vec<u8>>> = board.link.ask(cmd("MGET").arg(&new)).await?;
            for (key, value) in new.iter().zip(values) {
                if let Some(value) = value {
                    board.show(key, Ok(value));
                }
            }
            *pause = Pause::default();
        }
        tokio::select! {
            message = stream.next() => match message {
                Some(message) => board.show(message.get_channel_name(), Ok(payload(&message))),
                None => return Err(Fault::connection(board.link.shown(), "the server closed the connection")),
            },
            () = board.changed.notified() => {}
            () = tokio::time::sleep(quiet) => answered(board, sink.ping::<()>()).await?,
        }
    }
}

fn payload(message: &Msg) -> Vec<u8> {
    message.get_payload_bytes().to_vec()
}

async fn answered(
    board: &Board,
    command: impl Future<Output = deadpool_redis::redis::RedisResult<()>>,
) -> Result<(), Fault> {
    match timeout(board.link.options().response_timeout, command).await {
        Ok(outcome) => outcome.map_err(|error| board.link.fault(&error)),
        Err(_) => Err(Fault::connection(
            board.link.shown(),
            "no answer on the connection that listens for results",
        )),
    }
}
