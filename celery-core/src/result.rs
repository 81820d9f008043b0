//! Results: handles of what tasks return, by their ids.
//!
//! [`AsyncResult`] is that of one call, [`GroupResult`] that of a group, and a [`ResultSet`] holds any of them together. What belongs to what
//! is a [`ResultTree`](crate::tree::ResultTree), which each of them is made of and can be written as.

mod arrivals;
mod collect;
mod graph;
mod group;
mod look;
mod set;
mod task;
mod tuple;
mod wait;

#[cfg(test)]
mod tests;

pub use self::{
    arrivals::Arrivals, collect::Collect, graph::Graph, group::GroupResult, set::ResultSet,
    task::AsyncResult,
};
