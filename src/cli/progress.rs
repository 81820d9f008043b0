//! How far a long command has come, as a bar below what it prints.

use std::io;

use indicatif::{ProgressBar, ProgressStyle};

use super::output::Output;

/// A bar on standard error, where that is a terminal. Elsewhere nothing is shown.
///
/// It goes when it is dropped: what stays is what the command prints.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    output: Output,
}

impl Progress {
    /// A bar for so many messages.
    pub(super) fn new(output: Output, doing: &'static str, messages: u64) -> Self {
        let bar = ProgressBar::new(messages).with_prefix(doing);
        let template = "{prefix} [{bar:40}] {pos}/{len} {msg} {per_sec} {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar, output }
    }

    /// Says what is being worked on.
    pub(super) fn at(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }

    /// So many more messages are done.
    pub(super) fn advance(&self, messages: u64) {
        self.bar.inc(messages);
        // What was published since the bar was made also counts.
        let done = self.bar.position();
        if self.bar.length().is_some_and(|length| length < done) {
            self.bar.set_length(done);
        }
    }

    /// Prints a line above the bar.
    pub(super) fn line(&self, text: &str) -> io::Result<()> {
        self.bar.suspend(|| self.output.line(text))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
