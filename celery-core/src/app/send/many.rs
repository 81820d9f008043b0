//! Sending many tasks: a batch goes to the broker in one round trip, while the next is written.

use std::{pin::pin, task::Poll};

use futures_util::poll;

use super::{Celery, Sent, result_tuple};
use crate::{
    app::publish::Parcel,
    clock,
    context::Context,
    error::{Error, Unsent},
    result::AsyncResult,
    signature::{Complete, Signature},
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
        let context = Context::current();
        let mut signatures = signatures.into_iter();
        let mut results: Vec<AsyncResult<Out>> = Vec::with_capacity(signatures.size_hint().0);
        let mut batch = self.next_batch(&mut signatures, context.as_ref());
        loop {
            let Batch { parcel, tasks, fault } = batch;
            if let Some(error) = fault {
                return Err(unsent(&results, Vec::new(), error));
            }
            if tasks.is_empty() {
                return Ok(results);
            }
            let mut publishing = pin!(self.publish(&parcel));
            // It is under way from here on, while the next one is written.
            let begun = poll!(publishing.as_mut());
            let next = self.next_batch(&mut signatures, context.as_ref());
            let published = match begun {
                Poll::Ready(published) => published,
                Poll::Pending => publishing.await,
            };
            if let Err(error) = published {
                return Err(unsent(&results, tasks, error));
            }
            if let Some(context) = &context {
                context.add_children(tasks.iter().map(|task| result_tuple(&task.id)));
            }
            let handle = |task: Sent| AsyncResult::of_call(self, task.id, task.ignored);
            results.extend(tasks.into_iter().map(handle));
            batch = next;
        }
    }

    /// The next signatures as messages, or why one of them cannot be one.
    fn next_batch<In: Complete, Out>(
        &self,
        signatures: &mut impl Iterator<Item = Signature<In, Out>>,
        context: Option<&Context>,
    ) -> Batch {
        let mut batch = Batch::default();
        let mut bytes = 0;
        while batch.tasks.len() < MESSAGES_AT_ONCE && bytes < BYTES_AT_ONCE {
            let Some(signature) = signatures.next() else { break };
            match self.pack_one(signature, context, &mut batch.parcel) {
                Ok(task) => batch.tasks.push(task),
                Err(error) => {
                    batch.fault = Some(error);
                    break;
                }
            }
            bytes += batch.parcel.batch.last().map_or(0, |last| last.message.body.len());
        }
        batch
    }

    fn pack_one<In: Complete, Out>(
        &self,
        signature: Signature<In, Out>,
        context: Option<&Context>,
        parcel: &mut Parcel,
    ) -> Result<Sent, Error> {
        let outgoing = self.prepare(signature.into_spec()?, context, clock::now())?;
        let sent = outgoing.sent();
        self.pack(outgoing, parcel)?;
        Ok(sent)
    }
}

/// Tasks that are sent together.
#[derive(Default)]
struct Batch {
    parcel: Parcel,
    tasks: Vec<Sent>,
    fault: Option<Error>,
}

/// What went wrong, with what is known of the tasks up to there.
fn unsent<Out>(sent: &[AsyncResult<Out>], unsure: Vec<Sent>, source: Error) -> Error {
    if sent.is_empty() && unsure.is_empty() {
        return source;
    }
    Error::Unsent(Box::new(Unsent {
        sent: sent.iter().map(|result| result.id().to_owned()).collect(),
        unsure: unsure.into_iter().map(|task| task.id).collect(),
        source,
    }))
}
