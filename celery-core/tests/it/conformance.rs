//! The suites, run against `memory://`. Each case has a name, and so a broker and a backend, of its own.

use std::sync::Arc;

use celery_core::{
    backend::Backend,
    broker::Broker,
    config::{Config, ConfigLoader},
    memory::{MemoryBackend, MemoryBroker},
};
use uuid::Uuid;

fn a_name() -> String {
    format!("conformance-{}", Uuid::new_v4())
}

fn memory_broker() -> Arc<dyn Broker> {
    Arc::new(MemoryBroker::named(&a_name()))
}

fn memory_backend() -> Arc<dyn Backend> {
    Arc::new(MemoryBackend::named(&a_name(), &Config::default()))
}

fn memory_joins() -> Arc<dyn Backend> {
    let config = ConfigLoader::new().change("result_chord_join_timeout", 0.5).load();
    Arc::new(MemoryBackend::named(&a_name(), &config.expect("the setting can be read")))
}

mod broker {
    celery_core::broker_conformance!(super::memory_broker());
}

mod backend {
    celery_core::backend_conformance!(super::memory_backend());
}

mod groups {
    celery_core::groups_conformance!(super::memory_backend());
}

mod joins {
    celery_core::joins_conformance!(super::memory_joins());
}
