//! The tasks of a program: each `#[shared_task]` submits a [`Registration`], and a [`Registry`] holds them by name.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    arguments::{self, Bound, Parameter},
    context::{Context, StateMap, StateType},
    options::{Annotations, Options},
    protocol::TaskMessage,
    task::TaskError,
    transport::BoxFuture,
    value::{Map, Value},
};

/// A task as the macro registers it: a const value with an erased function.
#[derive(Clone, Copy)]
pub struct Registration {
    /// The name.
    pub name: &'static str,
    /// The module that defines it, as `module_path!()` says.
    pub module: &'static str,
    /// Its options; in the registry of an app, as its settings have them.
    pub options: Options,
    /// Its parameters, in order, state not among them.
    pub parameters: &'static [Parameter],
    /// The types of its `#[state]` parameters.
    pub states: &'static [StateType],
    /// The body.
    pub body: Body,
    /// The app that it belongs to, for `#[task(app = …)]`; `None` is every app.
    pub app: Option<fn() -> AppId>,
}

/// The body of a task, as a plain function of its context and bound arguments.
#[derive(Clone, Copy)]
pub enum Body {
    /// An `async fn`: runs on tokio.
    Async(fn(Context, Bound) -> BoxFuture<'static, Result<Value, TaskError>>),
    /// A `fn`: runs on a blocking thread.
    Blocking(fn(Context, Bound) -> Result<Value, TaskError>),
    /// One of Celery's own, which reads its arguments itself, since it takes any.
    Own(fn(Context) -> BoxFuture<'static, Result<Value, TaskError>>),
}

inventory::collect!(Registration);

impl Registration {
    /// The arguments of a message for the task as they may be shown: `***` stands for those of `#[redact]` parameters.
    pub fn shown<'a>(&self, message: &'a TaskMessage) -> (Cow<'a, [Value]>, Cow<'a, Map>) {
        let parameters = self.parameters_of(&message.args, &message.kwargs);
        arguments::shown(parameters, &message.args, &message.kwargs)
    }

    /// Whether some of the arguments are not to be shown.
    pub(crate) fn redacts(&self, message: &TaskMessage) -> bool {
        let parameters = self.parameters_of(&message.args, &message.kwargs);
        parameters.iter().any(|parameter| parameter.redacted)
    }

    /// The parameters of a call. What is given to `celery.map` and its like is for another task, and no more to be shown than it
    /// would be there.
    pub(crate) fn parameters_of(&self, args: &[Value], kwargs: &Map) -> &'static [Parameter] {
        const HIDING: &[Parameter] =
            &[Parameter::required("task"), Parameter::required("it").redacted()];
        if !matches!(self.body, Body::Own(_)) {
            return self.parameters;
        }
        let called = kwargs.get("task").or(args.first());
        let name = called.and_then(|task| task.as_str().or_else(|| task.get("task")?.as_str()));
        let called = name.and_then(linked).map_or(&[][..], |called| called.parameters);
        match called.iter().any(|parameter| parameter.redacted) {
            true => HIDING,
            false => self.parameters,
        }
    }
}

/// The task of that name, if it is linked into this program, whatever app it is of.
pub(crate) fn linked(task: &str) -> Option<&'static Registration> {
    inventory::iter::<Registration>().find(|registration| registration.name == task)
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Async(_) => "Async",
            Self::Blocking(_) => "Blocking",
            Self::Own(_) => "Own",
        })
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("name", &self.name)
            .field("module", &self.module)
            .finish_non_exhaustive()
    }
}

/// The identity of an app within its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AppId(NonZeroU64);

impl AppId {
    /// A new one.
    pub(crate) fn next() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let id = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        Self(NonZeroU64::new(id).expect("counting up from one"))
    }
}

/// The crates whose tasks were to be found, as the build script wrote them down.
#[derive(Clone, Copy, Debug, Default)]
pub struct InstalledApps {
    /// The names of the crates, as Rust spells them.
    pub crates: &'static [&'static str],
}

/// The [`InstalledApps`](crate::registry::InstalledApps) that `celery_build::autodiscover()` found in the build script
/// of this package, for `autodiscover_tasks` on the builder of the app. Their crates are linked by it.
#[macro_export]
macro_rules! installed_apps {
    () => {
        $crate::registry::InstalledApps {
            crates: ::core::include!(::core::env!(
                "CELERY_INSTALLED_APPS",
                "no tasks were discovered when this package was built: add `celery-build` under `[build-dependencies]`, and a `build.rs` with `fn main() { celery_build::autodiscover() }`"
            )),
        }
    };
}

