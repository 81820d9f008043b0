//! Listening on fanout exchanges, which are channels.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use celery_core::{
    broker::{BrokerError, Queue, Subscription},
    envelope,
    message::Message,
};
use deadpool_redis::redis::{
    aio::{PubSubSink, PubSubStream},
    pipe,
};
use futures_util::StreamExt;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout, timeout_at},
};

use crate::{
    broker::{Bindings, bind, unbind},
    connection::{Link, Pause},
    error::Fault,
    keys::Keys,
};

/// A subscription that heals: after a lost connection it listens again, and what was published between is gone.
pub(crate) struct RedisSubscription {
    link: Link,
    keys: Keys,
    bindings: Bindings,
    queue: Queue,
    pattern: String,
    listening: Option<Listening>,
    /// When the server was last heard of. It is kept over calls of `next` that were dropped.
    heard_at: Instant,
    resumed: Arc<Notify>,
}

/// A connection that listens, to the server that was the right one when it was made.
struct Listening {
    sink: PubSubSink,
    stream: PubSubStream,
    moves: watch::Receiver<u64>,
}

impl fmt::Debug for RedisSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSubscription").field("pattern", &self.pattern).finish_non_exhaustive()
    }
}

impl RedisSubscription {
    /// Listens from here on.
    pub(crate) async fn start(
        link: Link,
        keys: Keys,
        bindings: Bindings,
        queue: Queue,
        pattern: String,
    ) -> Result<Self, Fault> {
        let listening = Some(listen(&link, &pattern).await?);
        let (heard_at, resumed) = (Instant::now(), Arc::default());
        Ok(Self { link, keys, bindings, queue, pattern, listening, heard_at, resumed })
    }

    /// Listens to the server that is the right one now, which may not know of the binding.
    async fn listen_again(&self) -> Result<Listening, Fault> {
        let listening = listen(&self.link, &self.pattern).await?;
        let mut pipeline = pipe();
        bind(&self.keys, &self.queue, &mut pipeline);
        self.link.ask_all::<()>(&pipeline).await?;
        Ok(listening)
    }

    /// Waits for what is published next; an error means that the connection is gone.
    async fn receive(&mut self, quiet: Duration) -> Result<Bytes, Fault> {
        let Some(Listening { sink, stream, moves }) = &mut self.listening else {
            return Err(Fault::connection(self.link.shown(), "not listening"));
        };
        loop {
            let heard = async {
                tokio::select! {
                    message = stream.next() => message.ok_or("the server closed the connection"),
                    _ = moves.changed() => Err("what is published goes over another server now"),
                }
            };
            match timeout_at(self.heard_at + quiet, heard).await {
                Ok(Ok(message)) => {
                    self.heard_at = Instant::now();
                    return Ok(Bytes::copy_from_slice(message.get_payload_bytes()));
                }
                Ok(Err(why)) => return Err(Fault::connection(self.link.shown(), why)),
                Err(_) => {
                    let limit = self.link.options().response_timeout;
                    match timeout(limit, sink.ping::<()>()).await {
                        Ok(Ok(())) => self.heard_at = Instant::now(),
                        Ok(Err(error)) => return Err(self.link.fault(&error)),
                        Err(_) => {
                            return Err(Fault::connection(
                                self.link.shown(),
                                "no answer to a ping",
                            ));
                        }
                    }
                }
            }
        }
    }
}

#[async_trait]
impl Subscription for RedisSubscription {
    async fn next(&mut self) -> Result<Message, BrokerError> {
        let quiet = self.link.options().health_check_interval;
        let mut pause = Pause::default();
        loop {
            if self.listening.is_none() {
                match self.listen_again().await {
                    Ok(listening) => {
                        self.listening = Some(listening);
                        self.heard_at = Instant::now();
                        self.resumed.notify_one();
                    }
                    Err(fault) if fault.is_connection() => {
                        pause.wait().await;
                        continue;
                    }
                    Err(fault) => return Err(fault.into()),
                }
            }
            // Here, for those that always have something to hear, too. Who fails in this, fails at the next ping.
            if let Err(fault) = self.bindings.keep().await {
                tracing::debug!("could not renew the binding of `{}`: {fault}", self.pattern);
            }
            match self.receive(quiet).await {
                Ok(payload) => match envelope::from_json(&payload) {
                    Ok(message) => return Ok(message),
                    Err(malformed) => {
                        tracing::warn!("skipped a message on `{}`: {malformed}", self.pattern);
                    }
                },
                Err(fault) => {
                    tracing::warn!(
                        "lost the subscription to `{}`, listening again: {fault}",
                        self.pattern
                    );
                    self.listening = None;
                }
            }
        }
    }

    fn resumed(&self) -> Option<Arc<Notify>> {
        Some(Arc::clone(&self.resumed))
    }

    async fn close(mut self: Box<Self>) -> Result<(), BrokerError> {
        self.listening = None;
        let mut pipeline = pipe();
        unbind(&self.keys, &self.queue, &mut pipeline);
        Ok(self.link.insist(&pipeline).await?)
    }
}

async fn listen(link: &Link, pattern: &str) -> Result<Listening, Fault> {
    let moves = link.moves();
    let (mut sink, stream) = link.pubsub().await?.split();
    let limit = link.options().response_timeout;
    match timeout(limit, sink.psubscribe(pattern)).await {
        Ok(Ok(())) => Ok(Listening { sink, stream, moves }),
        Ok(Err(error)) => Err(link.fault(&error)),
        Err(_) => Err(Fault::connection(link.shown(), "no answer to PSUBSCRIBE")),
    }
}
