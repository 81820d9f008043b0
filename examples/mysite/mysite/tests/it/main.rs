//! The project as its users run it: each test starts its programs, on a Redis database of the test's own.

#![expect(clippy::unwrap_used, reason = "clippy takes a helper of a test for no test")]

mod commands;
mod emails;
mod process;
mod python;
mod site;
mod stopping;
