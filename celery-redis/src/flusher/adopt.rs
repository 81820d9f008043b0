//! Moves what is still out after a moment into kombu's books, where Python's workers, and kombu's rules, see it.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use celery_core::{clock, date::unix_seconds};
use deadpool_redis::redis::{FromRedisValue, cmd};

use super::Flusher;
use crate::{books::Books, entry, error::Fault, held::Fetched, scripts::ADOPT};

/// How many messages are moved in one step: the server serves nobody else meanwhile.
const AT_ONCE: usize = 100;

impl Flusher {
    /// Adopts what has been out for long enough.
    pub(super) async fn adopt(&mut self, books: &Arc<Books>) {
        for (from, indexes) in self.batches.take_old() {
            for indexes in indexes.chunks(AT_ONCE) {
                if let Err(fault) = self.adopt_some(books, &from, indexes).await {
                    tracing::warn!(
                        "could not record what is held for long, and will try again: {fault}"
                    );
                    self.batches.adopt_later(from.number);
                    break;
                }
            }
        }
    }

    async fn adopt_some(
        &mut self,
        books: &Books,
        from: &Fetched,
        indexes: &[u32],
    ) -> Result<(), Fault> {
        let keys = &books.options.keys;
        let number = from.number.to_string();
        let list = keys.batch(&books.process, &number);
        // As the server has them: one that is begun is counted there.
        let (Some(first), Some(last)) = (indexes.first(), indexes.last()) else { return Ok(()) };
        let items: Vec<Bytes> =
            self.link.ask(cmd("LRANGE").arg(&list).arg(*first).arg(*last)).await?;
        let mut tags = HashMap::new();
        let mut all = books.keys();
        all.push(keys.pending(&books.process));
        all.push(list);
        let mut command = ADOPT.call(&all);
        command.arg(number).arg(format!("{:.6}", unix_seconds(clock::now())));
        for index in indexes {
            let Some(item) = items.get((index - first) as usize) else { continue };
            let booked = entry::book(item, &from.queue);
            command.arg(index + 1).arg(&booked.tag).arg(booked.entry);
            tags.insert(*index, booked.tag);
        }
        // The server must not have a tag for us that we do not know.
        tags.values().for_each(|tag| books.held().insert(tag));
        // Not before the server has answered is it known where they are.
        let answer = self.answered(books, &[command]).await.pop();
        let adopted = match answer {
            None => Ok(Some(Vec::new())),
            Some(answer) => answer.and_then(|answer| {
                Option::<Vec<u32>>::from_redis_value(answer)
                    .map_err(|error| Fault::other(self.link.shown(), error.to_string()))
            }),
        };
        let places = adopted.as_ref().ok().and_then(Option::as_deref).unwrap_or_default();
        let mut remain = false;
        for (index, tag) in tags {
            if places.contains(&(index + 1)) {
                self.batches.adopted(books, from.number, index, tag);
            } else {
                books.held().remove(&tag);
                remain = true;
            }
        }
        match adopted {
            Ok(None) => self.batches.all_taken(books, from.number),
            Ok(Some(_)) if remain => self.batches.adopt_later(from.number),
            Ok(Some(_)) => {}
            Err(fault) => return Err(fault),
        }
        Ok(())
    }
}
