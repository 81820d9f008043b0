//! What a running task knows of itself: Celery's `self.request`, and what a bound task can do.

use std::{
    any::{Any, TypeId, type_name},
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::{
    app::Celery,
    backend::Joined,
    error::Error,
    events::Fields,
    exception::Exception,
    ids,
    protocol::TaskMessage,
    result::AsyncResult,
    signature::{Complete, Signature, Step},
    state::State,
    task::{Failure, Replace, Retry, SoftTimeLimitExceeded, TaskError},
    value::{Map, Value, to_value},
};

tokio::task_local! {
    static CURRENT: Context;
}

/// The run of a task: its request, its app, and its state.
///
/// A cheap handle: clones are the same run. A task gets it as its first parameter with `bind`.
#[derive(Clone)]
pub struct Context {
    inner: Arc<Inner>,
}

struct Inner {
    app: Celery,
    request: Arc<TaskMessage>,
    hostname: Arc<str>,
    /// Made when somebody listens, or is told.
    stop: OnceLock<CancellationToken>,
    observed: AtomicBool,
    children: Mutex<Vec<Value>>,
    join: Mutex<Option<Join>>,
}

impl Inner {
    fn stop(&self) -> &CancellationToken {
        self.stop.get_or_init(CancellationToken::new)
    }
}

impl Context {
    /// The run of that message on the worker `hostname`.
    pub fn new(
        app: Celery,
        request: impl Into<Arc<TaskMessage>>,
        hostname: impl Into<Arc<str>>,
    ) -> Self {
        let inner = Inner {
            app,
            request: request.into(),
            hostname: hostname.into(),
            stop: OnceLock::new(),
            observed: AtomicBool::new(false),
            children: Mutex::default(),
            join: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The run that this code is part of, if it is part of one.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// Runs the future as part of this run, so that [`current`](Self::current) and the tasks called in it know.
    pub async fn scope<F: Future>(&self, future: F) -> F::Output {
        CURRENT.scope(self.clone(), self.inner.app.scope(future)).await
    }

    /// Runs the function as part of this run.
    pub fn scope_sync<R>(&self, function: impl FnOnce() -> R) -> R {
        CURRENT.sync_scope(self.clone(), || self.inner.app.scope_sync(function))
    }

    /// The app.
    pub fn app(&self) -> &Celery {
        &self.inner.app
    }

    /// The message, with every header.
    pub fn request(&self) -> &TaskMessage {
        &self.inner.request
    }

    /// The id of the task.
    pub fn id(&self) -> &str {
        &self.inner.request.id
    }

    /// The name of the task.
    pub fn task_name(&self) -> &str {
        &self.inner.request.task
    }

    /// How often the task has been retried: 0 in the first run.
    pub fn retries(&self) -> u32 {
        self.inner.request.headers.retries
    }

    /// The node name of the worker.
    pub fn hostname(&self) -> &str {
        &self.inner.hostname
    }

    /// The headers that the caller added.
    pub fn headers(&self) -> &Map {
        &self.inner.request.extra_headers
    }

    /// What the app keeps for its tasks under the type `T`: what a `#[state]` parameter receives.
    ///
    /// # Errors
    /// [`MissingState`] when the app was built without `.state(…)` of that type.
    pub fn state<T: Clone + Send + Sync + 'static>(&self) -> Result<T, MissingState> {
        self.inner.app.state_map().get::<T>().ok_or(MissingState { type_name: type_name::<T>() })
    }

    /// Stores a state of the task's own, such as `PROGRESS`, with whatever describes it.
    ///
    /// # Errors
    /// When `meta` cannot be serialized, or the result backend cannot be reached.
    pub async fn update_state(&self, state: &str, meta: impl Serialize) -> Result<(), Error> {
        let meta = to_value(&meta)?;
        let (app, request) = (&self.inner.app, &self.inner.request);
        let store = || {
            let (state, meta) = (State::from(state), meta.clone());
            app.store_state(request, state, meta, self.children(), self.hostname())
        };
        app.insist(store).await
    }

    /// Tells an event of the task, such as `task-progress`, with its id as `uuid`: Celery's `Task.send_event`.
    ///
    /// ```ignore
    /// task.send_event("task-progress", |event| _ = event.add("done", 3)).await?;
    /// ```
    ///
    /// # Errors
    /// [`Error::Broker`] when the broker cannot be reached. That nobody listens is no error.
    pub async fn send_event(
        &self,
        kind: &str,
        fields: impl FnOnce(&mut Fields),
    ) -> Result<(), Error> {
        let (app, id) = (&self.inner.app, self.id());
        let event = app.event_of(self.hostname(), kind, |event| fields(event.add("uuid", id)))?;
        Ok(app.publisher().await?.publish(&[event]).await?)
    }

    /// A wish to run again, to be returned as the task's error.
    ///
    /// ```ignore
    /// return Err(task.retry().countdown(30).cause(error).into());
    /// ```
    pub fn retry(&self) -> Retry {
        Retry::default()
    }

    /// A wish that a signature is run in place of this task, to be returned as the task's error: Celery's `replace`.
    ///
    /// What takes its place has its id, its callbacks, its place in a chain and in the header of a chord, so that who waits for
    /// this task gets the result of that. A group gives the list of its results.
    ///
    /// ```ignore
    /// return Err(task.replace(Resize::s(path, 64)).into());
    /// ```
    pub fn replace<S>(&self, signature: S) -> Replace
    where
        S: Step<In: Complete>,
    {
        let signature = signature.into_draft().into_spec().and_then(|mut spec| {
            if spec.options.chord.is_some() {
                let why = "a signature that replaces a task must not be part of a chord";
                return Err(Error::Call(why.to_owned()));
            }
            self.inner.app.complete(&mut spec);
            Ok(spec)
        });
        Replace { signature }
    }

    /// Sends a task as one part more of the chord whose header this task is in: the body gets its result, too. Celery's
    /// `add_to_chord`.
    ///
    /// ```ignore
    /// task.add_to_chord(Fetch::s(next_page)).await?;
    /// ```
    ///
    /// # Errors
    /// [`Error::Call`] when this task is in no header of a chord, or the result backend does not count parts; otherwise as for
    /// [`apply_async`](Signature::apply_async).
    ///
    /// # Cancel safety
    /// A call that is dropped may leave a chord that waits for a part which was not sent.
    pub async fn add_to_chord<In: Complete, Out>(
        &self,
        signature: Signature<In, Out>,
    ) -> Result<AsyncResult<Out>, Error> {
        let (app, request) = (&self.inner.app, &self.inner.request);
        let (Some(body), Some(group)) = (&request.embed.chord, &request.headers.group) else {
            return Err(Error::Call("the task is not in the header of a chord".to_owned()));
        };
        let mut spec = signature.into_spec()?;
        let options = &mut spec.options;
        options.chord = Some(Arc::new(body.clone()));
        options.group_id = Some(group.clone());
        options.group_index = request.headers.group_index;
        options.task_id.get_or_insert_with(ids::text);
        let no_joins =
            || Error::Call("the result backend does not count the parts of chords".into());
        let joins = app.backend().await?.joins().ok_or_else(no_joins)?;
        joins.expect_more(group).await?;
        let sent = self.scope(app.send_noting(spec)).await?;
        Ok(sent.into_result(app))
    }

    /// Waits until the task is asked to stop because it passed its soft time limit.
    ///
    /// A task that waits here, or looks at [`is_stopping`](Self::is_stopping), is given the time up to its hard limit to
    /// tidy up, and decides itself how it ends. One that does not is stopped at once, at its next `await`.
    pub async fn stopping(&self) -> SoftTimeLimitExceeded {
        self.inner.observed.store(true, Ordering::Relaxed);
        self.inner.stop().cancelled().await;
        SoftTimeLimitExceeded
    }

    /// Whether the task passed its soft time limit. For tasks that do not `await`.
    pub fn is_stopping(&self) -> bool {
        self.inner.observed.store(true, Ordering::Relaxed);
        self.inner.stop.get().is_some_and(CancellationToken::is_cancelled)
    }

    /// Runs a future to its end on the runtime of the worker, for tasks that are no `async fn`.
    ///
    /// ```ignore
    /// task.block_on(task.update_state("PROGRESS", json!({ "done": 3 })))?;
    /// ```
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        tokio::runtime::Handle::current().block_on(self.scope(future))
    }

    /// Tells the task that it passed its soft time limit, and says whether it listens.
    pub(crate) fn ask_to_stop(&self) -> bool {
        self.inner.stop().cancel();
        self.inner.observed.load(Ordering::Relaxed)
    }

    /// Notes tasks that this run has published, unless the task leaves no trail.
    pub(crate) fn add_children(&self, children: impl IntoIterator<Item = Value>) {
        let leaves_trail = || {
            let registry = self.inner.app.registry().ok()?;
            Some(registry.get(self.task_name())?.options.trail)
        };
        if leaves_trail() != Some(false) {
            let mut noted = self.inner.children.lock().unwrap_or_else(PoisonError::into_inner);
            noted.extend(children);
        }
    }

    /// The result tuples of the tasks that this run has published.
    pub(crate) fn children(&self) -> Vec<Value> {
        self.inner.children.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Context {
    /// Leaves a join to the worker, which completes it when this run is over.
    pub(crate) fn leave(&self, join: Join) {
        *self.inner.join.lock().unwrap_or_else(PoisonError::into_inner) = Some(join);
    }

    /// The join that was left to the worker.
    pub(crate) fn take_join(&self) -> Option<Join> {
        self.inner.join.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A join that is to be completed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Join {
    pub(crate) joined: Joined,
    /// With what its body fails, whatever the parts ended with.
    pub(crate) fault: Option<Exception>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("id", &self.id())
            .field("task", &self.task_name())
            .finish_non_exhaustive()
    }
}

/// A task asks for a state that its app does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the app has no state of type `{type_name}`; add `.state(…)` with one where the app is built"
)]
pub struct MissingState {
    pub(crate) type_name: &'static str,
}

/// The type of a state that a task takes, by which a worker sees before it starts whether its app has it.
#[derive(Clone, Copy)]
pub struct StateType {
    id: fn() -> TypeId,
    name: fn() -> &'static str,
}

impl StateType {
    /// The type `T`.
    pub const fn of<T: 'static>() -> Self {
        Self { id: TypeId::of::<T>, name: type_name::<T> }
    }

    /// Its name, with its path.
    pub fn name(&self) -> &'static str {
        (self.name)()
    }
}

impl fmt::Debug for StateType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an app keeps for its tasks, by type.
#[derive(Clone, Default)]
pub(crate) struct StateMap {
    values: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

impl StateMap {
    pub(crate) fn insert<T: Clone + Send + Sync + 'static>(&mut self, value: T) {
        self.values.insert(TypeId::of::<T>(), Arc::new(value));
    }

    /// Whether there is one of that type.
    pub(crate) fn has(&self, wanted: &StateType) -> bool {
        self.values.contains_key(&(wanted.id)())
    }

    pub(crate) fn get<T: Clone + 'static>(&self) -> Option<T> {
        self.values.get(&TypeId::of::<T>()).and_then(|value| value.downcast_ref::<T>()).cloned()
    }
}

impl From<SoftTimeLimitExceeded> for Failure {
    fn from(error: SoftTimeLimitExceeded) -> Self {
        match TaskError::from(error) {
            TaskError::Failed(failure) => *failure,
            _ => unreachable!("an error becomes a failure"),
        }
    }
}
