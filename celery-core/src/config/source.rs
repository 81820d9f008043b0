//! Where settings come from, and by which names: namespaces, old names, and what is misspelt.

mod env;
mod toml;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use super::error::{ConfigError, Problem};
use super::read::type_name;
use super::settings::{self, Setting};

pub(super) use env::overriding;

/// The key under which Django's time zone is kept until the settings are read.
pub(super) const TIME_ZONE: &str = "TIME_ZONE";

/// A map of settings, with the namespace its keys are in.
///
/// *Without a namespace* the keys are Celery's names, all new (`task_serializer`) or all old
/// (`CELERY_TASK_SERIALIZER`); a key which is no setting is an error. *With a namespace*, as Django projects use
/// it, a setting is looked up by the prefixed name (`CELERY_TASK_SERIALIZER`), then by its bare new name, then by its
/// old name; a map under the namespace's own name (`CELERY`) holds keys without the prefix; other keys belong to
/// somebody else, and are ignored.
///
/// # Examples
/// ```
/// use celery_core::config::{ConfigLoader, ConfigSource};
/// use serde_json::json;
///
/// let settings = json!({ "DEBUG": true, "CELERY_TASK_TIME_LIMIT": 30 });
/// let source = ConfigSource::from_serializable(&settings)?.namespace("CELERY");
/// let config = ConfigLoader::new().source(source).load()?;
/// assert_eq!(config.task.time_limit, Some(std::time::Duration::from_secs(30)));
/// # Ok::<(), celery_core::config::ConfigError>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct ConfigSource {
    values: Map<String, Value>,
    prefix: Option<String>,
    form: Form,
}

/// What the values of a source are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Typed values.
    Values,
    /// Typed values, where a table may stand for the settings of one group.
    Tables,
    /// The texts of environment variables, to be read by each setting's type.
    Texts,
    /// Changes made on the app: new or old names in any mixture.
    Changes,
}

/// A value that was given for a setting.
#[derive(Debug, Clone)]
pub(super) struct Given {
    /// The name as written.
    pub(super) written: String,
    pub(super) value: Value,
}

/// What was given, by canonical name.
pub(super) type Givens = BTreeMap<&'static str, Given>;

impl ConfigSource {
    /// Takes any value that serializes to a map: a struct of settings, a `HashMap`, a `serde_json::Value`.
    ///
    /// # Errors
    /// When the value does not serialize to a map with text keys.
    pub fn from_serializable<T: Serialize + ?Sized>(settings: &T) -> Result<Self, ConfigError> {
        // The error of serde_json may quote a value, and the value may be a password.
        match serde_json::to_value(settings).map_err(|_| Problem::NotSerializable)? {
            Value::Object(values) => Ok(Self::of(values, Form::Values)),
            other => Err(Problem::NotAMap { found: type_name(&other) }.into()),
        }
    }

