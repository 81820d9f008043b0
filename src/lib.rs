//! Distributed tasks.

pub use celery_core::{
    app::{Builder, Celery},
    context::Context,
    error::Error,
    installed_apps,
    registry::InstalledApps,
    result::AsyncResult,
    signature::Signature,
    task::{Ignore, Reject, Task, TaskError},
};
#[cfg(feature = "macros")]
pub use celery_macros::{remote_task, shared_task, task};

#[doc(hidden)]
pub use celery_core::__private;

/// What a file of tasks uses: `use celery::prelude::*;`.
pub mod prelude {
    pub use serde_json::json;

    #[doc(no_inline)]
    pub use crate::{AsyncResult, Celery, Context, Ignore, Reject, Task, TaskError};
    #[cfg(feature = "macros")]
    #[doc(no_inline)]
    pub use crate::{remote_task, shared_task, task};
}
