//! What a module of tasks needs: `use celery::prelude::*`.
//!
//! ```
//! use celery::prelude::*;
//!
//! #[shared_task]
//! pub fn add(x: i64, y: i64) -> i64 {
//!     x + y
//! }
//! ```

pub use celery_core::{
    app::Celery,
    canvas::{Group, chain, chord, group},
    context::Context,
    result::{AsyncResult, GroupResult, ResultSet},
    signature::{Nothing, Signature, Takes, Untyped},
    state::State,
    task::{Ignore, Reject, Replace, Retry, SoftTimeLimitExceeded, Task, TaskError},
    value::Value,
    worker::{CommandError, Panel},
};
#[cfg(feature = "macros")]
pub use celery_macros::{control_command, inspect_command, remote_task, shared_task, task};
pub use serde_json::json;
