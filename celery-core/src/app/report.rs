//! What to put into a bug report.

use super::Celery;
use crate::repr;

impl Celery {
    /// What to put into a bug report, as Celery's: versions, the system, and the settings that were made. No password
    /// is in it.
    ///
    /// ```
    /// # use celery_core::app::Celery;
    /// let app = Celery::builder("images").environment_from([]).build()?;
    /// assert!(app.bugreport().contains("app      -> images"));
    /// # Ok::<(), celery_core::error::Error>(())
    /// ```
    pub fn bugreport(&self) -> String {
        let config = self.config();
        let transport = self.broker_urls().first().map_or("none", |url| url.scheme());
        let results = config.result.backend.as_ref();
        let results = results.map_or_else(|| "disabled".to_owned(), ToString::to_string);
        let settings = config.masked_changes();
        let settings: Vec<_> = settings
            .iter()
            .map(|(name, value)| format!("{name}: {}", repr::python(value)))
            .collect();
        format!(
            "\nsoftware -> celery:{} (rust)\nplatform -> system:{} arch:{}\n            kernel version:{}\napp      -> {}\nsettings -> transport:{transport} results:{results}\n\n{}\n",
            env!("CARGO_PKG_VERSION"),
            system(),
            std::env::consts::ARCH,
            kernel(),
            self.name(),
            settings.join("\n"),
        )
    }
}

/// The operating system as Python names it, such as `Linux`.
pub(crate) fn system() -> &'static str {
    match std::env::consts::OS {
        "linux" => "Linux",
        "macos" => "Darwin",
        "windows" => "Windows",
        "freebsd" => "FreeBSD",
        os => os,
    }
}

/// The release of the kernel, where the system tells.
fn kernel() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease");
    release.map_or_else(|_| "unknown".to_owned(), |release| release.trim().to_owned())
}
