//! The project's own tests: one binary, since every further one is linked anew on each change.

mod acks;
mod autodiscovery;
mod bad_input;
mod calling;
mod circle;
mod cli;
mod concurrency;
mod examples;
mod failures;
mod follow;
mod harness;
mod limits;
mod macros;
mod mutations;
mod outage;
mod retry;
mod routing;
mod services;
mod shutdown;
mod tasks;
mod tidy;
mod ui;
