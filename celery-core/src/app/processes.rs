//! What an app does in the child processes of a worker besides running tasks.

use std::{error::Error, sync::Arc};

use futures_util::future::BoxFuture;

use super::{Builder, Celery};
use crate::exception::with_sources;

/// What is called in each child process.
#[derive(Clone, Default)]
pub(super) struct ProcessHooks {
    init: Vec<Arc<Init>>,
    shutdown: Vec<Arc<Shutdown>>,
}

type Init = dyn Fn(Celery) -> BoxFuture<'static, Result<(), String>> + Send + Sync;
type Shutdown = dyn Fn(Celery) -> BoxFuture<'static, ()> + Send + Sync;

impl Builder {
    /// Calls the function in each child process of a worker, before its first task: Celery's signal of that name.
    ///
    /// The child has built its app by then, with a state of its own. An error keeps it from running tasks; the worker
    /// logs it, tries again with another child, and stops when none can be started.
    ///
    /// ```
    /// # use celery_core::app::Celery;
    /// let app = Celery::builder("images")
    ///     .worker_process_init(|_| async { std::fs::metadata("/etc").map(drop) })
    ///     .build()?;
    /// # Ok::<_, celery_core::error::Error>(())
    /// ```
    pub fn worker_process_init<F, R, E>(mut self, hook: F) -> Self
    where
        F: Fn(Celery) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.processes.init.push(Arc::new(move |app| {
            let done = hook(app);
            Box::pin(async move {
                done.await.map_err(|error| {
                    let error: Box<dyn Error + Send + Sync> = error.into();
                    format!("`worker_process_init` failed: {}", with_sources(error.as_ref()))
                })
            })
        }));
        self
    }

    /// Calls the function in each child process that ends because it is told to: Celery's signal of that name. One that
    /// is killed, or dies, does not come to it.
    pub fn worker_process_shutdown<F, R>(mut self, hook: F) -> Self
    where
        F: Fn(Celery) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        self.processes.shutdown.push(Arc::new(move |app| Box::pin(hook(app))));
        self
    }
}

impl Celery {
    /// Calls what is to be called in a child process before its first task, in the order in which it was given.
    pub(crate) async fn worker_process_init(&self) -> Result<(), String> {
        for hook in &self.inner.processes.init {
            self.scope(hook(self.clone())).await?;
        }
        Ok(())
    }

    /// Calls what is to be called in a child process that ends.
    pub(crate) async fn worker_process_shutdown(&self) {
        for hook in &self.inner.processes.shutdown {
            self.scope(hook(self.clone())).await;
        }
    }
}
