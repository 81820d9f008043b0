//! The core of celery: values, the seams to brokers and result backends, calling and running tasks.

pub mod config;
