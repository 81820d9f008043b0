//! Waiting for results: one connection listens for all who wait in this process.
//!
//! Who waits is entered, the listener subscribes to the channel and behind that reads the key, over one connection and in
//! one round trip, so that nothing falls between. Those who come meanwhile share the next. After a lost connection it
//! subscribes to all channels again and reads all keys.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use celery_core::backend::BackendError;
use deadpool_redis::redis::{PushKind, Value, aio::MultiplexedConnection, cmd};
use futures_util::future::join3;
use tokio::sync::{Notify, watch};

use crate::{
    connection::{Link, Pause},
    error::Fault,
};

/// How many keys are asked for in one round trip.
const KEYS_AT_ONCE: usize = 500;

/// What was last seen of a key: nothing yet, its value, or why it cannot be known.
type Seen = Option<Result<Bytes, BackendError>>;

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
    waited_for: HashMap<String, WaitedFor>,
    /// Keys that somebody waits for and nobody listens to yet.
    new: Vec<String>,
    /// Keys that nobody waits for any more.
    gone: Vec<String>,
    /// Who holds it runs; gone with the runtime that it ran on.
    listener: Weak<()>,
}

/// A key that somebody waits for.
#[derive(Debug)]
struct WaitedFor {
    sender: watch::Sender<Seen>,
    /// Whether something was heard since it was last asked for: what is read then is older.
    heard: bool,
}

/// What changed of what is listened to.
#[derive(Debug)]
struct Changes {
    new: Vec<String>,
    gone: Vec<String>,
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
            Some(WaitedFor { sender, .. }) => {
                let mut seen = sender.subscribe();
                // What the others have seen is news for this one.
                seen.mark_changed();
                seen
            }
            None => {
                let (sender, seen) = watch::channel(None);
                state.waited_for.insert(key.clone(), WaitedFor { sender, heard: false });
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
    pub(crate) async fn next(&mut self) -> Result<Bytes, BackendError> {
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
        if state.waited_for.get(&self.key).is_some_and(|it| it.sender.receiver_count() == 0) {
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

    /// What there is to listen to and what not any more since it was last asked; nothing when nobody waits.
    fn changes(&self, running: &Arc<()>) -> Option<Changes> {
        let mut state = self.state();
        if state.waited_for.is_empty() {
            // Whoever comes next starts another: it must not find this one while it ends.
            if Arc::strong_count(running) == 1 {
                state.listener = Weak::new();
            }
            return None;
        }
        let State { waited_for, new, gone, .. } = &mut *state;
        let new: Vec<String> = new.drain(..new.len().min(KEYS_AT_ONCE)).collect();
        let gone: Vec<String> = gone.drain(..gone.len().min(KEYS_AT_ONCE)).collect();
        let mut asks = |key: &String| match waited_for.get_mut(key) {
            Some(it) => {
                it.heard = false;
                true
            }
            None => false,
        };
        Some(Changes {
            new: new.into_iter().filter(|key| asks(key)).collect(),
            gone: gone.into_iter().filter(|key| !waited_for.contains_key(key)).collect(),
        })
    }

    /// A message on the channel of a key.
    fn hear(&self, data: &[Value]) {
        let [Value::BulkString(channel), Value::BulkString(payload)] = data else { return };
        let Ok(key) = str::from_utf8(channel) else { return };
        if let Some(it) = self.state().waited_for.get_mut(key) {
            it.heard = true;
            it.sender.send_replace(Some(Ok(Bytes::copy_from_slice(payload))));
        }
    }

    /// What was read of a key.
    fn show(&self, key: &str, value: Bytes) {
        if let Some(it) = self.state().waited_for.get(key).filter(|it| !it.heard) {
            it.sender.send_replace(Some(Ok(value)));
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
                for it in board.state().waited_for.values() {
                    it.sender.send_replace(Some(Err(fault.clone().into())));
                }
                return;
            }
        }
    }
}

async fn listen_once(
    board: &Arc<Board>,
    running: &Arc<()>,
    pause: &mut Pause,
) -> Result<(), Fault> {
    let (told, ear) = (Arc::clone(board), Ear::default());
    let lost = Arc::clone(&ear.0);
    let connection = board.link.dedicated(move |push| match push.kind {
        PushKind::Message if !lost.load(Ordering::Acquire) => told.hear(&push.data),
        PushKind::Disconnection => {
            lost.store(true, Ordering::Release);
            told.changed.notify_one();
        }
        _ => {}
    });
    let connection = connection.await?;
    let quiet = board.link.options().health_check_interval;
    loop {
        if ear.0.load(Ordering::Acquire) {
            return Err(Fault::connection(board.link.shown(), "the server closed the connection"));
        }
        let Some(Changes { new, gone }) = board.changes(running) else { return Ok(()) };
        if new.is_empty() && gone.is_empty() {
            tokio::select! {
                () = board.changed.notified() => {}
                () = tokio::time::sleep(quiet) => {
                    let mut connection = connection.clone();
                    let answer = cmd("PING").query_async::<()>(&mut connection).await;
                    answer.map_err(|error| board.link.fault(&error))?;
                }
            }
            continue;
        }
        for (key, value) in new.iter().zip(look(board, &connection, &new, &gone).await?) {
            if let Some(value) = value {
                board.show(key, value);
            }
        }
        if !new.is_empty() {
            *pause = Pause::default();
        }
    }
}

/// Whether a connection is listened to no more, which it is not when this is dropped: what comes late was read anew.
#[derive(Default)]
struct Ear(Arc<AtomicBool>);

impl Drop for Ear {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Subscribes to the new keys, not to those that are gone any more, and reads the new ones: all in one round trip, in that
/// order, so that no change of a key falls between.
async fn look(
    board: &Board,
    connection: &MultiplexedConnection,
    new: &[String],
    gone: &[String],
) -> Result<Vec<Option<Bytes>>, Fault> {
    let [mut first, mut second, mut third] = [(); 3].map(|()| connection.clone());
    let unsubscribed =
        async { if gone.is_empty() { Ok(()) } else { first.unsubscribe(gone).await } };
    let subscribed = async { if new.is_empty() { Ok(()) } else { second.subscribe(new).await } };
    let values = async {
        if new.is_empty() {
            return Ok(Vec::new());
        }
        cmd("MGET").arg(new).query_async(&mut third).await
    };
    // The one that stands first is sent first.
    let answers = join3(unsubscribed, subscribed, values).await;
    let fault = |error| board.link.fault(&error);
    answers.0.map_err(fault)?;
    answers.1.map_err(fault)?;
    answers.2.map_err(fault)
}
