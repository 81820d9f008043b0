//! Workers as processes of their own: what kills them, what asks them, and what they leave behind.

mod harness;
mod state;
mod stopping;
