//! Logs in Celery's form: `[2026-11-22 17:48:22,887: INFO/MainProcess] celery@host ready.`

use std::{
    fmt,
    fs::OpenOptions,
    io::{self, IsTerminal},
    path::PathBuf,
    sync::Mutex,
};

use celery_core::{clock, exception::with_sources};
use clap::ValueEnum;
use jiff::tz::TimeZone;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer, writer::BoxMakeWriter},
    registry::LookupSpan,
};

use super::failure::Failure;

/// Celery's levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
pub(super) enum LogLevel {
    /// Everything.
    Debug,
    /// What happens to each task.
    Info,
    /// What may need a look.
    Warning,
    /// What failed.
    Error,
    /// Nothing: there are no messages of this level.
    Critical,
    /// The same.
    Fatal,
}

impl LogLevel {
    /// The directive of the filter. What is less than tracing's `DEBUG` is for those who set `RUST_LOG`.
    const fn directive(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warn",
            Self::Error => "error",
            Self::Critical | Self::Fatal => "off",
        }
    }
}

/// The process that logs.
#[derive(Clone, Debug)]
pub(super) struct Process {
    /// Its name, as logs show it.
    pub(super) name: String,
    /// Its number in the names of files: 0 is the worker itself, and its children count from 1.
    pub(super) number: usize,
}

impl Process {
    /// The worker itself, and any other command.
    pub(super) fn main() -> Self {
        Self { name: "MainProcess".to_owned(), number: 0 }
    }
}

/// Where logs go.
#[derive(Debug)]
pub(super) enum LogTo {
    StandardError,
    File(PathBuf),
}

/// Sets up the logs of a worker. `RUST_LOG` beats the level, and a subscriber of the program's own is left alone.
pub(super) fn for_worker(
    level: LogLevel,
    to: LogTo,
    process: Process,
    wanted_color: Option<bool>,
    no_color: bool,
) -> Result<(), Failure> {
    let (writer, is_terminal) = match to {
        LogTo::StandardError => (BoxMakeWriter::new(io::stderr), io::stderr().is_terminal()),
        LogTo::File(path) => {
            let file = OpenOptions::new().append(true).create(true).open(&path);
            let file = file.map_err(|error| {
                Failure::new(format!("could not open the log file {}: {error}", path.display()))
            })?;
            (BoxMakeWriter::new(Mutex::new(file)), false)
        }
    };
    init(level, writer, process, !no_color && wanted_color.unwrap_or(is_terminal));
    Ok(())
}

/// Shows the warnings of a command that is soon over.
pub(super) fn for_clients(no_color: bool) {
    init(
        LogLevel::Warning,
        BoxMakeWriter::new(io::stderr),
        Process::main(),
        !no_color && io::stderr().is_terminal(),
    );
}

fn init(level: LogLevel, writer: BoxMakeWriter, process: Process, colors: bool) {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level.directive()));
    let format = CeleryFormat { process: process.name, colors };
    let logs = tracing_subscriber::fmt().with_env_filter(filter).event_format(format);
    // It fails when the program has set up logs of its own, which are then the right ones.
    let _own = logs.with_writer(writer).try_init();
}

/// Celery's `worker_log_format`.
struct CeleryFormat {
    process: String,
    colors: bool,
}

impl<S, N> FormatEvent<S, N> for CeleryFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (level, color) = match *event.metadata().level() {
            Level::ERROR => ("ERROR", "\x1b[1;31m"),
            Level::WARN => ("WARNING", "\x1b[1;33m"),
            Level::INFO => ("INFO", ""),
            _ => ("DEBUG", "\x1b[1;34m"),
        };
        let mut said = Said::default();
        event.record(&mut said);
        let now = clock::now().to_zoned(TimeZone::system());
        let line = format!(
            "[{},{:03}: {level}/{}] {}{}",
            now.strftime("%Y-%m-%d %H:%M:%S"),
            now.millisecond(),
            self.process,
            said.message,
            said.rest
        );
        if self.colors && !color.is_empty() {
            writeln!(writer, "{color}{line}\x1b[0m")
        } else {
            writeln!(writer, "{line}")
        }
    }
}

/// What an event says: its message, and then its fields.
#[derive(Default)]
struct Said {
    message: String,
    rest: String,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.rest.push_str(&format!(" {}={value:?}", field.name()));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = value.to_owned();
        } else {
            self.rest.push_str(&format!(" {}={value}", field.name()));
        }
    }

    fn record_error(&mut self, _: &Field, error: &(dyn std::error::Error + 'static)) {
        self.rest.push_str(&format!(": {}", with_sources(error)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    /// What is logged, as text.
    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Buffer {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    #[track_caller]
    fn check(colors: bool, log: impl FnOnce(), expected: &str) {
        let buffer = Buffer::default();
        let subscriber = tracing_subscriber::fmt()
            .event_format(CeleryFormat { process: Process::main().name, colors })
            .with_writer(buffer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
        let (head, tail) = text.split_once(": ").unwrap();
        let time = head.rsplit_once('[').unwrap().1;
        assert_eq!(time.len(), "2026-11-22 17:48:22,887".len(), "{time}");
        assert_eq!(tail, expected);
    }

    #[test]
    fn a_line_is_in_celerys_form() {
        check(
            false,
            || tracing::info!("celery@host ready."),
            "INFO/MainProcess] celery@host ready.\n",
        );
        check(
            false,
            || tracing::warn!(queue = "mail", "odd"),
            "WARNING/MainProcess] odd queue=mail\n",
        );
        check(true, || tracing::error!("bad"), "ERROR/MainProcess] bad\x1b[0m\n");
    }

    #[test]
    fn an_error_is_shown_with_what_caused_it() {
        let error = io::Error::other("no route");
        let log = || tracing::warn!(error = &error as &dyn std::error::Error, "could not connect");
        check(false, log, "WARNING/MainProcess] could not connect: no route\n");
    }
}
