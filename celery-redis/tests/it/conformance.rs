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

mod groups {
    celery_core::groups_conformance!(crate::server::backend().await);
}

mod joins {
    celery_core::joins_conformance!(crate::server::backend_for_joins().await);
}
