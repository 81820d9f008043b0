//! The queue in which one request collects its replies, deleted when it is done.

use std::sync::Arc;

use crate::{
    broker::{Broker, BrokerError, Consumer, Queue},
    message::Message,
};

/// An open queue for replies. Dropping it deletes the queue in the background.
#[derive(Debug)]
pub(super) struct Inbox {
    broker: Arc<dyn Broker>,
    queue: Queue,
    consumer: Option<Box<dyn Consumer>>,
    open: bool,
}

impl Inbox {
    /// Declares the queue and consumes from it, so that no reply can come too early.
    pub(super) async fn open(broker: &Arc<dyn Broker>, queue: Queue) -> Result<Self, BrokerError> {
        // The inbox is there before its queue, so that dropping this future leaves nothing behind either.
        let mut inbox = Self { broker: Arc::clone(broker), queue, consumer: None, open: true };
        inbox.consumer =
            Some(inbox.broker.consume(std::slice::from_ref(&inbox.queue), None).await?);
        Ok(inbox)
    }

    /// Waits for messages and takes them out of the queue.
    pub(super) async fn next(&mut self) -> Result<Vec<Message>, BrokerError> {
        let Some(consumer) = &mut self.consumer else { return Ok(Vec::new()) };
        let mut messages = Vec::new();
        for delivery in consumer.next().await? {
            match &delivery.message {
                Ok(message) => messages.push(message.clone()),
                Err(malformed) => tracing::warn!(%malformed, "a reply could not be read"),
            }
            delivery.ack().await?;
        }
        Ok(messages)
    }

    /// Stops consuming and deletes the queue. A failure is not the asker's concern: the queue expires.
    pub(super) async fn close(mut self) {
        remove(&self.broker, &self.queue, self.consumer.take()).await;
        self.open = false;
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (broker, queue, consumer) =
                (Arc::clone(&self.broker), self.queue.clone(), self.consumer.take());
            runtime.spawn(async move { remove(&broker, &queue, consumer).await });
        }
    }
}

async fn remove(broker: &Arc<dyn Broker>, queue: &Queue, consumer: Option<Box<dyn Consumer>>) {
    let closed = match consumer {
        Some(consumer) => consumer.close().await,
        None => Ok(()),
    };
    let deleted = broker.delete(queue).await;
    if let Err(error) = closed.and(deleted) {
        let error: &dyn std::error::Error = &error;
        tracing::debug!(
            queue = queue.name,
            error,
            "could not delete a queue for replies; it will expire"
        );
    }
}
