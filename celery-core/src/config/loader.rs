//! Puts the sources together, in Celery's order, into one configuration.

use serde_json::{Map, Value};

use super::Config;
use super::error::ConfigError;
use super::read::Reader;
use super::settings::find;
use super::source::{ConfigSource, Given, Givens, overriding};

/// Collects the sources of the settings, and reads them.
///
/// The strongest source wins, setting by setting:
/// 1. the environment variables `CELERY_BROKER_URL`, `CELERY_BROKER_READ_URL`, `CELERY_BROKER_WRITE_URL` and
///    `CELERY_RESULT_BACKEND`, where they are not empty;
/// 2. changes made on the app;
/// 3. the sources, of which a later one beats an earlier one;
/// 4. Celery's defaults.
///
/// # Examples
/// ```
/// use celery_core::config::{ConfigLoader, ConfigSource};
///
/// // In a program: `std::env::vars()`.
/// let variables = [("CELERY_BROKER_URL".to_owned(), "redis://localhost".to_owned())];
/// let config = ConfigLoader::new()
///     .source(ConfigSource::from_toml("[task]\ndefault_queue = 'mail'")?)
///     .source(ConfigSource::from_env("CELERY", variables.clone()))
///     .change("worker_concurrency", 8)
///     .environment(variables)
///     .load()?;
/// assert_eq!(config.task.default_queue, "mail");
/// assert_eq!(config.worker.concurrency, Some(8));
/// assert_eq!(config.broker.url[0].expose(), "redis://localhost");
/// # Ok::<(), celery_core::config::ConfigError>(())
/// ```
#[derive(Clone, Default)]
#[must_use = "nothing is read before `load`"]
pub struct ConfigLoader {
    sources: Vec<ConfigSource>,
    changes: Map<String, Value>,
    environment: Vec<(String, String)>,
}

impl ConfigLoader {
    /// No sources yet: all defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a source, which beats those that were added before.
    pub fn source(mut self, source: ConfigSource) -> Self {
        self.sources.push(source);
        self
    }

    /// Changes one setting, as `app.conf.task_acks_late = …` does. It beats every source.
    pub fn change(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.changes.insert(name.into(), value.into());
        self
    }

    /// Changes several settings, as `app.conf.update(…)` does. They beat every source.
    pub fn changes(mut self, settings: Map<String, Value>) -> Self {
        self.changes.extend(settings);
        self
    }

    /// Gives the environment in which the four variables are looked up that beat everything.
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment = variables.into_iter().collect();
        self
    }

    /// Reads and checks all settings.
    ///
    /// # Errors
    /// When a setting is unknown, has a wrong value, or asks for what this version cannot do. The error lists
    /// every problem of every source.
    ///
    /// A name from before Celery 4 is no error; a warning is logged.
    pub fn load(&self) -> Result<Config, ConfigError> {
        let mut givens = Givens::new();
        let mut problems = Vec::new();
        for source in &self.sources {
            source.collect(&mut givens, &mut problems);
        }
        ConfigSource::changes(self.changes.clone()).collect(&mut givens, &mut problems);
        for (variable, setting, text) in overriding(&self.environment) {
            let value = Value::from(text);
            if let Some(setting) = find(setting) {
                givens.insert(setting.name, Given { written: variable.to_owned(), value });
            }
        }
        let mut reader = Reader { givens, problems };
        reader.refuse_unsupported();
        let config = Config::read(&mut reader);
        if reader.problems.is_empty() { Ok(config) } else { Err(ConfigError::new(reader.problems)) }
    }
}

/// Shows the names only: a value may be a password.
impl std::fmt::Debug for ConfigLoader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigLoader")
            .field("sources", &self.sources)
            .field("changes", &self.changes.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
