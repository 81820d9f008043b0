//! Building an app.

use std::{path::Path, sync::Arc};

use serde::Serialize;

use super::{Celery, Inner, Origin, Overrides, ProcessHooks};
use crate::{
    codec::AcceptContent,
    config::{Config, ConfigError, ConfigLoader, ConfigSource, Problem, ServerUrl},
    context::StateMap,
    control::revoked,
    error::Error,
    options::Annotations,
    registry::{AppId, InstalledApps},
    routing::{Queues, Routes},
    signals::{Listeners, Signals},
    value::Value,
};

/// Gathers what an app is made of.
#[must_use = "an app is made by `build`"]
pub struct Builder {
    name: String,
    loader: ConfigLoader,
    environment: Option<Vec<(String, String)>>,
    installed: InstalledApps,
    listeners: Listeners,
    state: StateMap,
    pub(super) processes: ProcessHooks,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Builder {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            loader: ConfigLoader::new(),
            environment: None,
            installed: InstalledApps::default(),
            listeners: Listeners::default(),
            state: StateMap::default(),
            processes: ProcessHooks::default(),
        }
    }

    /// Takes the settings from anything that serializes to a map, such as a web project's settings.
    ///
    /// With the namespace `"CELERY"` the setting `task_time_limit` is read from `CELERY_TASK_TIME_LIMIT`; with an
    /// empty one, from its own name. A later source beats an earlier one.
    ///
    /// # Errors
    /// When it does not serialize to a map. What is wrong with its settings is said by [`build`](Self::build).
    pub fn config_from_object(
        self,
        settings: &impl Serialize,
        namespace: &str,
    ) -> Result<Self, Error> {
        Ok(self.source(ConfigSource::from_serializable(settings)?, namespace))
    }

    /// Takes the settings from a TOML file.
    ///
    /// # Errors
    /// When the file cannot be read, or is no TOML.
    pub fn config_from_file(self, path: impl AsRef<Path>, namespace: &str) -> Result<Self, Error> {
        let path = path.as_ref();
        let unread = |error: &dyn std::error::Error| {
            Error::Call(format!("could not read the settings file {}: {error}", path.display()))
        };
        let text = std::fs::read_to_string(path).map_err(|error| unread(&error))?;
        let source = ConfigSource::from_toml(&text).map_err(|error| unread(&error))?;
        Ok(self.source(source, namespace))
    }

    /// Takes the settings from the variables of the environment that begin with the namespace:
    /// `CELERY_TASK_TIME_LIMIT=30`.
    pub fn config_from_env(mut self, namespace: &str) -> Self {
        let variables = self.environment();
        self.source(ConfigSource::from_env(namespace, variables), namespace)
    }

    /// Gives the environment in place of the process's own.
    pub fn environment_from(
        mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        self.environment = Some(variables.into_iter().collect());
        self
    }

    /// Sets one setting, whatever the sources say.
    pub fn set(mut self, setting: impl Into<String>, value: impl Into<Value>) -> Self {
        self.loader = self.loader.change(setting, value);
        self
    }

    /// Sets `broker_url`.
    pub fn broker(self, url: impl Into<String>) -> Self {
        self.set("broker_url", url.into())
    }

    /// Sets `result_backend`.
    pub fn backend(self, url: impl Into<String>) -> Self {
        self.set("result_backend", url.into())
    }

    /// Checks at start-up that each of these crates registered its tasks: `celery::installed_apps!()`.
    pub fn autodiscover_tasks(mut self, installed: InstalledApps) -> Self {
        self.installed = installed;
        self
    }

    /// Keeps a value for the tasks of the app: what their `#[state]` parameters of this type receive.
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        self.state.insert(value);
        self
    }

    /// Tells these of what happens to tasks and workers of the app. Several are told in the order of their registration.
    pub fn signals(mut self, signals: impl Signals) -> Self {
        self.listeners.push(signals);
        self
    }

    /// Builds the app. Nothing is connected yet.
    ///
    /// `CELERY_BROKER_URL` and `CELERY_RESULT_BACKEND` of the environment beat every other source. An app
    /// without a broker gets one inside this process, `memory://`, and without a result backend too then keeps its
    /// results there.
    ///
    /// # Errors
    /// [`Error::Config`] with everything that is wrong with the settings.
    pub fn build(mut self) -> Result<Celery, Error> {
        let mut environment = self.environment();
        let overrides = Overrides::current();
        for (name, url) in overrides.variables() {
            environment.retain(|(variable, _)| variable != name);
            environment.push((name.to_owned(), url.clone()));
        }
        for (setting, value) in overrides.settings {
            self.loader = self.loader.change(setting, value);
        }
        let revokes = revoked::keep(&environment);
        let mut config = self.loader.environment(environment).load()?;
        embed(&mut config, &self.name);
        let accept = AcceptContent::new(&config.accept_content)
            .map_err(|error| unusable("accept_content", &error));
        let routes =
            config.task.routes.as_ref().map_or_else(|| Ok(Routes::default()), Routes::parse);
        let routes = routes.map_err(|error| unusable("task_routes", &error));
        let queues = Queues::new(&config.task).map_err(|error| unusable("task_queues", &error));
        let annotations = config.task.annotations.as_ref();
        let annotations =
            annotations.map_or_else(|| Ok(Annotations::default()), Annotations::parse);
        let annotations = annotations.map_err(|error| unusable("task_annotations", &error));
        let (accept, routes, queues, annotations, revokes) =
            match (accept, routes, queues, annotations, revokes) {
                (Ok(accept), Ok(routes), Ok(queues), Ok(annotations), Ok(revokes)) => {
                    (accept, routes, queues, annotations, revokes)
                }
                (accept, routes, queues, annotations, revokes) => {
                    let problems = [
                        accept.err(),
                        routes.err(),
                        queues.err(),
                        annotations.err(),
                        revokes.err(),
                    ];
                    return Err(ConfigError::new(problems.into_iter().flatten().collect()).into());
                }
            };
        let inner = Inner {
            id: AppId::next(),
            name: self.name,
            config,
            accept,
            revokes,
            routes,
            queues,
            annotations,
            installed: self.installed,
            listeners: self.listeners,
            state: self.state,
            processes: self.processes,
            origin: Origin::of_this_process(),
            clock: Default::default(),
            registry: Default::default(),
            broker: Default::default(),
            publisher: Default::default(),
            backend: Default::default(),
        };
        Ok(Celery { inner: Arc::new(inner) })
    }

    fn environment(&mut self) -> Vec<(String, String)> {
        // What is not UTF-8 is no setting of ours.
        let of_process = || {
            std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
        };
        self.environment.get_or_insert_with(|| of_process().collect()).clone()
    }

    fn source(mut self, source: ConfigSource, namespace: &str) -> Self {
        let source = if namespace.is_empty() { source } else { source.namespace(namespace) };
        self.loader = self.loader.source(source);
        self
    }
}

