#![doc = include_str!("docs/crate.md")]
//!
//! # A whole program
//!
//! This is `examples/01_hello.rs`: `cargo run --example 01_hello`.
//!
//! ```no_run
#![doc = include_str!("../examples/01_hello.rs")]
//! ```

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(all(feature = "cli", feature = "macros"))]
pub mod guide;
pub mod prelude;

/// The parts that are seldom needed: seams for drivers, messages, settings, values.
pub use celery_core as core;
pub use celery_core::{
    app::{Builder, Celery},
    canvas::{Group, Stamping, StampingVisitor, Stamps, chain, chord, group},
    config::Config,
    context::Context,
    error::{Error, Unsent},
    exception::Exception,
    installed_apps,
    registry::InstalledApps,
    result::{AsyncResult, GroupResult, ResultSet},
    signature::{Nothing, Signature, Takes, Untyped},
    state::{State, TaskMeta},
    task::{Failure, Ignore, Reject, Replace, Retry, SoftTimeLimitExceeded, Task, TaskError},
    worker::{
        Autoscale, ChildProcess, CommandError, Heartbeat, Panel, Shutdown, Worker, WorkerOptions,
    },
};
#[cfg(feature = "macros")]
pub use celery_macros::{control_command, inspect_command, remote_task, shared_task, task};
/// The Redis broker and result backend. Naming the crate here is what links it into your program.
#[cfg(feature = "redis")]
pub use celery_redis as redis;

#[doc(hidden)]
pub use celery_core::__private;
