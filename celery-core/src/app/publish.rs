//! Publishing task messages: once each, together where there are several, and again upon a lost connection.

use super::{Celery, deadline::Deadline, send::Outgoing};
use crate::{
    broker::{Broker, BrokerError, Publication},
    error::Error,
    ids,
    signals::Publishing,
};

/// Messages that are ready to be published, and what is to be told of them afterwards.
#[derive(Debug, Default)]
pub(crate) struct Parcel {
    pub(crate) batch: Vec<Publication>,
    /// The id of the first task, where somebody asks for it.
    pub(crate) first: Option<String>,
    /// Kept only where somebody listens.
    told: Vec<Outgoing>,
}

impl Parcel {
    /// Adds what is in another one.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.batch.append(&mut other.batch);
        self.told.append(&mut other.told);
        self.first = self.first.take().or(other.first);
    }
}

impl Celery {
    /// Whether messages go to the broker that they come from.
    pub(crate) fn publishes_where_it_consumes(&self) -> bool {
        self.inner.config.broker.write_urls() == self.broker_urls()
    }

    /// Writes a message, and behind it the event that tells of it, where the settings ask for one.
    ///
    /// # Errors
    /// [`Error::Encode`] when it could not be serialized; nothing is added to the parcel then.
    pub(crate) fn pack(&self, mut outgoing: Outgoing, parcel: &mut Parcel) -> Result<(), Error> {
        let listeners = self.listeners();
        if !listeners.is_empty() {
            let Outgoing { message, exchange, routing_key, .. } = &mut outgoing;
            let (id, task) = (message.id.clone(), message.task.clone());
            listeners.tell("before_task_publish", |signals| {
                signals.before_task_publish(&mut Publishing {
                    message: &mut *message,
                    exchange: &exchange.name,
                    routing_key: routing_key.as_str(),
                });
            });
            // Somebody waits for the result under that id.
            (message.id, message.task) = (id, task);
        }
        let told = (!listeners.is_empty()).then(|| outgoing.clone());
        let event = self.sent_event(&outgoing)?;
        let Outgoing { message, exchange, routing_key, serializer, compression, .. } = outgoing;
        let mut message = message.into_written(serializer, compression)?;
        message.once = Some(ids::random());
        parcel.batch.push(Publication { exchange, routing_key, message });
        parcel.batch.extend(event);
        parcel.told.extend(told);
        Ok(())
    }

    /// Publishes, and tries again upon a lost connection as `task_publish_retry_policy` says, and for as long as
    /// connecting may take.
    pub(crate) async fn publish(&self, parcel: &Parcel) -> Result<(), Error> {
        let mut deadline = Deadline::new(&self.inner.config);
        loop {
            match self.try_publish(&parcel.batch).await {
                Ok(()) => break,
                Err(Error::Broker(lost @ BrokerError::ConnectionLost(_))) => {
                    deadline.wait(lost).await?;
                }
                Err(error) => return Err(error),
            }
        }
        self.tell_published(parcel);
        Ok(())
    }

    /// Tells who listens that the messages have been published.
    pub(crate) fn tell_published(&self, parcel: &Parcel) {
        for Outgoing { message, exchange, routing_key, .. } in &parcel.told {
            self.listeners().tell("after_task_publish", |signals| {
                signals.after_task_publish(message, &exchange.name, routing_key);
            });
        }
    }

    async fn try_publish(&self, batch: &[Publication]) -> Result<(), Error> {
        let broker: &dyn Broker = self.publisher().await?.as_ref();
        Ok(broker.publish(batch).await?)
    }

    /// The event that tells of a message, where the settings ask for one.
    fn sent_event(&self, outgoing: &Outgoing) -> Result<Option<Publication>, Error> {
        if !self.inner.config.task.send_sent_event {
            return Ok(None);
        }
        let Outgoing { message, exchange, routing_key, queue, .. } = outgoing;
        let headers = &message.headers;
        let event = self.event("task-sent", |event| {
            event
                .add("uuid", &message.id)
                .add("root_id", headers.root_id.as_deref())
                .add("parent_id", headers.parent_id.as_deref())
                .add("name", &message.task)
                .add("args", headers.argsrepr.as_deref())
                .add("kwargs", headers.kwargsrepr.as_deref())
                .add("retries", headers.retries)
                .add("eta", headers.eta.as_deref())
                .add("expires", headers.expires.as_deref())
                .add("queue", queue.as_deref())
                .add("exchange", &exchange.name)
                .add("routing_key", routing_key);
        })?;
        Ok(Some(event))
    }
}
