//! Tests of the core through its public face.

mod captures;
mod decoder;
mod handmade;
mod messages;
