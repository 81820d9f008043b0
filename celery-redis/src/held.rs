//! A message that is out: where it is in the server's books, and what is asked to become of it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use celery_core::broker::{BrokerError, Publication, Settle, Settlement};
use deadpool_redis::redis::Cmd;
use tokio::sync::{Notify, oneshot};

use crate::{books::Books, entry, error::Fault, publish::mail};

/// What the messages of one batch have in common.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) books: Arc<Books>,
    pub(crate) slots: Arc<Slots>,
    pub(crate) queue: String,
    /// The number of the batch in our own registry; none of what was fetched into kombu's.
    pub(crate) number: u64,
    /// How often we had been silent for too long when it was fetched.
    pub(crate) silences: u64,
}

/// Where a message was recorded when it was fetched.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// In its batch, counted from 0.
    Batch(u32),
    /// Among kombu's, by its tag.
    Tag(String),
}

/// Who tells what a message came to.
pub(crate) type Done = oneshot::Sender<Result<(), BrokerError>>;

/// What is to be done with a message that is out. Its slot is free when it is dropped.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) from: Arc<Fetched>,
    pub(crate) place: Place,
    pub(crate) item: Bytes,
    pub(crate) what: What,
    pub(crate) done: Option<Done>,
    /// Held for what its drop does.
    pub(crate) slot: Option<Slot>,
}

#[derive(Debug)]
pub(crate) enum What {
    /// It is settled, and what follows is published: both or neither.
    Settle(Settlement, Vec<Cmd>),
    /// It is about to be run, and was lost before.
    Begin,
}

/// A place within a consumer's prefetch.
#[derive(Debug)]
pub(crate) struct Slot(Arc<Slots>);

/// How many of a consumer's deliveries are out.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    out: AtomicUsize,
    pub(crate) freed: Notify,
}

impl Slots {
    pub(crate) fn out(&self) -> usize {
        self.out.load(Ordering::Acquire)
    }

    pub(crate) fn take(self: &Arc<Self>) -> Slot {
        self.out.fetch_add(1, Ordering::AcqRel);
        Slot(Arc::clone(self))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.out.fetch_sub(1, Ordering::AcqRel);
        self.0.freed.notify_one();
    }
}

/// The driver's half of a delivery.
pub(crate) struct Held(Option<Out>);

struct Out {
    from: Arc<Fetched>,
    place: Place,
    item: Bytes,
    slot: Slot,
}

impl Held {
    pub(crate) fn new(from: &Arc<Fetched>, place: Place, item: Bytes) -> Self {
        let slot = from.slots.take();
        Self(Some(Out { from: Arc::clone(from), place, item, slot }))
    }

    fn order(&mut self, how: Settlement, follows: Vec<Cmd>, done: Option<Done>) {
        let Some(Out { from, place, item, slot }) = self.0.take() else { return };
        let books = Arc::clone(&from.books);
        let what = What::Settle(how, follows);
        books.ask(Order { from, place, item, what, done, slot: Some(slot) });
    }
}

/// Waits for what became of an order.
async fn told(
    books: &Books,
    outcome: oneshot::Receiver<Result<(), BrokerError>>,
) -> Result<(), BrokerError> {
    let ended = || {
        let why = "the runtime that the consumer was made on has ended";
        Fault::connection(books.link.shown(), why).into()
    };
    outcome.await.unwrap_or_else(|_| Err(ended()))
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Held").field(&self.0.as_ref().map(|out| &out.place)).finish()
    }
}

#[async_trait]
impl Settle for Held {
    async fn settle(mut self: Box<Self>, how: Settlement) -> Result<(), BrokerError> {
        let Some(books) = self.0.as_ref().map(|out| Arc::clone(&out.from.books)) else {
            return Ok(());
        };
        let (done, outcome) = oneshot::channel();
        self.order(how, Vec::new(), Some(done));
        told(&books, outcome).await
    }

    fn settle_later(mut self: Box<Self>, how: Settlement) {
        self.order(how, Vec::new(), None);
    }

    fn publishes(&self) -> bool {
        true
    }

    async fn settle_and_publish(
        mut self: Box<Self>,
        how: Settlement,
        batch: &[Publication],
    ) -> Result<(), BrokerError> {
        let Some(books) = self.0.as_ref().map(|out| Arc::clone(&out.from.books)) else {
            return Ok(());
        };
        // What reaches no queue is found before anything is done, and the message goes back.
        let mut mail = books.router.mail();
        books.router.route(batch.iter(), &mut mail).await?;
        let follows = mail::follows(&mail);
        let (done, outcome) = oneshot::channel();
        self.order(how, follows, Some(done));
        told(&books, outcome).await
    }

    fn is_in_doubt(&self) -> bool {
        self.0.as_ref().is_some_and(|out| out.from.books.may_have_lost(&out.from))
    }

    async fn begin(&self) -> Result<(), BrokerError> {
        let Some(Out { from, place, item, .. }) = &self.0 else { return Ok(()) };
        let (done, outcome) = oneshot::channel();
        from.books.ask(Order {
            from: Arc::clone(from),
            place: place.clone(),
            item: entry::begun(item).into(),
            what: What::Begin,
            done: Some(done),
            slot: None,
        });
        told(&from.books, outcome).await
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.order(Settlement::HandBack, Vec::new(), None);
    }
}
