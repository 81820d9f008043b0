//! What the settings promise.

mod names;
mod properties;
mod reference;
mod secrets;
mod sources;
mod values;

use serde_json::{Map, Value, json};

use super::*;

/// Loads one source without a namespace.
fn load(settings: &Value) -> Result<Config, ConfigError> {
    ConfigLoader::new().source(ConfigSource::from_serializable(settings)?).load()
}

/// Loads one source in the namespace `CELERY`.
fn load_django(settings: &Value) -> Result<Config, ConfigError> {
    let source = ConfigSource::from_serializable(settings)?.namespace("CELERY");
    ConfigLoader::new().source(source).load()
}

/// The complaint about one setting without a namespace.
#[track_caller]
fn complaint(name: &str, value: &Value) -> String {
    load(&one(name, value)).unwrap_err().to_string()
}

fn one(name: &str, value: &Value) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), value.clone())]))
}

fn pairs(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}
