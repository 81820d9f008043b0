//! The project's own tests: one binary, since every further one is linked anew on each change.

#![expect(clippy::unwrap_used, reason = "clippy takes a helper of a test for no test")]

mod acks;
mod autodiscovery;
mod bad_input;
mod builtins;
mod calling;
mod canvases;
mod chords;
mod circle;
#[cfg(feature = "cli")]
mod cli;
mod concurrency;
mod events;
#[cfg(feature = "macros")]
mod examples;
mod errbacks;
mod failures;
mod follow;
mod harness;
mod limits;
#[cfg(all(feature = "macros", feature = "redis"))]
mod golden;
#[cfg(all(feature = "macros", feature = "redis"))]
mod interop;
mod macros;
mod mutations;
mod on_redis;
mod once;
mod options;
mod outage;
mod rates;
mod redact;
mod remote;
mod replace;
mod retry;
mod revoke;
mod routing;
mod send_all;
mod services;
mod shutdown;
mod signals;
mod tasks;
mod tidy;
mod ui;
mod windows;
