//! The app: settings, tasks, broker and result backend under one name.
//!
//! [`Celery`] is a cheap handle. Connections are made when they are first needed, so building an app does no I/O.

mod builder;
mod current;
mod deadline;
mod origin;
mod overrides;
mod processes;
pub(crate) mod publish;
pub(crate) mod report;
pub(crate) mod send;
mod store;

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use jiff::tz::TimeZone;
use tokio::sync::OnceCell;

pub use self::{builder::Builder, overrides::Overrides};
use self::{origin::Origin, processes::ProcessHooks};
use crate::{
    backend::Backend,
    broker::{Broker, Keep},
    clock::LogicalClock,
    codec::AcceptContent,
    config::{Config, ServerUrl},
    context::StateMap,
    error::Error,
    options::Annotations,
    registry::{AppId, InstalledApps, Registry},
    routing::{Queues, Routes},
    signals::Listeners,
    signature::{Signature, Untyped},
    transport,
};

/// An app: what calls tasks and runs them.
///
/// ```
/// use celery_core::app::Celery;
///
/// let app = Celery::builder("mysite").broker("memory://").build()?;
/// assert_eq!(app.name(), "mysite");
/// # Ok::<_, celery_core::error::Error>(())
/// ```
#[derive(Clone)]
pub struct Celery {
    inner: Arc<Inner>,
}

struct Inner {
    id: AppId,
    name: String,
    config: Config,
    accept: AcceptContent,
    revokes: Keep,
    routes: Routes,
    queues: Queues,
    annotations: Annotations,
    installed: InstalledApps,
    listeners: Listeners,
    state: StateMap,
    processes: ProcessHooks,
    origin: Origin,
    clock: LogicalClock,
    registry: OnceLock<Registry>,
    broker: OnceCell<Arc<dyn Broker>>,
    /// Where `broker_write_url` names another one.
    publisher: OnceCell<Arc<dyn Broker>>,
    backend: OnceCell<Arc<dyn Backend>>,
}

impl Celery {
    /// Starts to build an app. The name is what Celery calls the main module: it names the app in logs.
    pub fn builder(name: impl Into<String>) -> Builder {
        Builder::new(name.into())
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The identity of the app in this process: that of its clones too.
    pub fn id(&self) -> AppId {
        self.inner.id
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The tasks of the app: those linked into this program.
    ///
    /// # Errors
    /// [`Error::Registry`] when two tasks have one name, or an installed app has none.
    pub fn registry(&self) -> Result<&Registry, Error> {
        if let Some(registry) = self.inner.registry.get() {
            return Ok(registry);
        }
        let registry = Registry::discover(self.inner.id, &self.inner.installed)?;
        let registry = registry.annotated(&self.inner.annotations);
        Ok(self.inner.registry.get_or_init(|| registry))
    }

    /// The connection to the broker for consuming, made when first asked for. Several URLs are tried in turn.
    ///
    /// # Errors
    /// [`Error::Broker`] when no broker can be reached.
    pub async fn broker(&self) -> Result<&Arc<dyn Broker>, Error> {
        let connect = || transport::connect_brokers(self.broker_urls(), &self.inner.config);
        Ok(self.inner.broker.get_or_try_init(connect).await?)
    }

    /// The connection to the broker for publishing: [`broker`](Self::broker), unless `broker_write_url` names another.
    ///
    /// # Errors
    /// [`Error::Broker`] when no broker can be reached.
    pub async fn publisher(&self) -> Result<&Arc<dyn Broker>, Error> {
        if self.publishes_where_it_consumes() {
            return self.broker().await;
        }
        let urls = self.inner.config.broker.write_urls();
        let connect = || transport::connect_brokers(urls, &self.inner.config);
        Ok(self.inner.publisher.get_or_try_init(connect).await?)
    }

    /// The connection to the result backend, made when first asked for.
    ///
    /// # Errors
    /// [`Error::Backend`] when it cannot be reached.
    pub async fn backend(&self) -> Result<&Arc<dyn Backend>, Error> {
        let connect = || {
            transport::connect_backend(
                self.inner.config.result.backend.as_ref(),
                &self.inner.config,
            )
        };
        Ok(self.inner.backend.get_or_try_init(connect).await?)
    }

    /// The URLs of the broker for consuming, in the order in which they are tried.
    pub fn broker_urls(&self) -> &[ServerUrl] {
        self.inner.config.broker.read_urls()
    }

    /// A call of a task that is known by name only, such as one of a Python worker.
    ///
    /// ```no_run
    /// # async fn example(app: celery_core::app::Celery) -> Result<(), celery_core::error::Error> {
    /// let result = app.send_task("proj.tasks.resize").args(("a.png", 64)).send().await?;
    /// println!("{}", result.id());
    /// # Ok(()) }
    /// ```
    pub fn send_task(&self, name: impl Into<String>) -> Signature<Untyped> {
        Signature::named(name).with_app(self)
    }

    /// The time zone of the dates that the app writes: the setting's, or UTC, or the machine's without `enable_utc`.
    pub fn time_zone(&self) -> TimeZone {
        match &self.inner.config.timezone {
            Some(zone) => zone.clone(),
            None if self.inner.config.enable_utc => TimeZone::UTC,
            None => TimeZone::system(),
        }
    }

    /// The queues of the settings, and those that are made up as they are used.
    pub fn queues(&self) -> &Queues {
        &self.inner.queues
    }

    /// The logical clock, whose readings remote control and events carry.
    pub fn clock(&self) -> &LogicalClock {
        &self.inner.clock
    }

    /// For how long what is revoked is known, and how much of it.
    pub(crate) fn revokes(&self) -> Keep {
        self.inner.revokes
    }

    /// What the app decodes.
    pub fn accept_content(&self) -> &AcceptContent {
        &self.inner.accept
    }

    /// Closes the connections. What is under way is finished first.
    ///
    /// # Errors
    /// When a connection could not be closed in order.
    pub async fn close(&self) -> Result<(), Error> {
        for broker in [&self.inner.broker, &self.inner.publisher] {
            if let Some(broker) = broker.get() {
                broker.close().await?;
            }
        }
        if let Some(backend) = self.inner.backend.get() {
            backend.close().await?;
        }
        Ok(())
    }

    /// Who is told of what happens.
    pub(crate) fn listeners(&self) -> &Listeners {
        &self.inner.listeners
    }

    pub(crate) fn state_map(&self) -> &StateMap {
        &self.inner.state
    }
}

impl fmt::Debug for Celery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Celery").field("name", &self.inner.name).finish_non_exhaustive()
    }
}
