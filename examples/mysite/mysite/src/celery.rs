//! The app of the project.

use std::error::Error;

use celery::Celery;
use emails::Mailer;

use crate::settings::Settings;

/// Builds the app of these settings, with the tasks of all packages that have some.
pub(crate) fn app(settings: &Settings) -> Result<Celery, Box<dyn Error + Send + Sync>> {
    let app = Celery::builder("mysite")
        .config_from_object(settings, "CELERY")?
        .autodiscover_tasks(celery::installed_apps!())
        .state(Mailer::new(&settings.email_spool, &settings.email_from))
        .build()?;
    Ok(app)
}
