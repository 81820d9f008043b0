//! Distributed tasks.
