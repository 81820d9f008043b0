//! How far a long command has come, as a bar below what it prints.

use std::io;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

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
        Self::on(ProgressDrawTarget::stderr(), output, doing, messages)
    }

    fn on(
        terminal: ProgressDrawTarget,
        output: Output,
        doing: &'static str,
        messages: u64,
    ) -> Self {
        let bar = ProgressBar::with_draw_target(Some(messages), terminal).with_prefix(doing);
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use indicatif::TermLike;

    use super::*;

    /// A terminal of one line, on which nobody has printed anything else.
    #[derive(Clone, Debug, Default)]
    struct Line(Arc<Mutex<String>>);

    impl Line {
        /// What stands there, without the rate and what is left of the time.
        fn shows(&self) -> String {
            let line = self.0.lock().unwrap();
            line.split("/s ").next().unwrap().trim_end().to_owned()
        }
    }

    impl TermLike for Line {
        fn width(&self) -> u16 {
            120
        }

        fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
            assert_eq!(lines, 0);
            Ok(())
        }

        fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
            assert_eq!(lines, 0);
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            unreachable!("a bar is drawn from the left")
        }

        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            unreachable!("a bar is drawn from the left")
        }

        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            let mut line = self.0.lock().unwrap();
            if let Some(again) = text.strip_prefix('\r') {
                line.clear();
                line.push_str(again);
            } else {
                line.push_str(text);
            }
            Ok(())
        }

        fn clear_line(&self) -> io::Result<()> {
            self.0.lock().unwrap().clear();
            Ok(())
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_bar_shows_how_much_is_done_and_goes_when_all_is() {
        let line = Line::default();
        let terminal = ProgressDrawTarget::term_like(Box::new(line.clone()));
        let output = Output { colors: false, quiet: false };
        let progress = Progress::on(terminal, output, "Purging", 40);
        progress.at("celery");
        let shows = |bar: &str, done: &str| {
            let (shown, expected) = (line.shows(), format!("Purging [{bar:<40}] {done} "));
            assert!(shown.starts_with(&expected), "{shown:?} instead of {expected:?}");
        };
        shows("", "0/40 celery");
        progress.advance(10);
        shows("==========>", "10/40 celery");
        progress.at("pictures");
        shows("==========>", "10/40 pictures");
        progress.advance(35);
        // More was there than was counted.
        shows(&"=".repeat(40), "45/45 pictures");
        drop(progress);
        assert_eq!(line.shows(), "");
    }

    #[test]
    fn a_line_is_printed_while_the_bar_is_away() {
        let line = Line::default();
        let terminal = ProgressDrawTarget::term_like(Box::new(line.clone()));
        let output = Output { colors: false, quiet: false };
        let progress = Progress::on(terminal, output, "Migrating", 2);
        progress.advance(1);
        // Only a bar that has been away is drawn anew.
        line.clear_line().unwrap();
        progress.line("Migrating task 1/2").unwrap();
        assert!(line.shows().contains(" 1/2 "), "{line:?}");
    }
}
