//! The project's own tests: one binary, since every further one is linked anew on each change.

#![expect(clippy::unwrap_used, reason = "clippy takes a helper of a test for no test")]

mod autodiscovery;
#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "macros")]
mod examples;
#[cfg(all(feature = "macros", feature = "redis"))]
mod interop;
mod macros;
mod services;
mod tidy;
mod ui;
