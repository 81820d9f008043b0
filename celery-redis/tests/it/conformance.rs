//! The suites of the seams.

mod broker {
    celery_core::broker_conformance!(crate::server::broker().await);
}

mod broker_with_kombus_registry {
    celery_core::broker_conformance!(crate::server::broker_of("unacked").await);
}

mod backend {
    celery_core::backend_conformance!(crate::server::backend().await);
}
