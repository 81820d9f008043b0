//! What can be wrong with a configuration: every problem found is kept, so that one run shows them all.
//!
//! No problem ever holds the value of a setting that may be a secret.

use std::fmt;

/// The settings cannot be used; lists every problem that was found.
///
/// # Examples
/// ```
/// use celery_core::config::{ConfigLoader, ConfigSource};
///
/// let source = ConfigSource::from_toml("task_time_limt = 30\ntask_acks_late = \"yes\"")?;
/// let error = ConfigLoader::new().source(source).load().unwrap_err();
/// assert_eq!(error.problems().len(), 2);
/// # Ok::<(), celery_core::config::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

/// One thing that is wrong, with the setting's name as it was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// No setting has this name.
    #[error("unknown setting `{name}`{}", hint(.suggestion.as_deref(), .remedy))]
    Unknown {
        /// The name as written.
        name: String,
        /// The nearest known name.
        suggestion: Option<String>,
        /// What to do where no name is near.
        remedy: String,
    },
    /// The value is of a wrong type or out of range.
    #[error("`{setting}` expects {expected}, but found {found}")]
    WrongValue {
        /// The name as written.
        setting: String,
        /// What the setting takes.
        expected: String,
        /// What was there: its type, and its text only where that is no secret.
        found: String,
    },
    /// The setting is Celery's, but this version cannot honour the value.
    #[error("`{setting}` cannot be set: {why}")]
    Refused {
        /// The name as written.
        setting: String,
        /// The reason, and the remedy where there is one.
        why: String,
    },
    /// The value is of the right type, but what is in it makes no sense.
    #[error("`{setting}` cannot be used: {why}")]
    Unusable {
        /// The name of the setting.
        setting: String,
        /// What is wrong with it.
        why: String,
    },
    /// A source mixes new and old names, so that neither style can be assumed.
    #[error("improperly configured: {}", rename_list(.style, .renames))]
    MixedNames {
        /// The style of the majority: `new` or `old`.
        style: &'static str,
        /// What to rename: the name as written, and its name in the style of the majority.
        renames: Vec<(String, String)>,
    },
    /// The text of a TOML source cannot be parsed.
    #[error("line {line} of the settings file is no valid TOML: {message}")]
    Toml {
        /// The line, counted from 1.
        line: usize,
        /// The parser's complaint, without the text of the line.
        message: String,
    },
    /// The object given as a source has no keys.
    #[error("the object with the settings serializes to {found}, but a map or a struct is needed")]
    NotAMap {
        /// What it serializes to.
        found: &'static str,
    },
    /// The object given as a source does not serialize to JSON values.
    #[error("the object with the settings cannot be serialized to JSON values")]
    NotSerializable,
}

impl ConfigError {
    pub(crate) fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    /// Every problem that was found, in the order of the sources.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.problems.as_slice() {
            return only.fmt(f);
        }
        write!(f, "the settings have {} problems:", self.problems.len())?;
        for problem in &self.problems {
            write!(f, "\n- {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

fn hint(suggestion: Option<&str>, remedy: &str) -> String {
    match suggestion {
        Some(suggestion) => format!(", did you mean `{suggestion}`?"),
        None if remedy.is_empty() => String::new(),
        None => format!(": {remedy}"),
    }
}

fn rename_list(style: &str, renames: &[(String, String)]) -> String {
    let mut text = format!(
        "a source cannot mix new and old setting names; most are {style} ones here, so rename"
    );
    for (written, wanted) in renames {
        text.push_str(&format!("\n  {written:<36} -> {wanted}"));
    }
    text
}
