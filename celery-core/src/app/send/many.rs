//! Sending many tasks: a batch goes to the broker in one round trip, while the next is written.

use std::{pin::pin, sync::Arc, task::Poll};

use futures_util::poll;

use super::{Celery, Sent};
use crate::{
    app::publish::Parcel,
    backend::NewJoin,
    clock,
    context::Context,
    error::{Error, Unsent},
    result::AsyncResult,
    signature::{Complete, Signature, Spec},
    tree::ResultTree,
    value::Value,
};

/// How many messages go to the broker together, at most.
const MESSAGES_AT_ONCE: usize = 1000;

/// How many bytes of bodies go to the broker together, about.
const BYTES_AT_ONCE: usize = 4 << 20;

impl Celery {
    /// Sends many tasks, in the order given, and returns the handles of their results in that order.
    ///
    /// It is [`apply_async`](Signature::apply_async) for each, without a round trip for each: up to a thousand messages go
    /// to the broker together. Signatures of different tasks are sent together when they are
    /// [`untyped`](Signature::untyped). All are sent by this app, whatever app they name.
    ///
    /// The signatures are taken as they are sent: an iterator over a million of them never needs the memory of a million
    /// messages.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use celery_core::app::Celery;
    ///
    /// let app = Celery::builder("mysite").broker("memory://thumbnails").build()?;
    /// let thumbnails = (0..2500).map(|page| app.send_task("proj.tasks.thumbnail").args((page,)));
    /// let results = app.send_all(thumbnails).await?;
    /// assert_eq!(results.len(), 2500);
    /// # Ok::<_, celery_core::error::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As for `apply_async`, while nothing has been sent. From then on [`Error::Unsent`] says which tasks were sent, and of
    /// which it is not known. A signature that cannot be sent fails all that would have gone to the broker with it, and
    /// what follows them.
    ///
    /// # Cancel safety
    /// A call that is dropped has sent some of the tasks, which may be none or all: the first of them.
    pub async fn send_all<In, Out>(
        &self,
        signatures: impl IntoIterator<Item = Signature<In, Out>>,
    ) -> Result<Vec<AsyncResult<Out>>, Error>
    where
        In: Complete,
    {
        let items = signatures.into_iter().flat_map(|signature| {
            let (items, error) = match signature.into_spec().and_then(|spec| self.items(spec)) {
                Ok(items) => (Some(items), None),
                Err(error) => (None, Some(Err(error))),
            };
            items.into_iter().flatten().map(Ok).chain(error)
        });
        let sent = Box::pin(self.send_items(items)).await?;
        Ok(sent.into_iter().map(|sent| sent.into_result(self)).collect())
    }

    /// Sends what is listed, in that order, and returns what there is a handle for.
    pub(super) async fn send_items(
        &self,
        items: impl Iterator<Item = Result<Item, Error>>,
    ) -> Result<Vec<Sent>, Error> {
        let context = Context::current();
        let mut items = items;
        let mut sent: Vec<Note> = Vec::with_capacity(items.size_hint().0);
        let mut batch = self.next_batch(&mut items, context.as_ref());
        loop {
            let Batch { parcel, notes, joins, bodies, fault, is_last } = batch;
            if let Some(error) = fault {
                return Err(unsent(sent, Vec::new(), error));
            }
            if let Err(error) = self.begin_all(&joins, &bodies, context.as_ref()).await {
                return Err(unsent(sent, Vec::new(), error));
            }
            let mut publishing = pin!(self.publish(&parcel));
            // It is under way from here on, while the next one is written.
            let begun = poll!(publishing.as_mut());
            let next = (!is_last).then(|| self.next_batch(&mut items, context.as_ref()));
            let published = match begun {
                Poll::Ready(published) => published,
                Poll::Pending => publishing.await,
            };
            if let Err(error) = published {
                return Err(unsent(sent, notes, error));
            }
            if let Some(context) = &context {
                context.add_children(notes.iter().filter_map(Note::whole).map(Sent::to_tuple));
            }
            sent.extend(notes);
            match next {
                Some(next) => batch = next,
                None => return Ok(sent.into_iter().filter_map(Note::into_whole).collect()),
            }
        }
    }

