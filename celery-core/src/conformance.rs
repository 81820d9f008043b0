//! The suites that every broker and every result backend must pass, and [`Faulty`], a broker that fails on purpose.
//!
//! A driver's test file is one line per suite:
//!
//! ```
//! # mod server {
//! #     use std::sync::Arc;
//! #     use celery_core::{backend::Backend, broker::Broker, config::Config, memory::{MemoryBackend, MemoryBroker}};
//! #     pub async fn broker() -> Arc<dyn Broker> { Arc::new(MemoryBroker::named("")) }
//! #     pub async fn backend() -> Arc<dyn Backend> { Arc::new(MemoryBackend::named("", &Config::default())) }
//! #     pub async fn backend_for_joins() -> Arc<dyn Backend> { backend().await }
//! # }
//! mod broker {
//!     celery_core::broker_conformance!(crate::server::broker().await);
//! }
//! mod backend {
//!     celery_core::backend_conformance!(crate::server::backend().await);
//! }
//! mod joins {
//!     celery_core::joins_conformance!(crate::server::backend_for_joins().await);
//! }
//! mod groups {
//!     celery_core::groups_conformance!(crate::server::backend().await);
//! }
//! # fn main() {}
//! ```
//!
//! The expression is evaluated anew in each test, inside an `async` function, and MUST give an `Arc<dyn Broker>` or an
//! `Arc<dyn Backend>` in a namespace of its own: the cases use fixed names of queues and run in parallel. Each case
//! is a `#[tokio::test]`, so the crate needs tokio with the features `macros` and `rt`.
//!
//! The cases run on the real clock, since a paused clock and a real server do not mix. They wait for events with a
//! limit ([`within`]); only where something must *not* happen do they watch for a short while.
//!
//! Feature `conformance`; not a stable API.

pub mod backend;
pub mod broker;
pub mod faulty;
pub mod groups;
pub mod joins;

use std::time::Duration;

pub use faulty::Faulty;

/// How long a case waits for what must happen: far more than any server needs.
pub const LIMIT: Duration = Duration::from_secs(10);

/// How long a case watches for what must not happen.
const WATCH: Duration = Duration::from_millis(100);

/// Waits for the future, and fails the test with a message when it takes longer than the limit.
///
/// # Panics
/// When the limit has passed.
pub async fn within<F: Future>(limit: Duration, what: &str, future: F) -> F::Output {
    match tokio::time::timeout(limit, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: not within {limit:?}"),
    }
}

/// Makes a test of each case: the machinery of the suites' macros.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_cases {
    ($suite:ident, $setup:expr, $($case:ident)*) => {
        $(
            #[::tokio::test]
            async fn $case() {
                $crate::conformance::$suite::$case($setup).await;
            }
        )*
    };
}
