//! What a worker logs.

use std::{
    cell::{Cell, RefCell},
    io,
    sync::Once,
};

use tracing::Level;
use tracing_subscriber::{Layer as _, filter::dynamic_filter_fn, fmt, layer::SubscriberExt as _};

/// The log of everything that happens on this thread from its start on.
pub(crate) struct Log(());

thread_local! {
    static LINES: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
    static LEVEL: Cell<Option<Level>> = const { Cell::new(None) };
}

/// Writes to the log of the thread that it is on, if there is one.
struct Lines;

impl Log {
    pub(crate) fn start() -> Self {
        Self::at(Level::INFO)
    }

    /// The same, with all that is logged at that level and above.
    pub(crate) fn at(level: Level) -> Self {
        // One for all threads: subscribers that come and go with tests side by side miss events.
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let wanted = dynamic_filter_fn(|of, _| LEVEL.get().is_some_and(|at| *of.level() <= at));
            let lines = fmt::layer().with_ansi(false).with_writer(|| Lines).with_filter(wanted);
            tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines))
                .expect("no other test sets one for all threads");
        });
        LEVEL.set(Some(level));
        LINES.set(Some(Vec::new()));
        Self(())
    }

    /// What was logged since the last look.
    pub(crate) fn take(&self) -> String {
        let bytes = LINES.replace(Some(Vec::new())).unwrap_or_default();
        String::from_utf8(bytes).expect("the log is text")
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        LINES.set(None);
        LEVEL.set(None);
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.with_borrow_mut(|lines| {
            if let Some(lines) = lines {
                lines.extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
