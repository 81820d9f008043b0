//! The Redis broker and result backend of `celery`: `redis://`, `rediss://`, `redis+socket://` and `sentinel://`.
//!
//! Python's workers and clients share the server, so keys and their meaning are kombu's (see `keys`), and every
//! option of kombu's Redis transport is honoured, or refused with a reason (see `options`). What differs is how the
//! keys are written:
//!
//! - **Nothing is ever outside of the server's books.** A message leaves its queue for a batch of the worker's own
//!   (`celery-pending.<process>.<number>`) in one script, so that no crash can fall in between. A batch is moved as it is, and
//!   struck off by ranges, which costs the server a third of what kombu's hash and sorted set do. What is still out after a
//!   second is moved on into those, where Python's workers see it. With the transport option `delivery_registry` set to
//!   `unacked` all is recorded there at once.
//! - **Waiting takes nothing.** The consumer's connection has the server track the lists that it found empty
//!   (`CLIENT TRACKING`, Redis 6); the first change to any of them, by whichever client, is pushed to it, and it
//!   fetches. One connection waits on any number of queues and priorities, nothing is polled, and a wait that is
//!   given up, or a worker that is killed while it waits, has nothing in its hands. The alternative, `BLMOVE` to a
//!   list of the worker's own, needs a connection for each queue and priority, since a blocked connection answers to
//!   nothing else, and a rescue for what arrives at one that has just been given up. The price: all idle workers wake
//!   when a message arrives, one gets it; and a Python worker that is idle in `BRPOP` is served before us.
//! - **Each process has a name**, which its batches have, and the set `celery-held.<name>` of the tags that it holds in
//!   kombu's books. A script settles a message only while that says that it is ours, so that any may be repeated after a lost
//!   reply. A process that has been silent for half a minute loses all of it to one that lives, which puts the messages
//!   back in front of their queues; `celery-taken.<name>` tells the one that was silent.
//! - **An order is kept until it is answered**, over as many connections as that takes (see `flusher`).
//! - **What is held stays held**: its time in `unacked_index` is renewed, so that no restore, Python's or ours, takes
//!   it for abandoned. What is deferred is in the same books with a time that is overdue exactly when it is due.
//!
//! The crate registers itself with `celery-core`; to link it, name it: `use celery_redis as _;`.

mod address;
mod backend;
mod books;
mod broker;
mod connection;
mod consumer;
mod entry;
mod error;
mod fanout;
mod fetch;
mod flusher;
mod gather;
mod heard;
mod held;
mod keeper;
mod keys;
mod options;
mod publish;
mod quarantine;
mod rescue;
mod restore;
mod scheduled;
mod scripts;
mod servers;
mod sets;
mod waiting;

use std::sync::Arc;

use celery_core::{
    backend::{Backend, BackendError},
    broker::{Broker, BrokerError},
    config::{Config, ServerUrl},
    transport::{BackendTransport, BoxFuture, BrokerTransport},
};

pub use crate::{backend::RedisBackend, broker::RedisBroker};

const SCHEMES: &[&str] = &["redis", "rediss", "redis+socket", "sentinel"];

inventory::submit! { BrokerTransport { schemes: SCHEMES, connect: connect_broker } }
inventory::submit! { BackendTransport { schemes: SCHEMES, connect: connect_backend } }

fn connect_broker(
    urls: &[ServerUrl],
    config: &Config,
) -> BoxFuture<'static, Result<Arc<dyn Broker>, BrokerError>> {
    let broker = RedisBroker::new(urls, config);
    Box::pin(async move {
        let broker = broker?;
        broker.ping().await?;
        Ok(Arc::new(broker) as Arc<dyn Broker>)
    })
}

fn connect_backend(
    url: &ServerUrl,
    config: &Config,
) -> BoxFuture<'static, Result<Arc<dyn Backend>, BackendError>> {
    let backend = RedisBackend::new(url, config);
    Box::pin(async move { Ok(Arc::new(backend?) as Arc<dyn Backend>) })
}
