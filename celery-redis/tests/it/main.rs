//! Tests against a Redis server. Each has a key prefix of its own, so that they run side by side.

#![expect(
    clippy::unwrap_used,
    reason = "clippy knows tests by their attribute, not what they call"
)]

mod abandoned;
mod conformance;
mod connections;
mod delivery;
mod fanout;
mod layout;
mod publishing;
mod python;
mod restore;
mod results;
mod server;
mod transport_options;
