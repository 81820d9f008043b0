//! Workers as processes of their own: what kills them, what asks them, and what they leave behind.

mod children;
mod chords;
mod command_line;
mod connections;
mod control;
mod events;
mod faults;
mod flower;
mod control_client;
mod gossip;
mod harness;
mod health;
mod keys;
mod monitor;
mod orphans;
mod pools;
mod revoke;
mod state;
mod stopping;
