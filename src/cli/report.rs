//! `report`: what to put into a bug report.

use celery_core::app::Celery;

use super::{Session, failure::Failure, output::python_str, worker::platform};

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
    let settings = settings.iter().map(|(name, value)| {
        let quoted = value.as_str().map(|text| format!("'{text}'"));
        format!("{name}: {}", quoted.unwrap_or_else(|| python_str(value)))
    });
    let settings: Vec<String> = settings.collect();
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