/// Tasks by name.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    tasks: BTreeMap<&'static str, Arc<Registration>>,
}

impl Registry {
    /// All tasks that are linked into this program, for the app.
    ///
    /// # Errors
    /// [`RegistryError`] when two tasks have one name, or an installed app has no task.
    pub fn discover(app: AppId, installed: &InstalledApps) -> Result<Self, RegistryError> {
        let linked = inventory::iter::<Registration>().copied();
        Self::collect(linked.filter(|task| task.app.is_none_or(|of| of() == app)), installed)
    }

    /// The given tasks, checked.
    ///
    /// # Errors
    /// As for [`discover`](Self::discover).
    pub fn collect(
        registrations: impl IntoIterator<Item = Registration>,
        installed: &InstalledApps,
    ) -> Result<Self, RegistryError> {
        let mut tasks: BTreeMap<&'static str, Arc<Registration>> = BTreeMap::new();
        for task in registrations {
            if let Some(first) = tasks.insert(task.name, Arc::new(task)) {
                return Err(RegistryError::Duplicate {
                    name: task.name,
                    first: first.module.min(task.module),
                    second: first.module.max(task.module),
                });
            }
        }
        let defines =
            |name: &str| tasks.values().any(|task| task.module.split("::").next() == Some(name));
        let silent: Vec<_> =
            installed.crates.iter().filter(|name| !defines(name)).copied().collect();
        if silent.is_empty() {
            Ok(Self { tasks })
        } else {
            Err(RegistryError::NoTasks { crates: silent.join(", ") })
        }
    }

    /// The same tasks with the options that the settings give them.
    pub(crate) fn annotated(mut self, annotations: &Annotations) -> Self {
        for task in self.tasks.values_mut() {
            let task = Arc::make_mut(task);
            task.options = annotations.apply(task.name, task.options);
        }
        self
    }

    /// The task of that name.
    pub fn get(&self, name: &str) -> Option<&Registration> {
        self.tasks.get(name).map(Arc::as_ref)
    }

    /// The task of that name, to be kept.
    pub(crate) fn shared(&self, name: &str) -> Option<Arc<Registration>> {
        self.tasks.get(name).cloned()
    }

    /// All tasks, by name, Celery's own among them.
    pub fn iter(&self) -> impl Iterator<Item = &Registration> {
        self.tasks.values().map(Arc::as_ref)
    }

    /// Checks that the tasks find what they take of the state of their app.
    ///
    /// # Errors
    /// [`RegistryError::MissingState`] lists every task and type.
    pub(crate) fn check_state(&self, state: &StateMap) -> Result<(), RegistryError> {
        let lacking = |task: &Registration| {
            let name = task.name;
            let types = task.states.iter().filter(|wanted| !state.has(wanted));
            types.map(move |wanted| (name, wanted.name())).collect::<Vec<_>>()
        };
        let missing: Vec<_> = self.iter().flat_map(lacking).collect();
        if missing.is_empty() { Ok(()) } else { Err(RegistryError::MissingState { missing }) }
    }

    /// The names of the program's tasks, sorted: without those of Celery's own, which every program has.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.iter().map(|task| task.name).filter(|name| !name.starts_with("celery."))
    }
}

/// The tasks of a program contradict each other, or what was to be found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// Two tasks of one name.
    #[error(
        "two tasks are named `{name}`, in `{first}` and in `{second}`; rename one function, or give it a name with `#[shared_task(name = \"…\")]`"
    )]
    Duplicate {
        /// The name.
        name: &'static str,
        /// The module of one.
        first: &'static str,
        /// The module of the other.
        second: &'static str,
    },
    /// Installed apps that registered nothing.
    #[error(
        "installed apps without a task: {crates}; does the crate reach its tasks with `mod tasks;`, and do they have `#[shared_task]`? If it has none, take `tasks = true` out of its `[package.metadata.celery]`"
    )]
    NoTasks {
        /// Their names.
        crates: String,
    },
    /// Tasks take a `#[state]` that the app does not have.
    #[error(
        "tasks take a state that the app does not have; add `.state(…)` with one of the type where the app is built:{}",
        listed(.missing)
    )]
    MissingState {
        /// The name of each task, and of the type that it takes.
        missing: Vec<(&'static str, &'static str)>,
    },
}

fn listed(missing: &[(&str, &str)]) -> String {
    missing.iter().map(|(task, state)| format!("\n- `{task}` takes `{state}`")).collect()
}
