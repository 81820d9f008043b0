//! Hears events.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, task::JoinHandle, time::Instant};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::{Event, Events, Handlers, exchange, wire::utcoffset};
use crate::{
    app::Celery,
    broker::{Broker, BrokerError, Queue, Subscription},
    clock,
    codec::{self, AcceptContent},
    date,
    error::Error,
    message::Message,
    value::{Map, Value},
};

/// Hears the events that are sent from now on: Celery's `EventReceiver`.
///
/// The logical clock of the app follows those of the events. Each is given `local_received`, the Unix time at which it
/// was heard, and its `timestamp` is corrected by how far its sender's time zone is from ours, as by Celery.
///
/// An event that waits here for longer than `event_queue_ttl` because its receiver is slow is dropped, and the log says
/// so.
///
/// ```no_run
/// # async fn example(app: celery_core::app::Celery) -> Result<(), celery_core::error::Error> {
/// let mut events = app.events().receive("#").await?;
/// loop {
///     let event = events.next().await?;
///     if event.kind() == "task-failed" {
///         println!("{:?} failed: {:?}", event.text("uuid"), event.text("exception"));
///     }
/// }
/// # }
/// ```
pub struct EventReceiver {
    app: Celery,
    accept: AcceptContent,
    inbox: Arc<Inbox>,
    ready: VecDeque<Event>,
    /// Its end is that of the reader, which takes back the subscription.
    stop: DropGuard,
    reader: JoinHandle<()>,
}

impl Events {
    /// Hears events whose routing key matches: `#` is all, `worker.#` those of workers, and `task.#` those of tasks.
    ///
    /// All workers are asked for a heartbeat, so that who listens knows of them soon.
    ///
    /// # Errors
    /// [`Error::Broker`] when the broker cannot be reached.
    pub async fn receive(&self, routing_key: &str) -> Result<EventReceiver, Error> {
        let app = &self.app;
        let config = &app.config().event;
        let queue = Queue {
            name: format!("{}.{}", config.queue_prefix, Uuid::new_v4()),
            exchange: exchange(config),
            routing_key: routing_key.to_owned(),
            expires: Some(config.queue_expires),
        };
        let broker: &dyn Broker = app.broker().await?.as_ref();
        let subscription = broker.subscribe(&queue).await?;
        let inbox = Arc::new(Inbox { ttl: config.queue_ttl, ..Inbox::default() });
        let stop = CancellationToken::new();
        let reader = tokio::spawn(read(subscription, Arc::clone(&inbox), stop.clone()));
        let accept = AcceptContent::new([config.serializer.as_str(), "json"])
            .map_err(|error| Error::Call(error.to_string()))?;
        let receiver = EventReceiver {
            app: app.clone(),
            accept,
            inbox,
            ready: VecDeque::new(),
            stop: stop.drop_guard(),
            reader,
        };
        app.control().broadcast("heartbeat", Map::new()).send().await?;
        Ok(receiver)
    }
}

impl EventReceiver {
    /// Waits for the next event.
    ///
    /// # Errors
    /// [`Error::Broker`] when nothing can be heard any more. A connection that is made anew is no error; what was sent
    /// meanwhile is gone.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn next(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(event);
            }
            let message = self.inbox.next().await?;
            self.read(&message);
        }
    }

    /// Gives each event to its handler, until nothing can be heard any more.
    ///
    /// # Errors
    /// As for [`next`](Self::next).
    ///
    /// # Cancel safety
    /// Cancel safe: with a time limit around it, it can be called again.
    pub async fn capture(&mut self, handlers: &mut Handlers<'_>) -> Result<(), Error> {
        loop {
            let event = self.next().await?;
            handlers.handle(&event);
        }
    }

    /// Stops listening, and waits until that is done.
    pub async fn close(self) {
        drop(self.stop);
        if let Err(error) = self.reader.await {
            tracing::warn!(error = &error as &dyn std::error::Error, "could not stop listening");
        }
    }

    /// Takes the events out of a message: one, or a list of them.
    fn read(&mut self, message: &Message) {
        let content_type = message.content_type.as_deref();
        let encoding = message.content_encoding.as_deref();
        let body = codec::decode(&message.body, content_type, encoding, None, &self.accept);
        let events = match body {
            Ok(Value::Array(events)) => events,
            Ok(event) => vec![event],
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "an event cannot be read");
                return;
            }
        };
        for value in events {
            match Event::from_value(value) {
                Ok(event) => {
                    let event = localize(event, &self.app);
                    self.ready.push_back(event);
                }
                Err(error) => tracing::warn!(%error, "what was heard is no event"),
            }
        }
    }
}

/// Takes in the clock of an event, and makes its time ours.
fn localize(mut event: Event, app: &Celery) -> Event {
    let own = app.clock();
    let clock = match event.clock() {
        // Clients do not hear the clocks of others, so that theirs say nothing.
        _ if event.kind() == "task-sent" => {
            let clock = own.value().max(1) - 1;
            own.adjust(clock);
            clock
        }
        Some(clock) => {
            own.adjust(clock);
            clock
        }
        None => own.forward(),
    };
    event.fields.insert("clock".to_owned(), clock.into());
    let now = clock::now();
    if let (Some(offset), Some(timestamp)) = (event.number("utcoffset"), event.timestamp()) {
        let adjusted = timestamp - (offset - utcoffset(now)) * 3600.0;
        event.fields.insert("timestamp".to_owned(), adjusted.into());
    }
    event.fields.insert("local_received".to_owned(), date::unix_seconds(now).into());
    event
}

impl fmt::Debug for EventReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventReceiver").field("app", &self.app).finish_non_exhaustive()
    }
}

/// What was heard and not yet looked at.
#[derive(Debug, Default)]
struct Inbox {
    ttl: Option<Duration>,
    heard: Mutex<Heard>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Heard {
    messages: VecDeque<(Instant, Message)>,
    dropped: u64,
    /// Why there will be no more.
    end: Option<BrokerError>,
}

impl Inbox {
    fn change(&self, change: impl FnOnce(&mut Heard)) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut heard);
        if let Some(ttl) = self.ttl {
            while heard.messages.front().is_some_and(|(since, _)| since.elapsed() > ttl) {
                heard.messages.pop_front();
                heard.dropped += 1;
            }
        }
    }

    async fn next(&self) -> Result<Message, BrokerError> {
        loop {
            let (mut next, mut dropped, mut end) = (None, 0, None);
            self.change(|_| {});
            self.change(|heard| {
                next = heard.messages.pop_front();
                dropped = std::mem::take(&mut heard.dropped);
                end = heard.end.clone();
            });
            if dropped > 0 {
                tracing::warn!(dropped, "events waited too long for their receiver");
            }
            match (next, end) {
                (Some((_, message)), _) => return Ok(message),
                (None, Some(error)) => return Err(error),
                (None, None) => self.more.notified().await,
            }
        }
    }
}

/// Hears whatever comes, so that what is slow is the receiver and not the connection.
async fn read(mut subscription: Box<dyn Subscription>, inbox: Arc<Inbox>, stop: CancellationToken) {
    loop {
        tokio::select! {
            heard = subscription.next() => {
                let ended = heard.is_err();
                inbox.change(|inbox| match heard {
                    Ok(message) => inbox.messages.push_back((Instant::now(), message)),
                    Err(error) => inbox.end = Some(error),
                });
                inbox.more.notify_one();
                if ended {
                    return;
                }
            }
            () = stop.cancelled() => break,
        }
    }
    if let Err(error) = subscription.close().await {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "could not unsubscribe; it expires"
        );
    }
}
