//! The settings of the project, from `settings.toml`.

use std::{collections::BTreeMap, error::Error, fs, path::PathBuf};

use serde::{Deserialize, Serialize};

/// The settings of the project. Those of Celery are among them, and are Celery's to read.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) struct Settings {
    pub(crate) debug: bool,
    /// The sender of all mail.
    pub(crate) email_from: String,
    /// The folder that mail is put into.
    pub(crate) email_spool: PathBuf,
    #[serde(flatten)]
    celery: BTreeMap<String, toml::Value>,
}

impl Settings {
    /// Reads the file that `MYSITE_SETTINGS` names, or else the one that was there when the program was built, and what
    /// the environment changes in it.
    pub(crate) fn load() -> Result<Self, Box<dyn Error + Send + Sync>> {
        let text = match std::env::var_os("MYSITE_SETTINGS") {
            Some(path) => fs::read_to_string(&path)
                .map_err(|error| format!("could not read {}: {error}", path.display()))?,
            None => include_str!("../settings.toml").to_owned(),
        };
        let mut settings: Self = toml::from_str(&text)?;
        if let Some(spool) = std::env::var_os("MYSITE_EMAIL_SPOOL") {
            settings.email_spool = spool.into();
        }
        Ok(settings)
    }
}
