//! The canvas: how signatures are put together, and what is sent for one that is.
//!
//! `a | b` is a chain, [`group`] puts signatures side by side, and a group that something follows is a chord. What may follow what
//! is checked by the compiler.
//!
//! The module `plan` decides, and touches nothing: which messages a signature is, with which ids, which joins have to be known before
//! they are sent, and which results there will be. The app and the workers carry it out.

pub(crate) mod compose;
mod group;
pub(crate) mod map;
mod ops;
pub(crate) mod plan;
mod stamps;

pub(crate) use self::stamps::stamp;
pub use self::{
    group::{Group, group},
    ops::{Header, chain, chord},
    stamps::{Stamping, StampingVisitor, Stamps},
};
