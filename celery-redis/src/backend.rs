//! The result backend: one key for each task, which is the name of the channel that tells of it too.

mod count;
mod document;
mod groups;
mod joins;
mod store;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use celery_core::{
    backend::{Backend, BackendError, Groups, Joins},
    config::{Config, ServerUrl},
    state::{State, TaskMeta},
};
use deadpool_redis::redis::{self, cmd};

use self::{
    count::Counting,
    document::Documents,
    joins::JoinOptions,
    store::{Outcome, Stored},
};
use crate::{
    address::Addresses, broker::millis, connection::Link, gather::Gather, options::BackendOptions,
    waiting::Waiting,
};

/// How many results are read in one step: what is read at once is in memory at once, twice.
const READ_AT_ONCE: usize = 500;

/// How many results are deleted in one step.
const DELETED_AT_ONCE: usize = 5000;

/// A result backend on a Redis server.
pub struct RedisBackend {
    link: Link,
    prefix: String,
    documents: Documents,
    expires: Option<Duration>,
    failure_expires: Option<Duration>,
    storing: Gather<Stored>,
    counting: Gather<Counting>,
    joins: Arc<JoinOptions>,
    waiting: Waiting,
}

impl fmt::Debug for RedisBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBackend").field("server", &self.link.shown()).finish_non_exhaustive()
    }
}

impl RedisBackend {
    /// Reads URL and options; connects with the first command.
    ///
    /// # Errors
    /// [`BackendError::Other`] for an option or a part of the URL that cannot be used, [`BackendError::Codec`] for a
    /// serializer or compression that there is not.
    pub fn new(url: &ServerUrl, config: &Config) -> Result<Self, BackendError> {
        let addresses = Addresses::backend(url, config)?;
        let options = BackendOptions::read(config, &addresses.query)?;
        let link = Link::new(addresses, options.link.clone())?;
        Ok(Self {
            storing: Gather::default(),
            counting: Gather::default(),
            joins: Arc::new(JoinOptions::new(&options, config)),
            waiting: Waiting::new(link.clone()),
            link,
            prefix: options.prefix,
            documents: Documents::new(config)?,
            expires: config.result.expires,
            failure_expires: config.result.failure_lifetime(),
        })
    }

    fn key(&self, task_id: &str) -> String {
        format!("{}celery-task-meta-{task_id}", self.prefix)
    }

    /// For how many milliseconds what is stored in that state is kept; 0 for ever.
    fn lifetime(&self, state: &State) -> u64 {
        let failed = *state == State::Failure;
        let lifetime = if failed { self.failure_expires } else { self.expires };
        lifetime.map_or(0, millis)
    }

    /// Stores, and again over a fresh connection when one is lost: storing twice does no harm.
    async fn store_document(
        &self,
        key: Arc<str>,
        document: Bytes,
        lifetime: u64,
    ) -> Result<(), BackendError> {
        let mut seen = Vec::new();
        let mut patience = self.link.patience();
        loop {
            let (key, document) = (Arc::clone(&key), document.clone());
            let stored = Stored { key, document, lifetime, seen: std::mem::take(&mut seen) };
            match self.storing.ask(&self.link, stored).await {
                Ok(Outcome::Done) => return Ok(()),
                // It cannot be told apart by a script: compressed, or not JSON.
                Ok(Outcome::There(there)) => {
                    let meta = self.documents.read("", &there);
                    if meta.is_ok_and(|meta| meta.state == State::Success) {
                        return Ok(());
                    }
                    seen = there;
                }
                Err(fault) => patience.wait(fault).await?,
            }
        }
    }
}

#[async_trait]
impl Backend for RedisBackend {
    async fn store(&self, meta: &TaskMeta) -> Result<(), BackendError> {
        let document = self.documents.write(meta)?;
        let lifetime = self.lifetime(&meta.state);
        self.store_document(self.key(&meta.task_id).into(), document, lifetime).await
    }

    async fn get(&self, task_id: &str) -> Result<Option<TaskMeta>, BackendError> {
        let mut pipeline = redis::pipe();
        pipeline.add_command(cmd("GET").arg(self.key(task_id)).to_owned());
        let (document,): (Option<Vec<u8>>,) = self.link.insist(&pipeline).await?;
        document.map(|document| self.documents.read(task_id, &document)).transpose()
    }

    async fn get_many(&self, task_ids: &[&str]) -> Result<Vec<Option<TaskMeta>>, BackendError> {
        let mut metas = Vec::with_capacity(task_ids.len());
        for task_ids in task_ids.chunks(READ_AT_ONCE) {
            let mut pipeline = redis::pipe();
            let keys: Vec<String> = task_ids.iter().map(|task_id| self.key(task_id)).collect();
            pipeline.cmd("MGET").arg(keys);
            let (documents,): (Vec<Option<Bytes>>,) = self.link.insist(&pipeline).await?;
            for (task_id, document) in task_ids.iter().zip(documents) {
                let read = |document: Bytes| self.documents.read(task_id, &document);
                metas.push(document.map(read).transpose()?);
            }
        }
        Ok(metas)
    }

    async fn wait(&self, task_id: &str) -> Result<TaskMeta, BackendError> {
        let mut waiter = self.waiting.wait_for(self.key(task_id));
        loop {
            let meta = self.documents.read(task_id, &waiter.next().await?)?;
            if meta.state.is_ready() {
                return Ok(meta);
            }
        }
    }

    async fn forget(&self, task_id: &str) -> Result<(), BackendError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("DEL").arg(self.key(task_id)).ignore();
        Ok(self.link.insist(&pipeline).await?)
    }

    async fn forget_many(&self, task_ids: &[&str]) -> Result<(), BackendError> {
        for task_ids in task_ids.chunks(DELETED_AT_ONCE) {
            let mut pipeline = redis::pipe();
            let keys: Vec<String> = task_ids.iter().map(|task_id| self.key(task_id)).collect();
            pipeline.cmd("DEL").arg(keys).ignore();
            self.link.insist::<()>(&pipeline).await?;
        }
        Ok(())
    }

    fn groups(&self) -> Option<&dyn Groups> {
        Some(self)
    }

    fn joins(&self) -> Option<&dyn Joins> {
        Some(self)
    }

    async fn close(&self) -> Result<(), BackendError> {
        self.link.close().await;
        Ok(())
    }
}