    /// Takes the text of a TOML file.
    ///
    /// Keys are written as in any other source (`task_time_limit = 30`). Without a namespace a table may stand for a group
    /// of settings (`[task]`, then `time_limit = 30`). With one, a table of the namespace's name holds keys without the
    /// prefix (`[CELERY]`, then `TASK_TIME_LIMIT = 30`).
    ///
    /// # Errors
    /// When the text is no TOML. The error names the line, and does not quote it.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        Ok(Self::of(toml::parse(text)?, Form::Tables))
    }

    /// Takes the environment variables that begin with the namespace: `CELERY_TASK_TIME_LIMIT=30`.
    ///
    /// Each text is read by the setting's type: `true`, `yes`, `on`, `1` and their opposites; numbers; lists separated by
    /// commas or as JSON; dictionaries as JSON; `null` where a setting can be null. An empty variable counts as unset.
    /// Variables that have another meaning for Celery (`CELERY_APP`, the options of its commands such as
    /// `CELERY_WORKER_LOGLEVEL`) are left alone.
    pub fn from_env(
        namespace: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let values = env::within(&prefix_of(namespace), variables);
        Self::of(values, Form::Texts).namespace(namespace)
    }

    /// Says in which namespace the keys are; the case of its letters is the case of the keys, and a `_` at its end may be
    /// left out.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.prefix = Some(prefix_of(namespace)).filter(|prefix| prefix != "_");
        self
    }

    /// Changes made on the app: canonical or old names.
    pub(super) fn changes(values: Map<String, Value>) -> Self {
        Self::of(values, Form::Changes)
    }

    fn of(values: Map<String, Value>, form: Form) -> Self {
        Self { values, prefix: None, form }
    }

    /// Adds what this source gives to `givens`, in place of what is there.
    pub(super) fn collect(&self, givens: &mut Givens, problems: &mut Vec<Problem>) {
        let values = match self.form {
            Form::Tables => Cow::Owned(toml::without_tables(&self.values, self.prefix.as_deref())),
            // A struct that was read from such a file has its tables still.
            Form::Values if self.prefix.is_some() => {
                Cow::Owned(toml::without_tables(&self.values, self.prefix.as_deref()))
            }
            _ => Cow::Borrowed(&self.values),
        };
        if self.prefix.is_none() && self.form != Form::Changes {
            problems.extend(mixed_names(&values));
        }
        let mut known: Vec<String> = Vec::new();
        for setting in settings::all() {
            let keys = self.keys(setting.name, setting.old_name());
            let found = keys.iter().find_map(|key| values.get_key_value(key.as_ref()));
            if let Some((written, value)) = found {
                Self::warn_of_old_name(written, &keys);
                givens.insert(setting.name, self.given(written, value, setting));
            }
            known.extend(keys.into_iter().map(Cow::into_owned));
        }
        let keys = self.keys(TIME_ZONE, None);
        if let Some((written, value)) =
            keys.iter().find_map(|key| values.get_key_value(key.as_ref()))
        {
            givens.insert(TIME_ZONE, Given { written: written.clone(), value: value.clone() });
        }
        known.extend(keys.into_iter().map(Cow::into_owned));
        let unknown = values.keys().filter(|key| self.claims(key) && !known.contains(key));
        problems.extend(unknown.map(|key| self.unknown(key)));
    }

    /// Celery announces that old names go with its version 6.
    fn warn_of_old_name(written: &str, keys: &[Cow<'_, str>]) {
        let Some(newest) = keys.first() else { return };
        if newest != written && written.contains(char::is_uppercase) {
            tracing::warn!(
                setting = written,
                "Celery 6 will not know this old name: write `{newest}`"
            );
        }
    }

    fn given(&self, written: &str, value: &Value, setting: &Setting) -> Given {
        let value = match value {
            Value::String(text) if self.form == Form::Texts => setting.kind.read_text(text),
            other => other.clone(),
        };
        Given { written: written.to_owned(), value }
    }

    /// The keys under which a setting may stand, the strongest first.
    fn keys<'a>(&self, name: &'a str, old: Option<Cow<'a, str>>) -> Vec<Cow<'a, str>> {
        let prefixed = self.prefix.as_ref().map(|prefix| Cow::Owned(prefixed(prefix, name)));
        prefixed.into_iter().chain([Cow::Borrowed(name)]).chain(old).collect()
    }

    /// Whether a key that is no setting is a mistake, rather than somebody else's.
    fn claims(&self, key: &str) -> bool {
        self.prefix.as_ref().is_none_or(|prefix| key.starts_with(prefix.as_str()))
    }

    fn unknown(&self, key: &str) -> Problem {
        let bare = key.strip_prefix("CELERY_").map(str::to_ascii_lowercase);
        if let Some(bare) =
            bare.filter(|bare| self.prefix.is_none() && settings::find(bare).is_some())
        {
            let remedy = format!("give the namespace \"CELERY\", or write `{bare}`");
            return Problem::Unknown { name: key.to_owned(), suggestion: None, remedy };
        }
        let remedy = match &self.prefix {
            None if key.chars().any(char::is_uppercase) => {
                "if the source also holds settings that are not Celery's, give a namespace such as \"CELERY\""
            }
            _ => "",
        };
        let names = settings::all().flat_map(|setting| self.keys(setting.name, setting.old_name()));
        Problem::Unknown {
            name: key.to_owned(),
            suggestion: nearest(key, self.prefix.as_deref(), names),
            remedy: remedy.to_owned(),
        }
    }
}

/// Shows the names only: a value may be a password.
impl fmt::Debug for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigSource")
            .field("keys", &self.values.keys().collect::<Vec<_>>())
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

fn prefix_of(namespace: &str) -> String {
    format!("{}_", namespace.trim_end_matches('_'))
}

/// The name in a namespace. Celery gives it the prefix's case as a whole, and adds no prefix to a name that has it.
fn prefixed(prefix: &str, name: &str) -> String {
    let upper = prefix.contains(char::is_alphabetic) && !prefix.contains(char::is_lowercase);
    let name = if name.starts_with(prefix) { name.to_owned() } else { format!("{prefix}{name}") };
    if upper { name.to_uppercase() } else { name.to_lowercase() }
}

/// Celery's rule for a source without a namespace: the style of the majority holds, and a key of the other style is
/// an error unless its counterpart is there as well.
fn mixed_names(values: &Map<String, Value>) -> Option<Problem> {
    let pairs: Vec<(&'static str, Cow<'static, str>)> =
        settings::all().filter_map(|setting| Some((setting.name, setting.old_name()?))).collect();
    let new = pairs.iter().filter(|(new, _)| values.contains_key(*new)).count();
    let old = pairs.iter().filter(|(_, old)| values.contains_key(old.as_ref())).count();
    if new == 0 || old == 0 {
        return None;
    }
    let style = if new >= old { "new" } else { "old" };
    let mut renames: Vec<(String, String)> = pairs
        .into_iter()
        .map(|(new, old)| (new.to_owned(), old.into_owned()))
        .map(|(new, old)| if style == "new" { (old, new) } else { (new, old) })
        .filter(|(stray, wanted)| values.contains_key(stray) && !values.contains_key(wanted))
        .collect();
    renames.sort();
    (!renames.is_empty()).then_some(Problem::MixedNames { style, renames })
}

/// The known name that a misspelt one most likely means.
fn nearest<'a>(
    key: &str,
    prefix: Option<&str>,
    names: impl Iterator<Item = Cow<'a, str>>,
) -> Option<String> {
    let bare = prefix.and_then(|prefix| key.strip_prefix(prefix)).unwrap_or(key);
    // A name with its group left out (`acks_late`) is far from the whole by letters, but plain to a reader.
    let score = |name: &str| {
        let tail = name.strip_suffix(bare).is_some_and(|head| head.ends_with('_'));
        let same_but_case = name.eq_ignore_ascii_case(key);
        if tail || same_but_case { 1.0 } else { strsim::normalized_damerau_levenshtein(key, name) }
    };
    names
        .map(|name| (score(&name), name))
        .filter(|(score, _)| *score >= 0.8)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, name)| name.into_owned())
}
