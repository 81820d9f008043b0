//! The canvas: how signatures are put together, and what is sent for one that is.
//!
//! [`plan`](plan::plan) decides, and touches nothing: which messages a signature is, with which ids, which joins have to be known before
//! they are sent, and which results there will be. The app and the workers carry it out.

pub(crate) mod plan;
