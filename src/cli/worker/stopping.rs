//! What a signal asks of a worker, by what came before it: Celery's rules.

use crate::cli::signals::Signal;

/// How far a worker has been asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Running,
    /// It lets the tasks that run end.
    Warm,
    /// It gives them the time of the soft shutdown.
    Cold,
    /// It gives them no time.
    Now,
    /// It does not even wait for what is left to be stored and handed back.
    Gone,
}

/// What has been asked of a worker so far.
#[derive(Debug)]
pub(super) struct Stopping {
    pub(super) stage: Stage,
    /// Whether the program is to start again.
    pub(super) restarts: bool,
    /// Whether the exit status is one of success.
    pub(super) is_success: bool,
    /// The variable `REMAP_SIGTERM` is `SIGQUIT`: as for containers, of which SIGTERM alone is sent.
    remaps: bool,
    /// Whether the next SIGINT is one to stop at once.
    interrupted: bool,
}

const INTERRUPT: &str =
    "worker: Hitting Ctrl+C again will initiate cold shutdown, terminating all running tasks!";
const TERMINATE: &str = "worker: Hitting Ctrl+C again will terminate all running tasks!";
const WARM: &str = "worker: Warm shutdown (MainProcess)";
const COLD: &str = "worker: Cold shutdown (MainProcess)";
const NOW: &str = "Waiting gracefully for cold shutdown to complete...";

impl Stopping {
    pub(super) fn new(remaps: bool) -> Self {
        let (stage, interrupted) = (Stage::Running, false);
        Self { stage, restarts: false, is_success: true, remaps, interrupted }
    }

    /// Takes in a signal; returns what is said of it.
    pub(super) fn on(&mut self, signal: Signal) -> &'static [&'static str] {
        // Whoever sends anything else after a SIGHUP does not want it back.
        let restarts = std::mem::replace(&mut self.restarts, false);
        match signal {
            Signal::Hangup if self.stage == Stage::Running => {
                self.stage = Stage::Warm;
                self.restarts = true;
                &[]
            }
            Signal::Hangup | Signal::User1 => {
                self.restarts = restarts;
                &[]
            }
            Signal::Terminate if !self.remaps => {
                self.stage = self.stage.max(Stage::Warm);
                &[WARM]
            }
            Signal::Interrupt if !self.interrupted => {
                self.interrupted = true;
                self.is_success &= self.stage != Stage::Running;
                self.stage = self.stage.max(Stage::Warm);
                &[INTERRUPT, WARM]
            }
            Signal::Terminate | Signal::Interrupt | Signal::Quit => self.escalate(),
        }
    }

    fn escalate(&mut self) -> &'static [&'static str] {
        self.interrupted = true;
        self.is_success = false;
        let (stage, says): (_, &[_]) = match self.stage {
            Stage::Running | Stage::Warm => (Stage::Cold, &[TERMINATE, COLD]),
            Stage::Cold => (Stage::Now, &[NOW]),
            Stage::Now | Stage::Gone => (Stage::Gone, &[]),
        };
        self.stage = stage;
        says
    }
}

#[cfg(test)]
mod tests {
    use Signal::{Hangup, Interrupt, Quit, Terminate};

    use super::*;

    #[track_caller]
    fn check(signals: &[Signal], stage: Stage, is_success: bool) {
        let mut stopping = Stopping::new(false);
        signals.iter().for_each(|signal| _ = stopping.on(*signal));
        assert_eq!((stopping.stage, stopping.is_success), (stage, is_success), "{signals:?}");
    }

    #[test]
    fn a_second_term_changes_nothing_and_quit_goes_further() {
        check(&[Terminate], Stage::Warm, true);
        check(&[Terminate, Terminate], Stage::Warm, true);
        check(&[Terminate, Quit], Stage::Cold, false);
        check(&[Terminate, Quit, Terminate], Stage::Cold, false);
        check(&[Quit], Stage::Cold, false);
        check(&[Quit, Quit], Stage::Now, false);
        check(&[Quit, Interrupt], Stage::Now, false);
        check(&[Quit, Quit, Quit], Stage::Gone, false);
    }

    #[test]
    fn the_first_interrupt_is_warm_and_the_next_one_cold() {
        check(&[Interrupt], Stage::Warm, false);
        check(&[Interrupt, Terminate], Stage::Warm, false);
        check(&[Terminate, Interrupt], Stage::Warm, true);
        check(&[Terminate, Interrupt, Interrupt], Stage::Cold, false);
        check(&[Interrupt, Interrupt, Interrupt], Stage::Now, false);
        check(&[Interrupt, Interrupt, Interrupt, Interrupt], Stage::Gone, false);
    }

    #[test]
    fn term_may_be_remapped_to_quit() {
        let mut stopping = Stopping::new(true);
        assert_eq!(stopping.on(Terminate), [TERMINATE, COLD]);
        assert_eq!((stopping.stage, stopping.is_success), (Stage::Cold, false));
        assert_eq!(stopping.on(Terminate), [NOW]);
    }

    #[test]
    fn a_hangup_restarts_unless_something_else_follows() {
        let mut stopping = Stopping::new(false);
        assert!(stopping.on(Hangup).is_empty());
        assert_eq!((stopping.stage, stopping.restarts), (Stage::Warm, true));
        stopping.on(Hangup);
        assert!(stopping.restarts);
        stopping.on(Terminate);
        assert!(!stopping.restarts);
    }
}
