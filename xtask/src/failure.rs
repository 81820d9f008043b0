//! What went wrong, and what the reader can do about it.

use std::fmt;

/// A failure of a step. It always comes with a remedy: the reader has just cloned the project.
#[derive(Debug, PartialEq)]
pub(crate) struct Failure {
    what: String,
    remedy: String,
}

impl Failure {
    pub(crate) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}\n  remedy: {}", self.what, self.remedy)
    }
}
