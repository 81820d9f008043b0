//! Events: what workers tell of themselves and their tasks, and clients of what they send, for whoever listens.
//!
//! An [`Event`] has a type, such as `task-succeeded`, whose first word is its group, and fields. An [`EventDispatcher`]
//! sends them without making anybody wait, an [`EventReceiver`] hears them, and a [`State`] is what they say of the
//! fleet. Events are told in passing: those that nobody listens to are gone, and a
//! broker that is away delays, and in the end costs, events, but no task.

mod dispatcher;
mod event;
mod fields;
mod handlers;
mod outbox;
mod receiver;
mod state;
#[cfg(test)]
mod tests;
mod wire;

pub use self::{
    dispatcher::EventDispatcher,
    event::{Event, NotAnEvent},
    fields::{Field, Fields},
    handlers::Handlers,
    receiver::EventReceiver,
    state::{InProgress, State, Task, Worker},
};
use crate::{app::Celery, broker::Exchange, config::EventConfig, error::Error};

/// The events of an app: Celery's `app.events`.
#[derive(Clone, Debug)]
pub struct Events {
    app: Celery,
}

impl Celery {
    /// The events of this app.
    pub fn events(&self) -> Events {
        Events { app: self.clone() }
    }
}

impl Events {
    /// Sends one event, and waits until the broker has it: for programs that tell something of themselves now and then.
    ///
    /// ```no_run
    /// # async fn example(app: celery_core::app::Celery) -> Result<(), celery_core::error::Error> {
    /// app.events().send("backup-done", |event| {
    ///     event.add("files", 1200).add("took", 3.5);
    /// }).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Broker`] when the broker cannot be reached. That nobody listens is no error.
    ///
    /// # Cancel safety
    /// A call that is dropped may or may not have been sent.
    pub async fn send(&self, kind: &str, fields: impl FnOnce(&mut Fields)) -> Result<(), Error> {
        let publication = self.app.event(kind, fields)?;
        Ok(self.app.publisher().await?.publish(&[publication]).await?)
    }

    /// A dispatcher that sends under that node name, for programs that tell much: see [`EventDispatcher`].
    pub fn dispatcher(&self, hostname: impl Into<String>) -> EventDispatcher {
        EventDispatcher::new(&self.app, hostname)
    }
}

/// The exchange of events.
///
/// It is a fanout, as Celery's is on Redis: its routing keys choose among those who listen.
pub fn exchange(config: &EventConfig) -> Exchange {
    Exchange::fanout(config.exchange.clone())
}

/// The group of a type of events: `task` of `task-sent`.
pub(crate) fn group_of(kind: &str) -> &str {
    kind.split_once('-').map_or(kind, |(group, _)| group)
}
