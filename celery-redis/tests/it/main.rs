//! Tests against a Redis server. Each has a key prefix of its own, so that they run side by side.

#![expect(
    clippy::unwrap_used,
    reason = "clippy knows tests by their attribute, not what they call"
)]

#[macro_use]
mod server;

mod abandoned;
mod begun;
mod conformance;
mod connections;
mod delivery;
mod fanout;
mod joins;
mod layout;
mod pending;
mod publishing;
mod python;
mod restore;
mod results;
mod transport_options;