    /// Makes joins known, and publishes what looks for their ends.
    async fn begin_all(
        &self,
        joins: &[NewJoin],
        bodies: &[Arc<Value>],
        context: Option<&Context>,
    ) -> Result<(), Error> {
        let unlocking = self.begin_joins(joins, bodies).await?;
        if unlocking.is_empty() {
            return Ok(());
        }
        let mut parcel = Parcel::default();
        for spec in unlocking {
            self.pack(self.prepare(spec, context, clock::now())?, &mut parcel)?;
        }
        self.publish(&parcel).await
    }

    /// The next items as messages, or why one of them cannot be one.
    fn next_batch(
        &self,
        items: &mut impl Iterator<Item = Result<Item, Error>>,
        context: Option<&Context>,
    ) -> Batch {
        let mut batch = Batch::default();
        let mut bytes = 0;
        while batch.notes.len() < MESSAGES_AT_ONCE && bytes < BYTES_AT_ONCE {
            let Some(item) = items.next() else {
                batch.is_last = true;
                break;
            };
            let packed = item.and_then(|item| self.pack_item(item, context, &mut batch));
            if let Err(error) = packed {
                batch.fault = Some(error);
                break;
            }
            bytes += batch.parcel.batch.last().map_or(0, |last| last.message.body.len());
        }
        batch
    }

    fn pack_item(
        &self,
        item: Item,
        context: Option<&Context>,
        batch: &mut Batch,
    ) -> Result<(), Error> {
        let (spec, note): (_, fn(Sent) -> Note) = match item {
            Item::Task(spec) => (spec, Note::Task),
            Item::Part(spec) => (spec, |sent| Note::Part(sent.id)),
            Item::Joins(joins, bodies) => {
                batch.joins.extend(joins);
                batch.bodies.extend(bodies);
                return Ok(());
            }
            Item::End(tree) => {
                let (id, tree) = (tree.id.clone(), Some(Box::new(tree)));
                batch.notes.push(Note::Signature(Sent { id, ignored: false, tree }));
                return Ok(());
            }
        };
        let outgoing = self.prepare(spec, context, clock::now())?;
        let sent = outgoing.sent();
        self.pack(outgoing, &mut batch.parcel)?;
        batch.notes.push(note(sent));
        Ok(())
    }
}

/// What is sent, one after the other.
pub(super) enum Item {
    /// A task of which there is a handle.
    Task(Spec),
    /// What is to be done before what follows is sent, and what is sent when they are complete.
    Joins(Vec<NewJoin>, Vec<Arc<Value>>),
    /// One of the tasks of a signature.
    Part(Spec),
    /// There is a handle for what has been sent.
    End(ResultTree),
}

/// Tasks that are sent together.
#[derive(Default)]
struct Batch {
    parcel: Parcel,
    notes: Vec<Note>,
    joins: Vec<NewJoin>,
    bodies: Vec<Arc<Value>>,
    fault: Option<Error>,
    is_last: bool,
}

/// What is known of something that is sent.
enum Note {
    /// One task, of which there is a handle.
    Task(Sent),
    /// The id of one of several, of which there is none.
    Part(String),
    /// Those before it have a handle together.
    Signature(Sent),
}

impl Note {
    fn whole(&self) -> Option<&Sent> {
        match self {
            Self::Task(sent) | Self::Signature(sent) => Some(sent),
            Self::Part(_) => None,
        }
    }

    fn into_whole(self) -> Option<Sent> {
        match self {
            Self::Task(sent) | Self::Signature(sent) => Some(sent),
            Self::Part(_) => None,
        }
    }

    /// The id of a task.
    fn into_task(self) -> Option<String> {
        match self {
            Self::Task(Sent { id, .. }) | Self::Part(id) => Some(id),
            Self::Signature(_) => None,
        }
    }
}

/// What went wrong, with what is known of the tasks up to there.
fn unsent(sent: Vec<Note>, unsure: Vec<Note>, source: Error) -> Error {
    let ids = |notes: Vec<Note>| notes.into_iter().filter_map(Note::into_task).collect::<Vec<_>>();
    let (sent, unsure) = (ids(sent), ids(unsure));
    if sent.is_empty() && unsure.is_empty() {
        return source;
    }
    Error::Unsent(Box::new(Unsent { sent, unsure, source }))
}
