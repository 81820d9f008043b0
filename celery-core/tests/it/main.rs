//! Tests of the core through its public face.

#![expect(clippy::unwrap_used, reason = "clippy takes a helper of a test for no test")]

mod captures;
mod conformance;
mod decoder;
mod faulty;
mod handmade;
mod messages;
mod settings_file;
