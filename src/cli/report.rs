//! `report`: what to put into a bug report.

use celery_core::{app::Celery, repr};

use super::{Session, failure::Failure, worker::platform};

pub(super) fn run(session: &Session) -> Result<(), Failure> {
    Ok(session.output.line(&text(&session.app))?)
}

/// Celery's bug report. No password is in it.
fn text(app: &Celery) -> String {
    let config = app.config();
    let transport = app.broker_urls().first().map_or("none", |url| url.scheme());
    let results =
        config.result.backend.as_ref().map_or_else(|| "disabled".to_owned(), ToString::to_string);
    let settings = config.masked_changes();
    let settings: Vec<_> =
        settings.iter().map(|(name, value)| format!("{name}: {}", repr::python(value))).collect();
    format!(
        "\nsoftware -> celery:{} (rust)\nplatform -> system:{} arch:{}\n            kernel version:{}\napp      -> {}\nsettings -> transport:{transport} results:{results}\n\n{}\n",
        env!("CARGO_PKG_VERSION"),
        platform::system(),
        std::env::consts::ARCH,
        platform::kernel(),
        app.name(),
        settings.join("\n"),
    )
}