fn unusable(setting: &str, error: &dyn std::error::Error) -> Problem {
    Problem::Unusable { setting: setting.to_owned(), why: error.to_string() }
}

/// Without a broker there is one inside the process, and then results are kept there too.
fn embed(config: &mut Config, name: &str) {
    if !config.broker.read_urls().is_empty() || !config.broker.write_urls().is_empty() {
        return;
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let url = format!("memory://{}", name.chars().map(plain).collect::<String>());
    let url = ServerUrl::parse(&url).expect("a scheme and a plain name are a URL");
    tracing::info!(broker = %url, "no `broker_url` is set: messages stay inside this process");
    config.result.backend.get_or_insert_with(|| url.clone());
    config.broker.url = vec![url];
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn routes_and_queues_that_make_no_sense_are_faults_of_the_settings() {
        let builder = Celery::builder("test")
            .environment_from([])
            .set("task_routes", json!([["only-a-name"]]))
            .set("task_queues", json!([{ "name": "mail", "exchange_type": "carrier pigeon" }]));
        let error = builder.build().unwrap_err();
        let Error::Config(config) = &error else { panic!("{error:?}") };
        assert_eq!(config.problems().len(), 2, "{error}");
        let text = error.to_string();
        assert!(text.contains("\n- `task_routes` cannot be used: "), "{text}");
        assert!(text.contains("\n- `task_queues` cannot be used: "), "{text}");
    }
}
