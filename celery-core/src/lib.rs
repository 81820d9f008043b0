//! The core of `celery`: what a message is, the seams that drivers implement, calling tasks and running them.
//!
//! Users depend on the crate `celery`, which re-exports what they need; driver authors depend on this one. The
//! modules are in reading order, and each group uses only those above it.

// Values: no I/O, no clock.
pub mod value;
pub mod codec;
pub mod repr;
pub mod date;
pub mod ids;
pub mod message;
pub mod envelope;
pub mod protocol;
pub mod arguments;
pub mod exception;
pub mod state;
pub mod tree;
pub mod rate;
mod expiring;
pub mod queue;
pub mod routing;
pub mod config;

// Seams: what drivers implement.
pub mod clock;
pub mod broker;
pub mod backend;
pub mod transport;
pub mod memory;
#[cfg(feature = "conformance")]
pub mod conformance;

// Calling.
pub mod error;
pub mod app;
pub mod options;
pub mod retry;
pub mod context;
pub mod task;
pub mod registry;
pub mod signature;
pub mod canvas;
pub mod result;
pub mod signals;
pub mod control;
pub mod events;
#[doc(hidden)]
pub mod macro_support;

// Running.
pub mod worker;

#[doc(hidden)]
pub mod __private {
    pub use crate::{macro_support::*, worker::command_support::*};
}
