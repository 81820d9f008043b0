//! Tests against a Redis server. Each has a key prefix of its own, so that they run side by side.

mod abandoned;
mod conformance;
mod connections;
mod delivery;
mod fanout;
mod layout;
mod python;
mod results;
mod server;
